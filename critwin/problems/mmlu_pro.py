"""MMLU-Pro: exam questions with up to ten options.

Source: Wang et al. (2024), arXiv:2406.01574; github.com/TIGER-AI-Lab/MMLU-Pro.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from critwin.problem import LETTERS, Problem
from critwin.problems.benchmark import Benchmark, letter_of, text_of, texts_of
from critwin.problems.reading import Row, json_lines


@dataclass(frozen=True, kw_only=True)
class MmluPro(Benchmark):
    """Reads records `{"question", "options", "answer": letter, "category", ...}`, three options on.

    Hub and upstream (JSON lines) have the same.
    """

    hub: str = "TIGER-Lab/MMLU-Pro"
    licence: str = "MIT (data set card); Apache-2.0 (repository)"

    prefix: ClassVar[str] = "mmlu_pro"
    upstream: ClassVar[str] = "a file of MMLU-Pro in JSON lines"

    def _from_file(self, path: Path) -> Iterator[Problem]:
        return map(self._from_hub, json_lines(path))

    def _from_hub(self, row: Row) -> Problem:
        allowed = '{"question": text, "options": texts, "answer": letter}'
        options = texts_of(row, "options", allowed)
        answer = text_of(row, "answer", allowed).strip()
        truth = letter_of(LETTERS.find(answer), len(options), row)
        category = row.values.get("category") or None
        question = text_of(row, "question", allowed)
        return self._problem(question, truth, options=options, category=category)
