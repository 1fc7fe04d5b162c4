"""Seeds that belong to identities, not to the order of the work."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def fold_in(seed: int, *identity: str | int) -> int:
    """Derive the seed of one draw from a run's seed and the identity of the draw.

    The same identity always gives the same seed, whatever the batch, shard, order or restart;
    different identities give unrelated ones.

    Args:
        seed: The run's seed, any integer.
        identity: What is drawn, for example a problem's name, an original's number, a level and a
            replicate.

    Returns:
        An integer in [0, 2**63).
    """
    text = json.dumps([seed, *identity], ensure_ascii=True, separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def uniforms(seeds: npt.NDArray[np.uint64], step: npt.NDArray[np.uint64] | np.uint64) -> Floats:
    """Give the random numbers of draws at steps: a counter-based generator.

    The number depends on the seed and the step alone, so rows of a batch may come and go.

    Args:
        seeds: Seeds from `fold_in`, any shape that broadcasts with `step`.
        step: Number of the random choice within the draw, for example the token's index.

    Returns:
        Numbers in [0, 1) with 53 random bits, in the broadcast shape.

    Source:
        SplitMix64: Steele, Lea, Flood (2014), "Fast splittable pseudorandom number generators",
        Figure 13 (finaliser of David Stafford's variant 13).
    """
    with np.errstate(over="ignore"):
        z = seeds + (step + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    numbers: Floats = (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return numbers


def normals(seeds: npt.NDArray[np.uint64], step: npt.NDArray[np.uint64] | np.uint64) -> Floats:
    """Give standard normal numbers of draws at steps: `uniforms` through the normal quantile.

    Args:
        seeds: As in `uniforms`.
        step: As in `uniforms`.

    Returns:
        Finite numbers, in the broadcast shape.
    """
    from scipy.special import ndtri

    middle = uniforms(seeds, step)
    middle += 2.0**-54  # the middle of the cell of a number, never 0 or 1
    numbers: Floats = ndtri(middle, out=middle)
    return numbers
