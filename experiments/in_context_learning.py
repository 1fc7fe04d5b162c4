"""In-context learning: from which worked example on is the task decided? Examples 6, 11."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from critwin.errors import ParameterError
from critwin.samplers.markov_mixture import InContext
from critwin.statistics import Interval
from critwin.theory.examples import PaperTimes, in_context, in_context_affinity
from critwin.theory.posteriors import population
from critwin.theory.times import WindowTimes
from critwin.theory.total_variation import bhattacharyya
from experiments.exact.measuring import Measured
from experiments.exact.verdicts import Row, at_most
from experiments.exact.windows import ExactWindows


@dataclass(frozen=True, kw_only=True)
class InContextLearning(ExactWindows):
    """Compare theory and measurement for worked examples of one of several tasks.

    Attributes:
        model: The tasks.
    """

    model: InContext

    name: ClassVar[str] = "in_context_learning"
    axis_name: ClassVar[str] = "tokens removed"

    @property
    def sampler(self) -> InContext:
        """The tasks."""
        return self.model

    def paper(self) -> PaperTimes:
        """Give Examples 6 and 11."""
        return in_context(self.model.examples, self.model.delta, self.epsilon)

    def rows(self, measured: Measured, times: dict[str, WindowTimes]) -> list[Row]:
        """Add the affinity bound that pairs of tasks give."""
        after, _ = self.sets()
        w = self.model.mixture_weights
        seen = self.model.examples // 2
        bound = in_context_affinity(w.tolist(), after[0], self.model.delta, seen)
        at = self.theory.posteriors(float(self.model.tokens - 3 * seen))
        exact = bhattacharyya(at, population(w, after), population(w, self.rest(after))).value
        found = Interval(exact, exact, exact, 0, 0)
        what = f"affinity of the task and the others after {seen} examples (computed)"
        return [*super().rows(measured, times), at_most(what, bound, found)]

    def check(self) -> None:
        """Refuse more than one task in S_after: the example is about one."""
        super().check()
        if len(self.after) != 1:
            raise ParameterError("after", list(self.after), "one task")
