"""The calculator: times, leak and bounds of an example, without drawing a sample."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

from critwin.errors import ParameterError
from critwin.records import RunDirectory
from critwin.theory.bounds import bounds_at, theorem_2, theorem_2_sharper
from critwin.theory.examples import PaperTimes
from critwin.theory.posteriors import Estimate, NoisedMixture, population
from critwin.theory.times import Time, WindowTimes, cached, check_epsilon, window_times
from critwin.theory.total_variation import leak
from experiments.experiment import Accounts, Experiment
from experiments.tracker import Progress, Tracker


@dataclass(frozen=True, kw_only=True)
class Theory(Experiment):
    """Compute the critical window of an example; each example is a subclass.

    Attributes:
        epsilon: Of Theorem 2 and Definition 4, in (0, 1).
        time: At which leak and bounds are given, on the example's axis; None for none.
    """

    epsilon: float = 0.1
    time: float | None = None

    name: ClassVar[str] = "theory"
    stage: ClassVar[str] = "theory"
    axis: ClassVar[str] = "examples_done"
    unit: ClassVar[str] = "time"

    @property
    @abstractmethod
    def mixture(self) -> NoisedMixture:
        """The noised mixture."""

    @abstractmethod
    def sets(self) -> tuple[list[int], list[int]]:
        """Give the components of S_after and of S_before."""

    @abstractmethod
    def paper(self) -> PaperTimes:
        """Give the paper's formulas."""

    def closed_form(self) -> tuple[float | None, float | None] | None:
        """Give exact T_before and T_after where there is a closed form, None for an empty set."""
        return None

    def more(self) -> dict[str, Any]:
        """Give numbers that only this example has."""
        return {}

    def check(self) -> None:
        """Refuse values outside their ranges, before anything is computed."""
        check_epsilon(self.epsilon)
        after, before = self.sets()
        weights = self.mixture.mixture_weights
        population(weights, after, name="after")
        population(weights, before, name="before")
        if not set(after) < set(before):
            raise ParameterError("after", after, f"a part of before, {before}, not all of it")
        axis = self.mixture.axis
        if self.time is not None:
            number = isinstance(self.time, int | float) and not isinstance(self.time, bool)
            whole = not axis.whole or (number and float(self.time).is_integer())
            if not number or not axis.low <= self.time <= axis.high or not whole:
                kind = "null or a whole number" if axis.whole else "null or a number"
                end = "inf)" if math.isinf(axis.high) else f"{axis.high:g}]"
                raise ParameterError(
                    "time", self.time, f"{kind} in [{axis.low:g}, {end}, {self.unit}"
                )

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        """Compute and write the summary."""
        began = time.perf_counter()
        progress.begin("theory", 1, unit="examples")
        summary = self.calculate()
        progress.advance(1)
        progress.end()
        directory.write_json("summary", summary)
        return Accounts(seconds={"theory": time.perf_counter() - began})

    @cached_property
    def _theory(self) -> NoisedMixture:
        return cached(self.mixture)

    def calculate(self) -> dict[str, Any]:
        """Give everything that is known of the example, fit for JSON."""
        after, before = self.sets()
        paper = self.paper()
        window = self._window(after, before)
        numbers: dict[str, Any] = {
            "time_before": _plain(window.time_before),
            "time_after": _plain(window.time_after),
            "width": _plain(window.width),
            "plateau": window.plateau,
            "time_before_paper": paper.before,
            "time_after_paper_printed": paper.after_printed,
            "time_after_paper_corrected": paper.after_corrected,
            "time_end": _time(window.end),
            "time_start_after": _time(window.start_after),
            "time_start_before": _time(window.start_before),
        }
        numbers |= {**paper.extra, **self.more(), **self._at_time(after, before)}
        notes = [*paper.notes]
        if not window.plateau:
            notes.append(self._why_no_plateau(window))
        if math.isinf(window.start_before.value or 0.0):
            notes.append("S_before is everything: its T_start is infinite (null)")
        if window.end.lower != window.end.upper:
            notes.append("times are sampled, from the same observations at each call")
        return {
            "example": type(self).__name__,
            "epsilon": self.epsilon,
            "time": self.time,
            "unit": self.unit,
            **numbers,
            "notes": notes,
            "tables": [self._table(numbers), _notes(notes)],
        }

    def _window(self, after: list[int], before: list[int]) -> WindowTimes:
        closed = self.closed_form()
        if closed is None:
            return window_times(self._theory, after, before, epsilon=self.epsilon)
        end, start = closed
        high = self.mixture.axis.high
        plateau = end is not None and start is not None
        return WindowTimes(
            time_before=end if plateau else None,
            time_after=start if plateau else None,
            plateau=plateau,
            end=Time(end, end, end),
            start_after=Time(start, start, start),
            start_before=Time(high, high, high),
        )

    def _why_no_plateau(self, window: WindowTimes) -> str:
        if window.start_after.value is None:
            return "no certified plateau: S_after is never told from the rest at this epsilon"
        return (
            "no certified plateau: S_after looks like S_before only from time_end on, when "
            "S_before is no longer told from the rest (time_start_before)"
        )

    def _at_time(self, after: list[int], before: list[int]) -> dict[str, Any]:
        """Give leak and every bound at `time`; null without one."""
        names = (
            "leak",
            "leak_lower",
            "leak_upper",
            "leak_after",
            "tv_init_targ",
            "tv_targ_rest",
            "bhattacharyya",
            "odds",
            "bound_leak",
            "bound_bhattacharyya",
            "bound_overlap",
            "bound_linear",
            "bound_paper",
            "bound_theorem_2",
            "bound_theorem_2_sharper",
        )
        found: dict[str, Any] = dict.fromkeys(names)
        if self.time is None:
            return found
        at = self._theory.posteriors(float(self.time))
        bounds = bounds_at(at, init=after, targ=before)
        lost: Estimate = leak(at, before)
        b = asdict(bounds)
        inside = bounds.tv_init_targ <= self.epsilon and (
            bounds.tv_targ_rest is None or bounds.tv_targ_rest >= 1 - self.epsilon**2
        )
        return found | {
            "leak": lost.value,
            "leak_lower": lost.lower,
            "leak_upper": lost.upper,
            "leak_after": leak(at, after).value,
            "tv_init_targ": bounds.tv_init_targ,
            "tv_targ_rest": bounds.tv_targ_rest,
            "bhattacharyya": bounds.bhattacharyya,
            "odds": bounds.odds,
            **{
                f"bound_{k.removeprefix('by_')}": b[k]
                for k in ("by_leak", "by_bhattacharyya", "by_overlap", "linear", "paper")
            },
            "bound_theorem_2": theorem_2(self.epsilon, bounds.odds) if inside else None,
            "bound_theorem_2_sharper": theorem_2_sharper(self.epsilon, bounds.odds)
            if inside
            else None,
        }

    def _table(self, numbers: dict[str, Any]) -> dict[str, Any]:
        rows = []
        for name, value in numbers.items():
            if value is not None:
                shown = "true" if value is True else "false" if value is False else float(value)
                rows.append([name, shown, MEANING.get(name, "")])
            elif name in ("time_before", "time_after", "width"):
                rows.append([name, "null", MEANING[name]])
        title = f"{type(self).__name__}, epsilon {self.epsilon:g}, times are {self.unit}"
        return {"title": title, "columns": ["quantity", "value", "what it is"], "rows": rows}


