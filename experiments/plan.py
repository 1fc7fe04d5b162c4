"""What would a run cost and show? A pilot of seconds answers before anything expensive is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from critwin.errors import ParameterError
from critwin.planning import Total
from critwin.records import RunDirectory
from experiments.estimates import Estimate
from experiments.experiment import Accounts
from experiments.llm_math import LlmMath
from experiments.tracker import Progress, Tracker


@dataclass(frozen=True, kw_only=True)
class Plan(LlmMath):
    """Plan a run of llm_math with the same keys.

    Attributes:
        plan_originals: Originals that the pilot looks at, each of another problem, >= 1.
        plan_forks: Forks of each, >= 0.
    """

    plan_originals: int = 8
    plan_forks: int = 16

    name: ClassVar[str] = "plan"
    stage: ClassVar[str] = "plan"
    always: ClassVar[bool] = True
    shared: ClassVar[bool] = False

    @property
    def products(self) -> tuple[str, ...]:
        """The summary, with its table."""
        return ("summary.json",)

    def check(self) -> None:
        """Refuse what the run would refuse, and a pilot that looks at nothing."""
        for name, least in (("plan_originals", 1), ("plan_forks", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ParameterError(name, value, f"a whole number >= {least}")
        super().check()

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        """Measure, write the summary with its table."""
        found = self.estimate(
            originals=self.plan_originals, forks=self.plan_forks, progress=progress
        )
        summary = found.summary()
        summary["tables"] = [plan_table(found)]
        directory.write_json("summary", summary)
        tracker.log({"originals_done": len(found.plans), "tokens": found.tokens().estimate})
        return Accounts(found.pilot_tokens, {"pilot": found.pilot_seconds})


def plan_table(found: Estimate) -> dict[str, Any]:
    """Put an estimate into a table: what the paths alone say, and what the pilot says."""
    before, after = found.before, found.plans

    def mean(name: str) -> list[str]:
        both = (sum(getattr(p, name) for p in plans) / len(plans) for plans in (before, after))
        return [_short(value) for value in both]

    def rises(name: str) -> list[str]:
        both = (sum(getattr(p, name) for p in plans) / len(plans) for plans in (before, after))
        return [f"{value:.3f}" if value <= 1 else "none: too few draws" for value in both]

    draws = "forks" if found.protocol == "forks" else "resamples"
    over = "those of the run's own pilot apart" if found.protocol == "forks" else "over all levels"
    over += _WHERE if found.aimed else ""
    hours = found.seconds.over(3600)
    rows = [
        ["originals", str(found.originals), str(found.originals), f"{found.problems} problems"],
        _choices(found, mean("leave_mass")),
        [f"{draws} per original", *mean("draws"), over],
        [
            "tokens",
            _total(found.tokens(before)),
            _total(found.tokens()),
            "of the whole run" + (", at most" if found.aimed else ""),
        ],
        ["tokens per second", "", _short(found.tokens_per_second), found.device],
        ["seconds", "", _total(found.seconds), f"{found.seconds_before:.1f} s of them to begin"],
        ["half-width", *mean("half_width"), _kind(found)],
        [
            "smallest rise",
            *rises("smallest_rise"),
            "that a joint 95 % interval is expected to tell from none"
            + (_WHERE if found.aimed else ""),
        ],
        ["smallest window", *rises("smallest_window"), _window(found)],
        ["cheaper as precise", "", _cheaper(found), "forks or grid"],
    ]
    if found.device.startswith("cuda"):
        rows.insert(6, ["GPU-hours", "", _total(hours), ""])
    return {
        "title": f"Plan, from {len(after)} originals",
        "columns": ["quantity", "from paths", "after the pilot", "note"],
        "rows": rows,
    }


_WHERE = "; where no window seems possible"
"""Aimed forks leave a curve rough elsewhere."""


def _window(found: Estimate) -> str:
    if found.aimed:
        return f"that aimed forks are expected to certify above {found.threshold:g}"
    return f"the same above {found.threshold:g}"


def _choices(found: Estimate, mean: list[str]) -> list[str]:
    name = "choices in an original, H"
    if found.paths_known:
        return [name, *mean, "sum of 1 - probability"]
    return [name, "not known", "not known", "the model does not say how probable its tokens are"]


def _cheaper(found: Estimate) -> str:
    if not found.paths_known:
        return "not known"
    return found.cheaper or "no choice anywhere"


def _kind(found: Estimate) -> str:
    if found.protocol == "grid":
        return "95 %, pointwise, mean over levels"
    met = sum(plan.met for plan in found.plans)
    if found.aimed:
        return f"95 %{_WHERE}"
    return f"95 %, as sampler asks for it; within reach in {met} of {len(found.plans)}"


def _short(value: float) -> str:
    """Give three digits or more, and no zeros that say nothing."""
    if value == 0 or value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def _total(total: Total) -> str:
    value = _short(total.estimate)
    if total.lower is None or total.upper is None:
        return value
    return f"{value} [{_short(total.lower)}, {_short(total.upper)}]"
