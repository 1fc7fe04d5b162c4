"""MMLU: exam questions of 57 subjects with four options.

Source: Hendrycks et al. (2021), arXiv:2009.03300; github.com/hendrycks/test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from critwin.errors import ProblemError
from critwin.problem import LETTERS, Problem
from critwin.problems.benchmark import Benchmark, letter_of, text_of, texts_of, whole_of
from critwin.problems.reading import Row, csv_rows

COLUMNS = ("question", "A", "B", "C", "D", "answer")


@dataclass(frozen=True, kw_only=True)
class Mmlu(Benchmark):
    """Reads upstream's CSV files without header (one, or a folder of them) and the hub's columns.

    The subject stands in the name of an upstream file only (`anatomy_test.csv`).
    """

    hub: str = "cais/mmlu"
    config: str | tuple[str, ...] | None = "all"
    licence: str = "MIT"

    prefix: ClassVar[str] = "mmlu"
    upstream: ClassVar[str] = "a CSV file of MMLU, or the folder of them"

    def _from_file(self, path: Path) -> Iterator[Problem]:
        files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
        if not files:
            raise ProblemError(f"{path} holds no CSV file; allowed: {self.upstream}")
        for file in files:
            subject = re.sub(r"_(test|dev|val)$", "", file.name.partition(".")[0])
            for row in csv_rows(file, COLUMNS):
                index = LETTERS[:4].find(str(row.values["answer"]).strip() or "?")
                values = {
                    "question": row.values["question"],
                    "choices": [row.values[letter] for letter in LETTERS[:4]],
                    "answer": index,
                    "subject": subject,
                }
                yield self._from_hub(Row(row.where, values))

    def _from_hub(self, row: Row) -> Problem:
        allowed = "a question, four options and the right one (file: A to D; hub: 0 to 3)"
        options = texts_of(row, "choices", allowed)
        truth = letter_of(whole_of(row, "answer", allowed), len(options), row)
        question = text_of(row, "question", allowed)
        subject = row.values.get("subject") or None
        return self._problem(question, truth, options=options, category=subject)
