"""TruthfulQA: questions that people answer wrongly, one right answer among several (mc1).

Source: Lin, Hilton, Evans (2022), arXiv:2109.07958; github.com/sylinrl/TruthfulQA.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from critwin.errors import ProblemError
from critwin.problem import Problem
from critwin.problems.benchmark import Benchmark, letter_of, text_of
from critwin.problems.reading import Row, csv_rows, json_document

ALLOWED = "a question and mc1_targets, one of which is right"


@dataclass(frozen=True, kw_only=True)
class TruthfulQa(Benchmark):
    """Reads upstream's `mc_task.json` or `TruthfulQA.csv`, and the hub's columns.

    Everywhere the right answer stands first, so the choices are put into an order that depends on
    their texts alone: the same everywhere, and it tells nothing about which one is right.
    """

    hub: str = "truthfulqa/truthful_qa"
    config: str | tuple[str, ...] | None = "multiple_choice"
    split: str = "validation"
    licence: str = "Apache-2.0"

    prefix: ClassVar[str] = "truthful_qa"
    upstream: ClassVar[str] = "mc_task.json or TruthfulQA.csv, as upstream has them"

    def _from_file(self, path: Path) -> Iterator[Problem]:
        if path.suffix == ".csv":
            yield from map(self._from_sheet, csv_rows(path))
            return
        records = json_document(path)
        if not isinstance(records, list):
            raise ProblemError(f"{path}: allowed is a list of records, each {ALLOWED}")
        for number, record in enumerate(records, start=1):
            row = Row(f"{path}, record {number}", record if isinstance(record, Mapping) else {})
            targets = row.values.get("mc1_targets")
            if not isinstance(targets, Mapping):
                raise row.refuse(ALLOWED)
            yield self._made(row, list(targets), [value == 1 for value in targets.values()])

    def _from_hub(self, row: Row) -> Problem:
        targets = row.values.get("mc1_targets")
        if not isinstance(targets, Mapping) or not {"choices", "labels"} <= set(targets):
            raise row.refuse(ALLOWED)
        return self._made(row, list(targets["choices"]), [v == 1 for v in targets["labels"]])

    def _from_sheet(self, row: Row) -> Problem:
        """Read a row of the CSV file: mc1 is the best answer among the incorrect ones."""
        names = ("Question", "Best Answer", "Incorrect Answers")
        question, best, wrong = (text_of(row, key, ", ".join(names)) for key in names)
        options = [best.strip(), *(text.strip() for text in wrong.split(";") if text.strip())]
        made = Row(row.where, {"question": question})
        return self._made(made, options, [True] + [False] * (len(options) - 1))

    def _made(self, row: Row, texts: list[str], right: list[bool]) -> Problem:
        question = text_of(row, "question", ALLOWED)
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise row.refuse(ALLOWED)
        distinct = dict.fromkeys(text.strip() for text in texts)
        options = sorted(distinct, key=lambda text: _place(question, text))
        best = {text.strip() for text, is_right in zip(texts, right, strict=True) if is_right}
        if len(best) != 1:
            raise row.refuse(f"{ALLOWED} (found {len(best)} right ones)")
        truth = letter_of(options.index(best.pop()), len(options), row)
        return self._problem(question, truth, options=tuple(options))


def _place(question: str, option: str) -> str:
    """Give where an option stands among the others: a hash of its text."""
    return hashlib.sha256(f"{question.strip()}\0{option}".encode()).hexdigest()
