"""Whether the answer is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from critwin.feature import UNSCORED, Conflict, Feature
from critwin.problem import Problem
from critwin.prompt import Prompt

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
        (found,) = self.labels_of([(texts, problem)])
        return found

    def labels_of(self, batches: Sequence[tuple[Sequence[str], Problem]]) -> list[list[str]]:
        """Give `right`, `wrong` or `UNSCORED` for texts about several problems."""
        truths = [self.of.truth(problem) for _, problem in batches]
        return [
            [_judged(answer, truth) for answer in answers]
            for truth, answers in zip(truths, self.of.labels_of(batches), strict=True)
        ]

    def truth(self, problem: Problem) -> str | None:
        """Give `right`, where there is a reference answer."""
        return None if self.of.truth(problem) is None else RIGHT

    def follow_up(self, problem: Problem) -> Prompt | None:
        """Give what the other feature asks."""
        return self.of.follow_up(problem)

    def announce(self, answer: str) -> str:
        """Write a bare answer as the other feature reads it."""
        return self.of.announce(answer)

    def conflicts(self, texts: Sequence[str], problem: Problem) -> list[Conflict]:
        """Give the conflicts of the other feature."""
        return self.of.conflicts(texts, problem)


def _judged(answer: str, truth: str | None) -> str:
    if UNSCORED in (answer, truth) or truth is None:
        return UNSCORED
    return RIGHT if answer == truth else WRONG
