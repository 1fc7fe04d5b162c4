"""Rows of a file of generations or bare answers, checked, and the verdicts about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from critwin.errors import RolloutError
from critwin.feature import UNSCORED, Feature
from critwin.problem import LETTERS, Problem
from critwin.rollouts.files import RawRows, Rejected, read_rows

ALLOWED = "gold (text, number or null) with pred (a bare answer) or text (a whole generation)"


@dataclass(frozen=True)
class Gradable:
    """A row that can be graded.

    Attributes:
        line: Where it stands in the file.
        row: What stands there.
        text: The generation, or None where there is a bare answer.
        answer: The bare answer, or None where there is a generation.
        problem: The problem, with the reference answer and the options.
    """

    line: int
    row: Mapping[str, Any]
    text: str | None
    answer: str | None
    problem: Problem


@dataclass(frozen=True)
class GradableFile:
    """A file of rows to grade.

    Attributes:
        rows: Those that can be graded.
        rejected: The others, with the reason.
        unit: What lines are: `line`, or `row` of Parquet.
    """

    rows: list[Gradable]
    rejected: list[Rejected]
    unit: str

    def refuse_rejected(self, name: str) -> None:
        """Refuse a file with a row that cannot be graded.

        Raises:
            RolloutError: The message names the first such line, and how many there are.
        """
        if self.rejected:
            first = min(self.rejected, key=lambda rejected: rejected.line)
            more = len(self.rejected) - 1
            others = f" ({more} more such rows; on_error=skip leaves them out)" if more else ""
            raise RolloutError(f"{name}, {self.unit} {first.line}: {first.reason}{others}")


def read_gradable(path: Path) -> GradableFile:
    """Read a file of rows to grade: JSON lines (CSV, Parquet), `.gz` behind the name or not.

    Raises:
        RolloutError: It cannot be read.
    """
    raw = read_rows(path)
    rows: list[Gradable] = []
    rejected = list(raw.rejected)
    for line, row in zip(raw.lines, _rows_of(raw), strict=True):
        made = _gradable(line, row)
        if isinstance(made, Rejected):
            rejected.append(made)
        else:
            rows.append(made)
    return GradableFile(rows, rejected, raw.unit)


def _rows_of(raw: RawRows) -> Iterator[dict[str, Any]]:
    """Give the rows with the keys that each of them has."""
    every = raw.keys.get(0, frozenset(raw.columns))
    for i, values in enumerate(zip(*raw.columns.values(), strict=True)):
        own = raw.keys.get(i, every)
        yield {k: v for k, v in zip(raw.columns, values, strict=True) if k in own}


def _gradable(line: int, row: Mapping[str, Any]) -> Gradable | Rejected:
    for key in ("gold", "pred"):
        if isinstance(row.get(key), bool) or not isinstance(row.get(key), str | int | float | None):
            return Rejected(line, f"{key} is {row[key]!r:.40}; allowed: {ALLOWED}")
    if "gold" not in row:
        return Rejected(line, f"it has no gold; allowed: {ALLOWED}")
    text, pred = row.get("text"), row.get("pred")
    if text is None and row.get("kind") == "text":
        text, pred = pred, None  # such a row says that its pred is a whole generation
    if (text is None) == (pred is None):
        found = "neither" if text is None else "both"
        return Rejected(line, f"it has {found} of pred and text; allowed: {ALLOWED}")
    if text is not None and not isinstance(text, str):
        return Rejected(line, f"text is {text!r:.40}; allowed: {ALLOWED}")
    options = _options(row)
    if isinstance(options, str):
        return Rejected(line, options)
    gold = None if row["gold"] is None else str(row["gold"])
    answer = None if pred is None else str(pred)
    return Gradable(line, row, text, answer, Problem(f"{line}", "", gold, options=options))


def _options(row: Mapping[str, Any]) -> tuple[str, ...] | str:
    """Give a row's options, or what is wrong with them."""
    words, count = row.get("options"), row.get("n_options")
    if words is not None:
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            return f"options is {words!r:.40}; allowed: a list of texts"
        count = len(words) if count is None else count
    if count is None:
        return ()
    number = int(count) if isinstance(count, str) and count.isdecimal() else count
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if type(number) is not int or not 2 <= number <= len(LETTERS):
        return f"n_options is {count!r:.40}; allowed: a whole number, 2 to {len(LETTERS)}"
    if words is not None and len(words) != number:
        return f"n_options is {count}, but there are {len(words)} options; allowed: their number"
    return tuple(words) if words is not None else ("",) * number


def grade(rows: Sequence[Gradable], feature: Feature) -> list[dict[str, Any]]:
    """Grade rows, all together.

    Returns:
        Each row with `label` and `equal`: true, false, or None where the feature cannot read the
        answer or there is no reference. What the row called so itself is kept as `label_given` and
        `equal_given`.
    """
    texts = [
        row.text if row.text is not None else feature.announce(row.answer or "") for row in rows
    ]
    labels = feature.labels_of(
        [([text], row.problem) for text, row in zip(texts, rows, strict=True)]
    )
    verdicts = []
    for row, (label,) in zip(rows, labels, strict=True):
        truth = feature.truth(row.problem)
        kept = {f"{k}_given" if k in ("label", "equal") else k: v for k, v in row.row.items()}
        known = truth is not None and label != UNSCORED
        verdicts.append({**kept, "label": label, "equal": label == truth if known else None})
    return verdicts


def verdict_counts(verdicts: Sequence[Mapping[str, Any]], *, rejected: int) -> dict[str, int]:
    """Count verdicts: graded, equal, different, unscored, without gold; rows left out."""
    kinds = Counter(
        "unscored"
        if v["label"] == UNSCORED
        else "without_gold"
        if v["equal"] is None
        else ("equal" if v["equal"] else "different")
        for v in verdicts
    )
    names = ("equal", "different", "unscored", "without_gold")
    return {"rows": len(verdicts)} | {n: kinds[n] for n in names} | {"left_out": rejected}


def _equal_agrees(verdict: Mapping[str, Any]) -> bool | None:
    given = verdict.get("equal_given")
    return bool(verdict["equal"] == given) if isinstance(given, bool) else None


def _letter_agrees(verdict: Mapping[str, Any]) -> bool | None:
    if "letter" not in verdict:
        return None
    return bool(verdict["label"] == (verdict["letter"] or UNSCORED))


AGREEMENTS: Mapping[str, Callable[[Mapping[str, Any]], bool | None]] = {
    "equal": _equal_agrees,
    "letter": _letter_agrees,
}
"""Whether a verdict agrees with what the file itself says under a key; None where it says nothing.
A letter of null agrees with UNSCORED."""
