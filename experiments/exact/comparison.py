"""Theory beside measurement for one window: times, leaks, Theorem 2, and the paper's formulas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from critwin.samplers.exact import ExactSampler
from critwin.statistics import Interval
from critwin.theory.bounds import bounds_at, theorem_2
from critwin.theory.examples import PaperTimes
from critwin.theory.posteriors import NoisedMixture, rest_of
from critwin.theory.times import WindowTimes
from critwin.theory.total_variation import leak
from experiments.exact.measuring import Measured
from experiments.exact.verdicts import (
    Row,
    at_least,
    at_most,
    balanced,
    crossing,
    equal,
    falls,
    of_bracket,
    plateau_begins,
)

JOINT = 1 - 0.05 / 20
"""Coverage of each interval, so that twenty rows of a table are covered at once at 95 %."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a window's rows are made from.

    Attributes:
        sampler: The sampler; None where the paper has no times.
        theory: Its mixture, each time of which is computed once.
        after: Components of S_after.
        before: Components of S_before.
        epsilon: Of Definition 4.
        paper: The paper's times.
        measured: What was measured.
    """

    sampler: ExactSampler | None
    theory: NoisedMixture
    after: list[int]
    before: list[int]
    epsilon: float
    paper: PaperTimes
    measured: Measured

    def rows(self, window: WindowTimes) -> list[Row]:
        """Give the rows of the table."""
        return [
            *self._times(self.measured, window),
            *self._leaks(self.measured, window),
            *self._theorem(self.measured, window),
            *self._paper(self.measured),
        ]

    def sets(self) -> tuple[list[int], list[int]]:
        """Give both sets."""
        return self.after, self.before

    def rest(self, members: list[int]) -> list[int]:
        """Give the components outside a set."""
        return rest_of(self.theory.mixture_weights, members)

    def _times(self, measured: Measured, window: WindowTimes) -> list[Row]:
        after, before = self.sets()
        high = 1 - self.epsilon**2

        def to(one: list[int], other: list[int]) -> Callable[[int], Interval]:
            return lambda p: of_bracket(measured.distance(one, other, p), level=JOINT)

        outside = self.rest(before)
        found = [
            plateau_begins(
                "T_before: from here S_after looks like S_before",
                window,
                measured,
                to(after, before),
                to(before, outside) if outside else None,
                epsilon=self.epsilon,
            ),
            crossing(
                "T_after: S_after is told from the rest",
                window.start_after.value,
                measured,
                to(after, self.rest(after)),
                threshold=high,
            ),
        ]
        if outside:  # else T_before is T_end
            found += [
                crossing(
                    "T_end: S_after looks like S_before",
                    window.end.value,
                    measured,
                    to(after, before),
                    threshold=self.epsilon,
                ),
                crossing(
                    "T_start of S_before: told from the rest",
                    window.start_before.value,
                    measured,
                    to(before, outside),
                    threshold=high,
                ),
            ]
        return found

    def _leaks(self, measured: Measured, window: WindowTimes) -> list[Row]:
        after, _ = self.sets()
        rows = []
        ends = (("T_after", window.start_after.value), ("T_end", window.end.value))
        known = [(name, t) for name, t in ends if t is not None]
        middle = measured.times[len(measured.times) // 2]
        if len(known) == 2:
            middle = (known[0][1] + known[1][1]) / 2
        for name, t in [*known, ("the middle", float(middle))]:
            place = measured.at(t)
            at = self.theory.posteriors(float(measured.times[place]))
            expected = leak(at, after)
            error = (expected.upper - expected.lower) / 2
            found = measured.leak(after, place, level=JOINT)
            rows.append(
                equal(
                    f"leak of S_after at {name} ({measured.times[place]:.3g})",
                    expected.value,
                    found,
                    error=error,
                )
            )
        w = float(self.theory.mixture_weights[after].sum())
        rows.append(
            balanced(
                measured,
                after,
                self.rest(after),
                odds=(1 - w) / w,
                place=measured.at(float(middle)),
                level=JOINT,
            )
        )
        rows.append(falls(measured, after, level=JOINT))
        return rows

    def _theorem(self, measured: Measured, window: WindowTimes) -> list[Row]:
        after, before = self.sets()
        if window.end.value is None:
            return []
        place = measured.at(window.end.value)
        at = self.theory.posteriors(float(measured.times[place]))
        bounds = bounds_at(at, init=after, targ=before)
        found = measured.label_distance(after, before, place, level=JOINT)
        rows = [at_most("labels' TV from S_before at T_end: leak bound", bounds.by_leak, found)]
        if window.plateau:
            bound = theorem_2(self.epsilon, bounds.odds)
            rows.append(at_most("labels' TV from S_before at T_before: Theorem 2", bound, found))
        return rows

    def _paper(self, measured: Measured) -> list[Row]:
        after, before = self.sets()
        if self.sampler is None:
            return []
        sampler, paper, axis = self.sampler, self.paper, self.sampler.axis
        rows = []

        def inside(t: float | None) -> bool:
            return t is not None and axis.low <= t <= axis.high

        def place_of(t: float, *, later: bool) -> int:
            level = sampler.level_at(t)
            wanted = level if later else level + (sampler.time(level) > t + 1e-9)
            return int(abs(measured.levels - wanted).argmin())

        forms = {"printed": paper.after_printed, "corrected": paper.after_corrected}
        if forms["printed"] == forms["corrected"]:
            forms = {"printed": paper.after_printed}
        for name, t in forms.items():
            if t is None:
                continue
            what = f"the paper's T_after, {name}, {t:.3f}: TV from the rest"
            if inside(t):
                bracket = measured.distance(after, self.rest(after), place_of(t, later=False))
                rows.append(at_least(what, 1 - self.epsilon**2, of_bracket(bracket, level=JOINT)))
            else:
                rows.append(Row(what, 1 - self.epsilon**2, None, None, None, "outside the axis"))
        if paper.before is not None:
            what = f"the paper's T_before, {paper.before:.3f}: TV from S_before"
            if inside(paper.before):
                bracket = measured.distance(after, before, place_of(paper.before, later=True))
                rows.append(at_most(what, self.epsilon, of_bracket(bracket, level=JOINT)))
            else:
                rows.append(Row(what, self.epsilon, None, None, None, "outside the axis"))
        return rows
