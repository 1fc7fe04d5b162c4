"""A regular expression of the user's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from critwin.errors import ParameterError
from critwin.feature import UNSCORED, Feature
from critwin.problem import Problem

FOUND, ABSENT = "found", "absent"


@dataclass(frozen=True, kw_only=True)
class Pattern(Feature):
    """Labels a text by what a regular expression finds in it.

    With a group in it the label is what the (first) group holds, without one it is `found`. A text
    in which nothing is found is `absent`.

    Attributes:
        pattern: In the syntax of Python's `re`.
        which: Whether the first or the last match counts.
        ignore_case: Whether case does not count, in the label neither.
        absent: Label of a text without a match: `absent`, or `UNSCORED`, where such a text says
            nothing.
    """

    pattern: str
    which: Literal["first", "last"] = "last"
    ignore_case: bool = True
    absent: Literal["absent", "UNSCORED"] = "absent"

    def __post_init__(self) -> None:
        try:
            compiled = re.compile(self.pattern)
        except (re.error, TypeError) as error:
            allowed = f"a regular expression of Python's ({error})"
            raise ParameterError("pattern", self.pattern, allowed) from None
        if compiled.match(""):
            raise ParameterError("pattern", self.pattern, "one that does not match an empty text")
        if self.which not in ("first", "last"):
            raise ParameterError("which", self.which, "first or last")
        if self.absent not in (ABSENT, UNSCORED):
            raise ParameterError("absent", self.absent, f"{ABSENT} or {UNSCORED}")

    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        """Give what is found in each text."""
        return [self._label(text) for text in texts]

    def truth(self, problem: Problem) -> str | None:
        """Give the label of the reference answer, if the expression finds something in it."""
        label = None if problem.truth is None else self._label(problem.truth)
        return None if label in (UNSCORED, ABSENT) else label

    def _label(self, text: str) -> str:
        flags = re.IGNORECASE if self.ignore_case else 0
        matches = [*re.finditer(self.pattern, text, flags | re.MULTILINE)]
        if not matches:
            return self.absent
        match = matches[0 if self.which == "first" else -1]
        if not match.re.groups:
            return FOUND
        held = next((group for group in match.groups() if group is not None), "")
        label = " ".join(held.split())
        return (label.casefold() if self.ignore_case else label) or FOUND