MEANING = {
    "time_before": "T_before of Definition 4, exact",
    "time_after": "T_after of Definition 4, exact",
    "width": "T_before - T_after",
    "plateau": "whether Definition 4 certifies both",
    "time_before_paper": "the paper's sufficient T_before",
    "time_after_paper_printed": "the paper's T_after as printed",
    "time_after_paper_corrected": "without the misprint, where there is one",
    "time_end": "from here on S_after looks like S_before",
    "time_start_after": "up to here S_after is told from the rest",
    "time_start_before": "up to here S_before is told from the rest",
    "leak": "P(a label of S_before that is drawn again leaves S_before)",
    "leak_after": "the same of S_after",
    "tv_init_targ": "TV(S_after, S_before) at time",
    "tv_targ_rest": "TV(S_before, rest) at time",
    "bound_leak": "TV + leak: the sharpest bound on the distance after resampling",
    "bound_bhattacharyya": "TV + sqrt(W) BC / 2",
    "bound_overlap": "TV + integral of min(p, W q)",
    "bound_linear": "TV + max(1, W) (1 - TV)",
    "bound_paper": "TV + max(1, W) sqrt(1 - TV^2) / 2, the proof of Theorem 2",
    "bound_theorem_2": "epsilon (1 + max(1, W) / sqrt 2), where time lies in the plateau",
    "bound_theorem_2_sharper": "epsilon + min(sqrt(W / 2) epsilon, max(1, W) epsilon^2), likewise",
}


def _notes(notes: list[str]) -> dict[str, Any]:
    return {"title": "Notes", "columns": ["note"], "rows": [[note] for note in notes or ["none"]]}


def _time(found: Time) -> float | None:
    return _plain(found.value)


def _plain(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else float(value)
