"""The window of the random hierarchy model's root: exact belief propagation and annealed theory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from critwin.samplers.random_hierarchy import RandomHierarchy as Model
from critwin.statistics import Interval, clustered_share
from critwin.theory.examples import PaperTimes
from critwin.theory.posteriors import Estimate
from critwin.theory.random_hierarchy import Annealed
from critwin.theory.times import WindowTimes
from critwin.theory.total_variation import stay
from experiments.exact.comparison import JOINT
from experiments.exact.figures import Line, Panel
from experiments.exact.measuring import Measured
from experiments.exact.verdicts import Row, equal
from experiments.exact.windows import ExactWindows


@dataclass(frozen=True, kw_only=True)
class RandomHierarchy(ExactWindows):
    """Compare exact belief propagation, the annealed theory and measurement.

    Attributes:
        after: One symbol of the root.
        before: All of them, or empty for that.
        model: The hierarchy.
    """

    model: Model
    originals: int = 2000

    name: ClassVar[str] = "random_hierarchy"
    axis_name: ClassVar[str] = "share of leaves masked"

    @property
    def sampler(self) -> Model:
        """The hierarchy."""
        return self.model

    @cached_property
    def annealed(self) -> Annealed:
        """The annealed theory."""
        return Annealed(self.model.symbols, self.model.rules, self.model.branching)

    def sets(self) -> tuple[list[int], list[int]]:
        """Give one symbol and all symbols."""
        return list(self.after), list(self.before) or list(range(self.model.symbols))

    def groups(self) -> list[list[int]]:
        """Count every symbol."""
        return [[i] for i in range(self.model.symbols)]

    def paper(self) -> PaperTimes:
        """Give no times: the model is named as future work."""
        a = self.annealed
        extra = {
            "slope_at_one": a.slope_at_one,
            "slope_at_chance": a.slope_at_chance,
            "unstable_point": a.unstable_point,
            "transition": a.transition,
        }
        notes = (
            "the paper names this model as future work; exact values are by belief propagation",
            "annealed values average over rules and over the belief, step by step; they hold as "
            "depth grows, and may differ from the exact ones at a finite depth",
        )
        return PaperTimes(None, None, None, notes, extra)

    def asked(self, times: dict[str, WindowTimes]) -> list[float | None]:
        """Add the annealed transition."""
        return [*super().asked(times), self.annealed.transition]

    def rows(self, measured: Measured, times: dict[str, WindowTimes]) -> list[Row]:
        """Add how often the root's symbol stays, by belief propagation and annealed."""
        rows = super().rows(measured, times)
        for masked in (0.25, 0.5, 0.75):
            place = measured.at(masked)
            t = float(measured.times[place])
            found = self._stays(place)
            exact = self._exact(t)
            error = (exact.upper - exact.lower) / 2
            rows.append(
                equal(f"root stays at {t:.2f} masked: exact", exact.value, found, error=error)
            )
            belief = self.annealed.root_belief(t, self.model.depth)
            rows.append(equal(f"root stays at {t:.2f} masked: annealed", belief, found))
        return rows

    def panels(self) -> list[Panel]:
        """Draw the root's belief: exact, annealed, measured."""
        after, before = self.sets()
        depth = self.model.depth
        lines = [
            Line("belief propagation", self._exact, self._stays),
            Line(
                "annealed",
                lambda t: Estimate.exact(self.annealed.root_belief(t, depth)),
                None,
            ),
        ]
        apart = [
            self.distance_line(after, self.rest(after), "S_after, rest"),
            self.distance_line(after, before, "S_after, S_before"),
        ]
        high = 1 - self.epsilon**2
        return [
            Panel("the root drawn again is the same", lines),
            Panel("total variation", apart, (self.epsilon, high)),
        ]

    def _exact(self, t: float) -> Estimate:
        """Give P(the root is drawn again as it was), all symbols averaged."""
        at = self.theory.posteriors(t)
        found = [stay(at, [i]) for i in range(self.model.symbols)]
        ends = [float(np.mean([getattr(f, e) for f in found])) for e in ("value", "lower", "upper")]
        return Estimate(ends[0], ends[1], ends[2], found[0].draws)

    def _stays(self, place: int) -> Interval:
        measured = self.state["measured"]
        counts = measured.counts[place]
        own = counts[np.arange(len(counts)), measured.own]
        found = clustered_share(own, counts.sum(axis=1), level=JOINT)
        assert found is not None
        return found
