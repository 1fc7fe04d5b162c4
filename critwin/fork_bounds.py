"""Where a jump cannot be: bounds from the path's probabilities alone, without any resample.

Over a block of tokens s+1..e, with P the probability to stay on the path through it,

    p_e - p_s = (1 - P) (p_e - D)                                                                (3)

for a mean leave value D in [0, 1], so no label's probability changes by more than 1 - P: a change
above c needs a block surprisal -log P above ln(1 / (1 - c)).

Source: DESIGN.md, section 6, equation (3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from critwin.errors import ParameterError
from critwin.sampler import Path

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BlockBounds:
    """Which tokens a search for jumps has to look at, with the numbers that prove it.

    Arrays have shape (n,), token u at entry u - 1.

    Attributes:
        threshold: c: only changes strictly above it are searched for, in (0, 1).
        width: Greatest number of tokens of a block.
        needed_surprisal: ln(1 / (1 - c)), in nats.
        block_surprisal: The largest surprisal of a block of `width` tokens that holds the token, in
            nats: the proof for a token is that this is not above `needed_surprisal`.
        largest_change: 1 - exp(-block_surprisal): no change over a block that holds the token is
            larger, for any label, up or down.
        fork: Whether the token has to be forked: some block that holds it may change by more than
            the threshold, and the sampler had a choice at it.
        left_out: Sum of 1 - pi_u over the other tokens. Changes over the blocks that remain are
            known up to what lies after them: leaving it out widens their intervals by its weight.
    """

    threshold: float
    width: int
    needed_surprisal: float
    block_surprisal: Floats
    largest_change: Floats
    fork: Bools
    left_out: float


def block_bounds(path: Path, *, threshold: float, width: int) -> BlockBounds:
    """Find the tokens that no change above a threshold can hold, and those to be forked.

    A change is one over a block of at most `width` tokens. Moving from s to s + 1 tokens kept uses
    the surprisal of token s + 1.

    Raises:
        ParameterError: The threshold is outside (0, 1), or the width below 1.
    """
    if not 0 < threshold < 1:
        raise ParameterError("threshold", threshold, "a number in (0, 1)")
    if width < 1:
        raise ParameterError("width", width, "a whole number of tokens >= 1")
    needed = -math.log1p(-threshold)
    nats = path.surprisal
    block = np.zeros(len(nats))
    if len(nats):
        size = min(width, len(nats))
        sums = sliding_window_view(nats, size).sum(axis=1)
        # token u lies in the blocks that begin at u - size + 1 .. u, as far as there are such
        padded = np.pad(sums, size - 1, constant_values=0.0)
        block = sliding_window_view(padded, size).max(axis=1)
    # sums of rounded logarithms: a block on the threshold is searched rather than left out
    fork = (block > needed * (1 - 1e-12)) & (path.probability < 1)
    left_out = float((1 - path.probability)[~fork].sum())
    return BlockBounds(threshold, width, needed, block, -np.expm1(-block), fork, left_out)
