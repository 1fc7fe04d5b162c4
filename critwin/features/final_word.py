"""The last word of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from critwin.feature import UNSCORED, Feature
from critwin.problem import Problem


@dataclass(frozen=True)
class FinalWord(Feature):
    """Labels a text by its last word, as it stands; an empty text is unscored."""

    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        """Give the last word of each text."""
        return [text.split()[-1] if text.strip() else UNSCORED for text in texts]

    def truth(self, problem: Problem) -> str | None:
        """Give the reference answer as it stands."""
        return problem.truth
