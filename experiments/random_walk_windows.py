"""Windows of strings: the random walk (Example 5), two modes that part at a branch (Example 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from critwin.samplers.markov_mixture import TwoModes
from critwin.samplers.random_walk import RandomWalk
from critwin.theory.examples import PaperTimes, random_walk, two_modes
from experiments.exact.windows import ExactWindows


@dataclass(frozen=True, kw_only=True)
class RandomWalkWindows(ExactWindows):
    """Compare theory and measurement for strings that are cut.

    Attributes:
        model: The random walk, or the two modes.
    """

    model: RandomWalk | TwoModes

    name: ClassVar[str] = "random_walk_windows"
    axis_name: ClassVar[str] = "steps removed"

    @property
    def sampler(self) -> RandomWalk | TwoModes:
        """The strings."""
        return self.model

    def paper(self) -> PaperTimes:
        """Give Example 5, or Example 4."""
        if isinstance(self.model, TwoModes):
            m = self.model
            return two_modes(m.length, m.branch, m.alike, self.epsilon)
        w = self.model
        return random_walk(w.length, w.drift, w.barrier, self.epsilon)
