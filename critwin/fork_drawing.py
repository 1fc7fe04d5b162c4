"""Where forks come from: drawn as an allocation asks, or found in resamples that left the path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from critwin.sampler import ForkingSampler, Level
from critwin.seeds import fold_in

X = TypeVar("X")
Y = TypeVar("Y")


def draw_forks(
    sampler: ForkingSampler[X, Y],
    originals: Sequence[X],
    forks: Sequence[npt.ArrayLike],
    *,
    stage: str,
    seeds: Sequence[int],
) -> list[list[tuple[int, X]]]:
    """Draw the forks that an allocation asks for; all originals go to the sampler together.

    Args:
        sampler: The sampler that made the originals.
        originals: Length N.
        forks: For each original the number of forks at each of its tokens, shape (n,).
        stage: Name of the stage, `pilot` or `main`: stages draw independently.
        seeds: Seed of each original's forks, length N; each fork's own is folded from it, so that
            more forks keep those that were drawn before.

    Returns:
        For each original its forks, each with the token at which it left, counted from 1; by
        token, those of one token in the order of their replicates.
    """
    work = [
        (i, u, replicate)
        for i, own in enumerate(forks)
        for u, count in enumerate(np.asarray(own).tolist(), start=1)
        for replicate in range(count)
    ]
    drawn = sampler.fork(
        [originals[i] for i, _, _ in work],
        [u for _, u, _ in work],
        seeds=[fork_seed(seeds[i], stage, u, replicate) for i, u, replicate in work],
    )
    found: list[list[tuple[int, X]]] = [[] for _ in originals]
    for (i, u, _), x in zip(work, drawn, strict=True):
        found[i].append((u, x))
    return found


def fork_seed(seed: int, stage: str, token: int, replicate: int) -> int:
    """Give the seed of one fork of an original, `seed` being that of all its forks."""
    return fold_in(seed, "fork", stage, token, replicate)


def first_departure(
    original: Sequence[int], resample: Sequence[int], *, level: Level
) -> int | None:
    """Give the token, counted from 1, at which a resample leaves its original; None if it does not.

    A resample from `level` that first leaves at u is a fork at u, independent of all others given
    where they leave, and can be counted with them; one that never leaves tells nothing. The
    comparison is of token ids: another token with the same text has left.

    Raises:
        ValueError: They differ in what was kept, or one goes on where the other one ended: then
            their length limits or stop rules differ, and the resample is none of the same sampler.
    """
    for u, (a, b) in enumerate(zip(original, resample, strict=False), start=1):
        if a != b:
            if u <= level:
                raise ValueError(f"a resample from level {level} differs at token {u} already")
            return u
    if len(original) != len(resample):
        raise ValueError(
            f"an original of {len(original)} tokens and its resample of {len(resample)} differ in "
            "length alone; allowed: one absolute length limit for both"
        )
    return None
