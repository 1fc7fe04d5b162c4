"""What a round of the benchmark gives."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.benchmarking.fork_estimation import ForkEstimate
from experiments.benchmarking.measuring import Cost

HALF_WIDTHS = {"05": 0.05, "02": 0.02}
"""Half-widths at which forks and truncation at every token are compared, by their short names."""


@dataclass(frozen=True)
class Drawing:
    """The grid, drawn by one method.

    Attributes:
        resamples: Resamples drawn.
        tokens: Tokens drawn for them.
        seconds: Wall time.
        peak_bytes: Most memory beyond what was held before; None where the system does not tell.
        forward_share: Share of the time in the model's forward pass; None where nobody looked, or
            where no pass was seen.
    """

    resamples: int
    tokens: int
    seconds: float
    peak_bytes: int | None
    forward_share: float | None

    @property
    def resamples_per_second(self) -> float:
        """Resamples drawn in a second."""
        return self.resamples / self.seconds

    @property
    def tokens_per_second(self) -> float:
        """Tokens drawn in a second."""
        return self.tokens / self.seconds


@dataclass(frozen=True)
class Forking:
    """The curve at every token of every original, measured by forks.

    Attributes:
        half_width: Half-width reached, mean over originals of the mean over positions.
        forks: Forks drawn, those of the pilot among them.
        tokens: Tokens drawn for them.
        seconds: Wall time of everything: paths, pilot, planning, forks, labels, intervals.
        stages: Seconds of its parts, by name.
        peak_bytes: As in `Drawing`.
    """

    half_width: float
    forks: int
    tokens: int
    seconds: float
    stages: dict[str, float]
    peak_bytes: int | None

    @classmethod
    def of(cls, estimate: ForkEstimate, cost: Cost) -> Forking:
        """Sum an estimate up; what is in none of its parts is planning."""
        planning = cost.seconds - sum(estimate.stages.values())
        return cls(
            half_width=estimate.half_width,
            forks=estimate.forks,
            tokens=estimate.tokens,
            seconds=cost.seconds,
            stages=estimate.stages | {"planning": planning},
            peak_bytes=cost.peak_bytes,
        )


@dataclass(frozen=True)
class Truncating:
    """What truncation at every token by `generate` would take; nothing of it is measured whole.

    Attributes:
        half_width: Half-width that no position exceeds: the one wanted, or the one that forks
            reached where they missed it.
        resamples: Resamples, worked out.
        tokens: Tokens expected of them.
        seconds: Wall time of a random sample of them, scaled up.
        sampled: Resamples in the sample.
    """

    half_width: float
    resamples: int
    tokens: float
    seconds: float
    sampled: int


@dataclass(frozen=True)
class Round:
    """What one round gave.

    Attributes:
        generate: `model.generate` on the grid.
        paged: Continuous batching on the grid; None where it does not run.
        engine: The engine on the grid.
        forks: The fork estimator for each half-width, by its short name.
        every_token: Truncation at every token, likewise.
    """

    generate: Drawing
    paged: Drawing | None
    engine: Drawing
    forks: dict[str, Forking]
    every_token: dict[str, Truncating]

    def ratios(self) -> dict[str, float | None]:
        """Compare the methods; the seconds at the half-width at which forks gain least."""
        engine = self.engine.resamples_per_second
        tokens = {
            f"every_token_tokens_over_d_tokens_{name}": self.every_token[name].tokens / forks.tokens
            for name, forks in self.forks.items()
        }
        seconds = {
            name: self.every_token[name].seconds / forks.seconds
            for name, forks in self.forks.items()
        }
        return {
            "c_over_a_resamples_per_second": engine / self.generate.resamples_per_second,
            "c_over_b_resamples_per_second": (
                engine / self.paged.resamples_per_second if self.paged else None
            ),
            **tokens,
            "a_seconds_over_d_seconds": min(seconds.values()),
            **{f"a_seconds_over_d_seconds_{name}": value for name, value in seconds.items()},
            "c_forward_share": self.engine.forward_share,
        }
