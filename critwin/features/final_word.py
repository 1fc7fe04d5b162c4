"""The last word of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from critwin.feature import UNSCORED, Feature
from critwin.problem import Problem
from critwin.thoughts import last_said


@dataclass(frozen=True)
class FinalWord(Feature):
    """Labels a text by its last word, as it stands; a text that says nothing is unscored."""

    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        """Give the last word of each text."""
        words = [last_said(text).split() for text in texts]
        return [own[-1] if own else UNSCORED for own in words]

    def truth(self, problem: Problem) -> str | None:
        """Give the reference answer as it stands."""
        return problem.truth
