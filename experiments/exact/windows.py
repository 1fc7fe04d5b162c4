"""The experiment that all exact samplers share: windows by theory beside windows by measurement."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from critwin.errors import ParameterError
from critwin.records import RunDirectory
from critwin.samplers.exact import Draw, ExactSampler
from critwin.statistics import Interval
from critwin.theory.bounds import bounds_at, theorem_2
from critwin.theory.examples import PaperTimes
from critwin.theory.posteriors import Estimate, NoisedMixture, population
from critwin.theory.times import WindowTimes, cached, check_epsilon, window_times
from critwin.theory.total_variation import leak, stay, total_variation
from experiments.exact.figures import Line, Panel, side_by_side, write
from experiments.exact.measuring import Measured, groups_of, measure, spread_levels
from experiments.exact.page import write_page
from experiments.exact.tables import write_records
from experiments.exact.verdicts import (
    Row,
    at_least,
    at_most,
    crossing,
    equal,
    falls,
    of_bracket,
    table,
)
from experiments.experiment import Accounts, Experiment
from experiments.tracker import Progress, Tracker

JOINT = 1 - 0.05 / 20
"""Coverage of each interval, so that twenty rows of a table are covered at once at 95 %."""

CHEAP_COMPONENTS = 64
"""Up to so many components theory without sampling is drawn between the levels visited."""


@dataclass(frozen=True, kw_only=True)
class ExactWindows(Experiment):
    """Compute the window of S_after within S_before, measure it, and put both side by side.

    Attributes:
        after: Components of S_after.
        before: Components of S_before, more than S_after.
        epsilon: Of Definition 4, in (0, 1).
        originals: Originals drawn from the mixture, >= 50.
        replicates: Resamples per original and level, >= 2.
        grid: Levels visited, beside those nearest to the theory's times, >= 2.
        seed: All randomness comes from it.
    """

    after: tuple[int, ...]
    before: tuple[int, ...]
    epsilon: float = 0.1
    originals: int = 1000
    replicates: int = 20
    grid: int = 24
    seed: int = 0

    stage: ClassVar[str] = "measure"
    axis: ClassVar[str] = "levels_done"
    axis_name: ClassVar[str] = "time"
    products: ClassVar[tuple[str, ...]] = (
        "originals.parquet",
        "curves.parquet",
        "windows.parquet",
        "summary.json",
        "report.html",
        "figures",
    )

    @property
    @abstractmethod
    def sampler(self) -> ExactSampler:
        """The exact sampler."""

    @abstractmethod
    def paper(self) -> PaperTimes:
        """Give the paper's times."""

    def sets(self) -> tuple[list[int], list[int]]:
        """Give the components of S_after and of S_before."""
        return list(self.after), list(self.before)

    def check(self) -> None:
        """Refuse sets that are no such sets, and numbers that are too small."""
        check_epsilon(self.epsilon)
        for name, low in (("originals", 50), ("replicates", 2), ("grid", 2)):
            value = getattr(self, name)
            if type(value) is not int or value < low:
                raise ParameterError(name, value, f"a whole number >= {low}")
        if type(self.seed) is not int:
            raise ParameterError("seed", self.seed, "a whole number")
        after, before = self.sets()
        weights = self.sampler.mixture_weights
        population(weights, after, name="after")
        population(weights, before, name="before")
        if not set(after) < set(before):
            allowed = f"a part of before, {before}, not all of it"
            raise ParameterError("after", after, allowed)
        least = 20 / min(weights[list(g)].sum() for g in groups_of(weights, after, before))
        if self.originals < least:
            allowed = f">= {least:.0f}, so that the rarest population has originals"
            raise ParameterError("originals", self.originals, allowed)

    @cached_property
    def state(self) -> dict[str, Measured]:
        """What was measured, once it has been: figures read it."""
        return {}

    @cached_property
    def theory(self) -> NoisedMixture:
        """The mixture, each time of which is computed once."""
        return cached(self.sampler)

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        """Compute the theory, measure at every level, and write what both say."""
        began = time.perf_counter()
        progress.begin("theory", 1, unit="windows")
        times = self.windows()
        progress.advance(1)
        progress.end()
        theory_seconds = time.perf_counter() - began
        measured, xs = measure(
            self.sampler,
            directory,
            groups=self.groups(),
            levels=spread_levels(self.sampler, self.grid, self.asked(times)),
            originals=self.originals,
            replicates=self.replicates,
            seed=self.seed,
            tracker=tracker,
            progress=progress,
        )
        self._write(directory, measured, xs, times)
        seconds = {"theory": theory_seconds, "all": time.perf_counter() - began}
        return Accounts(seconds=seconds)

    def windows(self) -> dict[str, WindowTimes]:
        """Give the windows that are looked at, by name."""
        after, before = self.sets()
        found = window_times(self.theory, after, before, epsilon=self.epsilon)
        return {f"{named(after)} in {named(before)}": found}

    def groups(self) -> list[list[int]]:
        """Give the groups of components that resamples are counted by."""
        return groups_of(self.sampler.mixture_weights, *self.sets())

    def asked(self, times: dict[str, WindowTimes]) -> list[float | None]:
        """Give times at whose levels is measured, whatever the grid."""
        paper = self.paper()
        asked = [paper.before, paper.after_printed, paper.after_corrected]
        for window in times.values():
            asked += [window.end.value, window.start_after.value, window.start_before.value]
        return asked

    def rows(self, measured: Measured, times: dict[str, WindowTimes]) -> list[Row]:
        """Give the rows of the table."""
        (window,) = times.values()
        return [
            *self._times(measured, window),
            *self._leaks(measured, window),
            *self._theorem(measured, window),
            *self._paper(measured),
        ]

    def panels(self) -> list[Panel]:
        """Give what the figure draws."""
        after, before = self.sets()
        every = len(before) == len(self.sampler.mixture_weights)
        staying = [self.stay_line(after)] + ([] if every else [self.stay_line(before)])
        apart = [
            self.distance_line(after, self.rest(after), "S_after, rest"),
            self.distance_line(after, before, "S_after, S_before"),
        ]
        if not every:
            apart.append(self.distance_line(before, self.rest(before), "S_before, rest"))
        return [
            Panel("a label drawn again stays", staying),
            Panel("total variation", apart, (self.epsilon, 1 - self.epsilon**2)),
        ]

    def stay_line(self, members: Sequence[int]) -> Line:
        """Give the line of the probability that a label stays in a set."""

        def share(place: int) -> Interval:
            left = self.state["measured"].leak(members, place, level=JOINT)
            ends = 1 - left.upper, 1 - left.lower
            return Interval(1 - left.estimate, *ends, left.n, left.clusters)

        return Line(named(members), lambda t: stay(self.theory.posteriors(t), members), share)

    def distance_line(self, one: Sequence[int], other: Sequence[int], name: str) -> Line:
        """Give the line of a distance of two sets."""
        return Line(
            name,
            lambda t: self.apart(one, other, t),
            lambda place: of_bracket(
                self.state["measured"].distance(one, other, place), level=JOINT
            ),
        )

    def apart(self, one: Sequence[int], other: Sequence[int], at: float) -> Estimate:
        """Give TV of two noised sub-populations."""
        w = self.sampler.mixture_weights
        return total_variation(self.theory.posteriors(at), population(w, one), population(w, other))

    def rest(self, members: Sequence[int]) -> list[int]:
        """Give the components outside a set."""
        inside = set(members)
        return [i for i in range(len(self.sampler.mixture_weights)) if i not in inside]

    def _times(self, measured: Measured, window: WindowTimes) -> list[Row]:
        after, before = self.sets()
        high = 1 - self.epsilon**2

        def to(one: list[int], other: list[int]) -> Any:
            return lambda p: of_bracket(measured.distance(one, other, p), level=JOINT)

        found = [
            crossing(
                "T_end: S_after looks like S_before",
                window.end.value,
                measured,
                to(after, before),
                threshold=self.epsilon,
            ),
            crossing(
                "T_after: S_after is told from the rest",
                window.start_after.value,
                measured,
                to(after, self.rest(after)),
                threshold=high,
            ),
        ]
        if self.rest(before):
            found.append(
                crossing(
                    "T_start of S_before: told from the rest",
                    window.start_before.value,
                    measured,
                    to(before, self.rest(before)),
                    threshold=high,
                )
            )
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
        rest, place = self.rest(after), measured.at(float(middle))
        w = float(self.sampler.mixture_weights[after].sum())
        out, back = (measured.leak(s, place, level=JOINT) for s in (after, rest))
        odds = (1 - w) / w
        scaled = Interval(
            odds * back.estimate, odds * back.lower, odds * back.upper, back.n, back.clusters
        )
        balance = Interval(
            out.estimate - scaled.estimate,
            out.lower - scaled.upper,
            out.upper - scaled.lower,
            out.n + back.n,
            0,
        )
        rows.append(equal("detailed balance: leak out less leak back", 0.0, balance))
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
        else:
            rows.append(
                Row(
                    "plateau of S_before (Definition 4)",
                    None,
                    None,
                    None,
                    None,
                    "no certified plateau",
                )
            )
        return rows

    def _paper(self, measured: Measured) -> list[Row]:
        after, before = self.sets()
        paper, axis = self.paper(), self.sampler.axis
        rows = []

        def inside(t: float | None) -> bool:
            return t is not None and axis.low <= t <= axis.high

        def place_of(t: float, *, later: bool) -> int:
            level = self.sampler.level_at(t)
            wanted = level if later else level + (self.sampler.time(level) > t + 1e-9)
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

    def _write(
        self,
        directory: RunDirectory,
        measured: Measured,
        xs: Sequence[Draw],
        times: dict[str, WindowTimes],
    ) -> None:
        self.state["measured"] = measured
        rows = self.rows(measured, times)
        write_records(directory, self.sampler, measured, xs, times)
        shaded = [(w.time_after, w.time_before) for w in times.values()]
        figure = side_by_side(
            self.panels(),
            measured,
            windows=shaded,
            axis_name=self.axis_name,
            last=self.axis_end(times),
            everywhere=self._is_cheap(),
        )
        write(figure, directory.path)
        title = f"{self.name}: theory beside measurement, intervals joint 95 %"
        summary = {
            "tables": [table(rows, title)],
            "notes": list(self.paper().notes),
            "epsilon": self.epsilon,
            "originals": self.originals,
            "resamples": int(measured.counts.sum()),
            "verdicts": {
                v: sum(r.verdict == v for r in rows) for v in sorted({r.verdict for r in rows})
            },
            "windows": {name: _plain(window) for name, window in times.items()},
            "paper": _paper_numbers(self.paper()),
        }
        directory.write_json("summary", summary)
        write_page(directory)

    def axis_end(self, times: dict[str, WindowTimes]) -> float:
        """Give where the figure's axis ends."""
        high = self.sampler.axis.high
        if high < float("inf"):
            return float(high)
        known = [w.end.value for w in times.values() if w.end.value is not None]
        longest = self.sampler.time(1)
        return float(min(longest, 1.5 * max(known, default=longest)))

    def _is_cheap(self) -> bool:
        few = len(self.sampler.mixture_weights) <= CHEAP_COMPONENTS
        if self.sampler.axis.whole:
            return False
        return few and self.theory.posteriors(self.sampler.time(1)).draws is None


def named(members: Sequence[int]) -> str:
    """Name a set of components."""
    if len(members) > 4:
        return f"{{{members[0]}..{members[-1]}}}"
    return "{" + ", ".join(map(str, members)) + "}"


def _plain(window: WindowTimes) -> dict[str, Any]:
    def of(t: Any) -> Any:
        return None if t is None or t in (float("inf"),) else t

    return {
        "time_before": of(window.time_before),
        "time_after": of(window.time_after),
        "width": of(window.width),
        "plateau": window.plateau,
        "time_end": of(window.end.value),
        "time_start_after": of(window.start_after.value),
        "time_start_before": of(window.start_before.value),
    }


def _paper_numbers(paper: PaperTimes) -> dict[str, Any]:
    return {
        "time_before_paper": paper.before,
        "time_after_paper_printed": paper.after_printed,
        "time_after_paper_corrected": paper.after_corrected,
        **paper.extra,
    }
