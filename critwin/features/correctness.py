"""Whether the answer is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from critwin.feature import UNSCORED, Feature
from critwin.problem import Problem

RIGHT = "right"
WRONG = "wrong"


@dataclass(frozen=True, kw_only=True)
class Correctness(Feature):
    """Labels a text `right` or `wrong`, by comparing another feature with the reference answer.

    A text is unscored where that feature cannot read it, or where there is no reference answer.

    Attributes:
        of: The feature that reads the answer.
    """

    of: Feature

    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        """Give `right`, `wrong` or `UNSCORED` for each text."""
        truth = self.of.truth(problem)
        if truth is None:
            return [UNSCORED] * len(texts)
        answers = self.of.labels(texts, problem)
        return [a if a == UNSCORED else RIGHT if a == truth else WRONG for a in answers]

    def truth(self, problem: Problem) -> str | None:
        """Give `right`, where there is a reference answer."""
        return None if self.of.truth(problem) is None else RIGHT
