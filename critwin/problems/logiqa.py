"""LogiQA: questions of a civil servants' exam about the logic of a short text.

Source: Liu et al. (2020), arXiv:2007.08124; github.com/lgw863/LogiQA-dataset.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from critwin.errors import ProblemError
from critwin.problem import LETTERS, Problem
from critwin.problems.benchmark import Benchmark, letter_of, text_of, texts_of, whole_of
from critwin.problems.reading import Row, read_text

RECORD = 8
"""Lines of a record: blank, gold letter, context, question, four options."""

PRINTED = re.compile(r"\s*([A-D])(\s*[.?:,)、．]|\s)\s*(?=\S)")  # noqa: RUF001
"""The letter in front of an option: `A.`, `A?`, `A `."""


@dataclass(frozen=True, kw_only=True)
class LogiQa(Benchmark):
    """Reads upstream's text file, eight lines a record, and the hub's columns.

    Some 19 of the 651 records of upstream's test set list their options in the order A, C, B, D.
    The gold letter names the printed letter, not the place: options are put in the order of their
    letters. The hub's copy has lost the letters and takes gold for a place, so those records are
    wrong there, and nothing in it says which: prefer upstream's `Test.txt`.
    """

    hub: str = "lucasmccabe/logiqa"
    revision: str | None = "refs/convert/parquet"
    licence: str = "unknown (no licence file upstream)"

    prefix: ClassVar[str] = "logiqa"
    upstream: ClassVar[str] = "a text file of LogiQA in its upstream form, eight lines a record"

    def _from_file(self, path: Path) -> Iterator[Problem]:
        lines = read_text(path).rstrip("\n").split("\n")
        if lines and lines[0].strip():
            lines.insert(0, "")  # the first blank line is often lost
        for start in range(0, len(lines), RECORD):
            record = lines[start : start + RECORD]
            if not any(line.strip() for line in record):
                continue
            row = Row(f"{path}, line {start + 2}", {})
            if len(record) < RECORD or record[0].strip():
                raise row.refuse(
                    f"{RECORD} lines a record: blank, letter, context, question, four options"
                )
            gold, context, query, *options = record[1:]
            index = "abcd".find(gold.strip().lower() or "?")
            if index < 0 or len(gold.strip()) != 1:
                raise row.refuse(f"a gold letter a to d (found {gold.strip()!r:.20})")
            yield self._made(row, (context, query), options, index)

    def _from_hub(self, row: Row) -> Problem:
        allowed = "context, query, four options and correct_option, 0 to 3"
        said = (text_of(row, "context", allowed), text_of(row, "query", allowed))
        options = texts_of(row, "options", allowed)
        return self._made(row, said, options, whole_of(row, "correct_option", allowed))

    def _made(self, row: Row, said: tuple[str, str], options: Sequence[str], gold: int) -> Problem:
        if len(options) != 4 or not all(option.strip() for option in options):
            raise row.refuse("four options, none blank")
        if not any(part.strip() for part in said):
            raise ProblemError(f"{row.where}: allowed is a context or a question, not two blanks")
        question = " ".join(part.strip() for part in said if part.strip())
        truth = letter_of(gold, len(options), row)
        return self._problem(question, truth, options=in_printed_order(options))


def in_printed_order(options: Sequence[str]) -> tuple[str, ...]:
    """Take the printed letters off four options and put them in the letters' order.

    A letter without a mark behind it may be a word (`A dog barks`): it counts only beside other
    printed letters, and none counts twice. Options without letters take those that are left.
    """
    found = [PRINTED.match(option) for option in options]
    sure = [match[1] if match and match[2].strip() else None for match in found]
    letters = [
        match[1] if match and (own or match[1] not in sure) else None
        for match, own in zip(found, sure, strict=True)
    ]
    if not _distinct(letters) or (letters.count(None) == len(letters) - 1 and not any(sure)):
        letters = list(sure) if _distinct(sure) else [None] * len(options)
    left = (letter for letter in LETTERS[: len(options)] if letter not in letters)
    by_letter = {}
    for option, letter, match in zip(options, letters, found, strict=True):
        text = option[match.end() :] if letter and match else option
        by_letter[letter or next(left)] = text.strip()
    return tuple(by_letter[letter] for letter in sorted(by_letter))


def _distinct(letters: Sequence[str | None]) -> bool:
    given = [letter for letter in letters if letter]
    return len(given) == len(set(given))
