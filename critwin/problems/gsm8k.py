"""GSM8K: grade school word problems.

Source: Cobbe et al. (2021), arXiv:2110.14168; github.com/openai/grade-school-math.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from critwin.problem import Problem
from critwin.problems.benchmark import Benchmark, text_of
from critwin.problems.reading import Row, json_lines


@dataclass(frozen=True, kw_only=True)
class Gsm8k(Benchmark):
    """Reads records `{"question", "answer"}`; hub and upstream have the same.

    The reference answer is what follows `####`, thousands commas taken out.
    """

    hub: str = "openai/gsm8k"
    config: str | tuple[str, ...] | None = "main"
    licence: str = "MIT"

    prefix: ClassVar[str] = "gsm8k"
    upstream: ClassVar[str] = "a file of GSM8K in its upstream JSON lines"

    def _from_file(self, path: Path) -> Iterator[Problem]:
        return map(self._from_hub, json_lines(path))

    def _from_hub(self, row: Row) -> Problem:
        allowed = '{"question": text, "answer": text ending in "#### number"}'
        answer = text_of(row, "answer", allowed)
        _, mark, truth = answer.rpartition("####")
        if not mark or not truth.strip():
            raise row.refuse(allowed)
        return self._problem(text_of(row, "question", allowed), truth.strip().replace(",", ""))
