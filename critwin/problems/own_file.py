"""A user's own problems, from JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from critwin.errors import ParameterError
from critwin.problem import LETTERS, Problem
from critwin.problems.benchmark import Benchmark, letter_of, text_of, texts_of
from critwin.problems.reading import Row, json_lines

ALLOWED = '{"question": text, "answer": text or null, "options": list of texts, where it has any}'


@dataclass(frozen=True, kw_only=True)
class OwnFile(Benchmark):
    """Reads records `{"question", "answer"}` with `options` (or `choices`) where there are any.

    The answer of a record with options is a letter, the text of one of them, or its place counted
    from 0. Null, or none, says that there is no reference answer. `category` is kept. The same
    columns may come from the hub.
    """

    prefix: ClassVar[str] = "own"
    upstream: ClassVar[str] = f"JSON lines, each {ALLOWED}"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.path is not None and not Path(self.path).expanduser().is_file():
            raise ParameterError("path", self.path, f"a file of {self.upstream}")

    def _from_file(self, path: Path) -> Iterator[Problem]:
        return map(self._from_hub, json_lines(path))

    def _from_hub(self, row: Row) -> Problem:
        question = text_of(row, "question", ALLOWED)
        key = "options" if row.values.get("options") is not None else "choices"
        options = texts_of(row, key, ALLOWED) if row.values.get(key) is not None else ()
        answer = row.values.get("answer")
        if isinstance(answer, bool) or not isinstance(answer, str | int | float | None):
            raise row.refuse(f"{ALLOWED} (found answer: {answer!r:.60})")
        truth = None if answer is None else str(answer).strip()
        if options:
            letter_of(0, len(options), row)
            truth = None if answer is None else _letter(row, answer, options)
        elif truth == "":
            raise row.refuse(f"{ALLOWED} (found a blank answer)")
        category = row.values.get("category") or None
        return self._problem(question, truth, options=options, category=category)


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
