"""The forward-reverse experiment: observe, then resample, many times.

Source: Li, Karan, Chen (2025), arXiv:2502.00921, Definition 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from critwin.sampler import Level, Sampler
from critwin.seeds import fold_in

X = TypeVar("X")
Y = TypeVar("Y")


def forward_reverse(
    sampler: Sampler[X, Y],
    originals: Sequence[X],
    levels: Sequence[Sequence[Level]],
    *,
    draws: int,
    seeds: Sequence[int],
) -> list[list[list[X]]]:
    """Cut each original at its levels and resample each cut.

    All originals, levels and replicates go to the sampler together.

    Args:
        sampler: The sampler that made the originals.
        originals: Length N.
        levels: Levels visited of each original, length N.
        draws: Resamples per original and level, >= 1.
        seeds: Seed of each original's resamples, length N; each draw's own is folded from it.

    Returns:
        For each original, for each of its levels, the resamples.
    """
    cuts = [(i, level) for i, own in enumerate(levels) for level in own]
    drawn = sampler.resample(
        sampler.observe(
            [originals[i] for i, _ in cuts],
            [level for _, level in cuts],
            seeds=[fold_in(seeds[i], "observe", level) for i, level in cuts],
        ),
        seeds=[resample_seeds(seeds[i], level, draws) for i, level in cuts],
    )
    by_cut = iter(drawn)
    return [[next(by_cut) for _ in own] for own in levels]


def resample_seeds(seed: int, level: Level, draws: int) -> list[int]:
    """Give the seeds of the resamples of one original at one level."""
    return [fold_in(seed, "resample", level, replicate) for replicate in range(draws)]
