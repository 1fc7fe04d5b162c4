"""The contract of features: what a sample decided, as a label."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from critwin.problem import Problem

UNSCORED = "UNSCORED"
"""Label of a text that the feature cannot read: counted, never dropped, never false."""


class Feature(ABC):
    """Reads the value of a feature off a text. Subclasses are frozen dataclasses.

    Labels are equivalence classes: two texts with the same value for the same problem get the same
    label, so that comparing labels is comparing strings.
    """

    @abstractmethod
    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        """Give the label of each text, all of them about one problem; `UNSCORED` where unreadable.

        The label of a text does not depend on the other texts of the batch.
        """

    @abstractmethod
    def truth(self, problem: Problem) -> str | None:
        """Give the label of the reference answer; None where the problem has none."""
