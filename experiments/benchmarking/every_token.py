"""What truncating at every token would take to the same half-width.

The work is too much to be done: draws and tokens are worked out from curves that forks gave, and
the seconds of `generate` are those of a random sample of exactly this work, scaled up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from critwin.fork_expectation import Expectation
from critwin.forks import fork_levels
from critwin.grid_costs import expected_tokens, smallest_draws
from experiments.benchmarking.fork_estimation import ForkEstimate
from experiments.benchmarking.work import Cut, Work

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reference:
    """What is known of every position of every original; all arrays have shape (J,).

    Attributes:
        original: Number of the original.
        position: Tokens kept.
        agreement: Probability of the original's own label.
        tokens: Expected tokens of a resample.
    """

    original: Ints
    position: Ints
    agreement: Floats
    tokens: Floats

    @classmethod
    def of(cls, estimate: ForkEstimate) -> Self:
        """Take it from the forks of a precise estimate."""
        agreement, tokens, lengths = [], [], []
        for m in estimate.measurements:
            forks, n = m.forks, len(m.path.probability)
            spent = np.zeros(n)
            for fork in m.drawn:
                spent[fork.token - 1] += fork.tokens_generated
            cost = Expectation.from_pilot(forks, m.original.label, tokens=spent).cost
            agreement.append(fork_levels(forks, m.original.label)[:-1])
            tokens.append(expected_tokens(m.path.probability, cost))
            lengths.append(n)
        return cls(
            original=np.repeat(np.arange(len(lengths)), lengths),
            position=np.concatenate([np.arange(n) for n in lengths]),
            agreement=np.concatenate(agreement),
            tokens=np.concatenate(tokens),
        )


@dataclass(frozen=True)
class EveryToken:
    """Truncation at every position of a reference, each with its smallest number of draws.

    Attributes:
        reference: The positions.
        draws: Resamples at each, shape (J,).
    """

    reference: Reference
    draws: Ints

    @classmethod
    def to_half_width(cls, reference: Reference, half_width: float) -> Self:
        """Plan so that no position's Clopper-Pearson interval is wider than wanted."""
        return cls(reference, smallest_draws(reference.agreement, half_width))

    @property
    def resamples(self) -> int:
        """Resamples in all."""
        return int(self.draws.sum())

    @property
    def tokens(self) -> float:
        """Expected tokens in all."""
        return float(self.draws @ self.reference.tokens)

    def sample(self, work: Work, count: int, *, most: int, seed: int) -> list[Cut]:
        """Draw cuts in proportion to their resamples, spread evenly over the originals.

        The mean over them of the seconds per resample is unbiased for that of the whole work: they
        stand at equal steps along the line of all resamples, from a random beginning.

        Args:
            work: The originals.
            count: Number of cuts.
            most: Resamples of a cut at most: more would take several calls.
            seed: Decides the beginning.
        """
        ends = np.cumsum(self.draws)
        steps = (np.random.default_rng(seed).random() + np.arange(count)) / count
        chosen = np.searchsorted(ends, steps * ends[-1], side="right")
        return [
            work.cut(
                int(self.reference.original[j]),
                int(self.reference.position[j]),
                draws=min(int(self.draws[j]), most),
            )
            for j in chosen
        ]

    def seconds(self, cuts: list[Cut], seconds_of: Callable[[Cut], float]) -> float:
        """Scale the seconds of a sample up to the whole work."""
        return self.resamples * float(np.mean([seconds_of(cut) / cut.draws for cut in cuts]))
