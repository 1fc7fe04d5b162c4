"""The window of a discourse vector's topic: Theorem 9."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from critwin.samplers.gaussian_mixture import DiscourseVectors
from critwin.theory.examples import PaperTimes, discourse_vector
from experiments.exact.windows import ExactWindows


@dataclass(frozen=True, kw_only=True)
class DiscourseVector(ExactWindows):
    """Compare theory and measurement for two topics.

    Attributes:
        model: The topics.
    """

    model: DiscourseVectors

    name: ClassVar[str] = "discourse_vector"
    axis_name: ClassVar[str] = "Ornstein-Uhlenbeck time"

    @property
    def sampler(self) -> DiscourseVectors:
        """The topics."""
        return self.model

    def paper(self) -> PaperTimes:
        """Give Theorem 9."""
        return discourse_vector(self.model.alpha, self.model.inner, self.epsilon)
