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
from critwin.report import write_report
from critwin.samplers.exact import Draw, ExactSampler
from critwin.statistics import Interval
from critwin.theory.examples import PaperTimes
from critwin.theory.posteriors import Estimate, NoisedMixture, population
from critwin.theory.times import WindowTimes, cached, check_epsilon, window_times
from critwin.theory.total_variation import stay, total_variation
from experiments.exact.comparison import JOINT, Comparison
from experiments.exact.figures import Line, Panel, side_by_side, write
from experiments.exact.measuring import Measured, groups_of, measure, spread_levels
from experiments.exact.tables import told, write_records
from experiments.exact.verdicts import (
    Row,
    of_bracket,
    table,
)
from experiments.experiment import Accounts, Experiment
from experiments.tracker import Progress, Tracker

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
        after, before = self.sets()
        comparison = Comparison(
            sampler=self.sampler,
            theory=self.theory,
            after=after,
            before=before,
            epsilon=self.epsilon,
            paper=self.paper(),
            measured=measured,
        )
        return comparison.rows(window)

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
            "windows": {name: told(window) for name, window in times.items()},
            "paper": _paper_numbers(self.paper()),
        }
        directory.write_json("summary", summary)
        write_report(directory.path)

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


def _paper_numbers(paper: PaperTimes) -> dict[str, Any]:
    return {
        "time_before_paper": paper.before,
        "time_after_paper_printed": paper.after_printed,
        "time_after_paper_corrected": paper.after_corrected,
        **paper.extra,
    }
