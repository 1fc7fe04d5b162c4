"""What a run is expected to cost and to show."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from critwin.planning import OriginalPlan, Total

Plans = tuple[OriginalPlan, ...]


@dataclass(frozen=True)
class Cost:
    """What a run is expected to cost, as a pilot of seconds lets expect.

    Attributes:
        tokens: That it generates, its originals among them.
        seconds: That it takes, loading among them.
        device: What computed the pilot.
    """

    tokens: Total
    seconds: Total
    device: str

    def joined(self, other: Cost) -> Cost:
        """Add what else the run does."""
        tokens, seconds = self.tokens.joined(other.tokens), self.seconds.joined(other.seconds)
        return Cost(tokens, seconds, self.device)


@dataclass(frozen=True)
class Estimate:
    """What a run will cost and show.

    Attributes:
        protocol: `forks` or `grid`.
        problems: Problems of the run.
        originals: Originals of the run.
        before: Plan of each original looked at, from its path alone.
        plans: The same after the pilot.
        threshold: Rise above which the rule calls a jump a window; 0 where it has none.
        tokens_per_second: Measured.
        seconds_before: Until the first token: loading, and what the first batch needs.
        device: What computes.
        pilot_tokens: Tokens that this estimate took.
        pilot_seconds: Seconds that it took.
        paths_known: Whether the sampler says how probable its tokens are. Where it does not,
            resamples are taken to be as long as what their originals had left.
        aimed: Whether forks are aimed at windows: then tokens are what is spent at most, and
            draws and half-widths those where no window seems possible.
    """

    protocol: str
    problems: int
    originals: int
    before: Plans
    plans: Plans
    threshold: float
    tokens_per_second: float
    seconds_before: float
    device: str
    pilot_tokens: int
    pilot_seconds: float
    paths_known: bool = True
    aimed: bool = False

    def tokens(self, plans: Plans | None = None) -> Total:
        """Give the tokens of the whole run, its originals among them."""
        chosen = self.plans if plans is None else plans
        return Total.of([plan.tokens + plan.drawn_tokens for plan in chosen], self.originals)

    @cached_property
    def seconds(self) -> Total:
        """Seconds of the whole run."""
        return self.tokens().over(self.tokens_per_second).plus(self.seconds_before)

    @property
    def cost(self) -> Cost:
        """What the run costs."""
        return Cost(self.tokens(), self.seconds, self.device)

    @property
    def cheaper(self) -> str | None:
        """The protocol that needs fewer tokens in most originals; None without a choice."""
        if not self.paths_known:
            return None
        votes = [plan.cheaper for plan in self.plans if plan.cheaper is not None]
        if not votes:
            return None
        return "forks" if votes.count("forks") >= votes.count("grid") else "grid"

    def summary(self) -> dict[str, Any]:
        """Give the estimate fit for JSON, with rows for a table."""
        on_gpu = self.device.startswith("cuda")
        hours = {k: v and v / 3600 for k, v in asdict(self.seconds).items()}
        return {
            "protocol": self.protocol,
            "aim": "windows" if self.aimed else "curve",
            "problems": self.problems,
            "originals": self.originals,
            "looked_at": len(self.plans),
            "leave_mass": _mean(self.plans, "leave_mass") if self.paths_known else None,
            "draws_per_original": _mean(self.plans, "draws"),
            "tokens": asdict(self.tokens()),
            "tokens_before_pilot": asdict(self.tokens(self.before)),
            "seconds": asdict(self.seconds),
            "gpu_hours": hours if on_gpu else None,
            "tokens_per_second": self.tokens_per_second,
            "seconds_before": self.seconds_before,
            "device": self.device,
            "half_width": _mean(self.plans, "half_width"),
            "met": sum(plan.met for plan in self.plans),
            "smallest_rise": _mean(self.plans, "smallest_rise"),
            "smallest_window": _mean(self.plans, "smallest_window"),
            "cheaper": self.cheaper,
            "pilot": {"tokens": self.pilot_tokens, "seconds": self.pilot_seconds},
        }


def _mean(plans: Plans, name: str) -> float:
    return float(np.mean([getattr(plan, name) for plan in plans]))
