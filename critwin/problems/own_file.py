"""A user's own problems or prompts, from JSON lines or CSV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from critwin.errors import ParameterError
from critwin.problem import LETTERS, Problem
from critwin.problems.benchmark import Benchmark, letter_of, text_of, texts_of
from critwin.problems.reading import Row, csv_rows, json_lines

ALLOWED = '{"question": text, "answer": text or null, "options": list of texts, where it has any}'
SHEETS = (".csv", ".csv.gz")
"""Endings of files that are read as CSV with a header."""


@dataclass(frozen=True, kw_only=True)
class OwnFile(Benchmark):
    """Reads records `{"question", "answer"}` with `options` (or `choices`) where there are any.

    The answer of a record with options is a letter, the text of one of them, or its place counted
    from 0. Null, or none, says that there is no reference answer. `category` is kept. The same
    columns may come from the hub, or from a CSV file, where a blank cell is null. Lists of prompts
    that others publish name the column of the prompt as they like (`goal`, `forbidden_prompt`).

    Attributes beside those of Benchmark:
        question_column: Name of the column that holds the question or prompt.
        answer_column: Name of the column that holds the answer; null where none does.
    """

    execution = Benchmark.execution | {"question_column", "answer_column"}

    question_column: str = "question"
    answer_column: str | None = "answer"

    prefix: ClassVar[str] = "own"
    upstream: ClassVar[str] = f"JSON lines, each {ALLOWED}, or CSV with such columns"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.path is not None and not Path(self.path).expanduser().is_file():
            raise ParameterError("path", self.path, f"a file of {self.upstream}")

    def _from_file(self, path: Path) -> Iterator[Problem]:
        if not path.name.lower().endswith(SHEETS):
            return map(self._from_hub, json_lines(path))
        return (self._from_hub(_without_blanks(row)) for row in csv_rows(path))

    def _from_hub(self, row: Row) -> Problem:
        question = text_of(row, self.question_column, self._allowed)
        key = "options" if row.values.get("options") is not None else "choices"
        options = texts_of(row, key, self._allowed) if row.values.get(key) is not None else ()
        answer = None if self.answer_column is None else row.values.get(self.answer_column)
        if isinstance(answer, bool) or not isinstance(answer, str | int | float | None):
            raise row.refuse(f"{self._allowed} (found {self.answer_column}: {answer!r:.60})")
        truth = None if answer is None else str(answer).strip()
        if options:
            letter_of(0, len(options), row)
            truth = None if answer is None else _letter(row, answer, options)
        elif truth == "":
            raise row.refuse(f"{self._allowed} (found a blank answer)")
        category = row.values.get("category") or None
        return self._problem(question, truth, options=options, category=category)

    @property
    def _allowed(self) -> str:
        """What a record may be, in the names of the columns that are read."""
        return ALLOWED.replace("question", self.question_column).replace(
            "answer", self.answer_column or "-"
        )


def _without_blanks(row: Row) -> Row:
    return Row(row.where, {name: cell or None for name, cell in row.values.items()})


def _letter(row: Row, answer: str | int | float, options: tuple[str, ...]) -> str:
    """Give the letter of the option that an answer names."""
    if isinstance(answer, int):
        return letter_of(answer, len(options), row)
    texts = [option.strip() for option in options]
    text = str(answer).strip()
    if texts.count(text) == 1:
        return letter_of(texts.index(text), len(options), row)
    bare = text.strip("().: ").upper()
    if len(bare) == 1 and bare in LETTERS[: len(options)]:
        return bare
    raise row.refuse(
        f"an answer that is a letter, a place from 0 or the text of one of its options, once "
        f"(found {text!r:.60})"
    )
