"""AQuA-RAT: algebra word problems with five options.

Source: Ling et al. (2017), arXiv:1705.04146; github.com/google-deepmind/AQuA.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from critwin.problem import LETTERS, Problem
from critwin.problems.benchmark import Benchmark, letter_of, text_of, texts_of
from critwin.problems.reading import Row, json_lines


@dataclass(frozen=True, kw_only=True)
class Aqua(Benchmark):
    """Reads records `{"question", "options": ["A)...", ...], "correct": letter}`.

    Hub and upstream (JSON lines, whatever the file is called) have the same. The printed `A)` is
    taken off each option, also where it stands twice.
    """

    hub: str = "deepmind/aqua_rat"
    config: str | tuple[str, ...] | None = "raw"
    licence: str = "Apache-2.0"

    prefix: ClassVar[str] = "aqua"
    upstream: ClassVar[str] = "a file of AQuA in its upstream JSON lines"

    def _from_file(self, path: Path) -> Iterator[Problem]:
        return map(self._from_hub, json_lines(path))

    def _from_hub(self, row: Row) -> Problem:
        allowed = '{"question": text, "options": ["A)text", ...], "correct": letter}'
        options = texts_of(row, "options", allowed)
        for letter, option in zip(LETTERS, options, strict=False):
            if not option.strip().startswith(f"{letter})"):
                raise row.refuse(f"{allowed} in the order of the letters (found {option!r:.40})")
        correct = text_of(row, "correct", allowed).strip()
        truth = letter_of(LETTERS.find(correct), len(options), row)
        bare = tuple(
            re.sub(rf"^\s*(?:{letter}\)\s*)+", "", option)
            for letter, option in zip(LETTERS, options, strict=False)
        )
        return self._problem(text_of(row, "question", allowed), truth, options=bare)
