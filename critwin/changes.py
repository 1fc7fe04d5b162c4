"""Changes of a curve over pairs of positions, bounded jointly: see critwin/pair_search.py."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

Unit: TypeAlias = Literal["tokens", "nats", "fraction"]
Column: TypeAlias = npt.NDArray[Any]
Sharp: TypeAlias = Callable[[Ints, float], tuple[Floats, Floats]]
"""Gives intervals of the changes with some numbers, each at a level of its own."""

CHEAP_SHARE = 0.1
"""Share of the error that the cheap bounds take: the sharp intervals lose 1 % of their width."""

AIMED_SHARE = 0.8
"""Share of the error that the pairs take at which forks were aimed, where there are any."""


CELLS = 2048
"""Draws' weights in a batch of sharp intervals: fewer cost as much time."""


@dataclass(frozen=True)
class Width:
    """How far apart the ends of a stretch may be.

    A single token is always near enough, and so are neighbours among the positions that a grid
    visited: nothing shorter can be seen.

    Attributes:
        size: Greatest width, > 0; infinite for any.
        unit: Tokens, nats of surprisal of the block, or fraction of the original.
    """

    size: float = math.inf
    unit: Unit = "tokens"


ANY = Width()


@dataclass(frozen=True)
class Sought:
    """What a window rule asks for.

    Attributes:
        threshold: A change strictly above it, in (0, 1).
        width: Over at most this.
    """

    threshold: float
    width: Width


@dataclass(frozen=True)
class AimedPair:
    """A pair at which forks were aimed, because a change of the own label seemed possible there.

    Attributes:
        start: Tokens kept at its start.
        end: Tokens kept at its end, > start.
        rise: Whether a rise seemed possible, else a fall.
    """

    start: int
    end: int
    rise: bool


class Changes:
    """The changes p_end - p_start of one label over J pairs of positions, bounded jointly.

    Some may be means of the changes over several stretches, each a position further on than the one
    before. Where such a mean is above a size one of the stretches changes by more than that; where
    it is not nothing follows for any of them.

    Every array has shape (J,).

    Attributes:
        start: Tokens kept at the start; of a mean at that of its first stretch.
        end: Tokens kept at the end; of a mean at that of its last stretch.
        middle_start: Tokens kept at the start of the middle stretch of a mean, else `start`.
        middle_end: Tokens kept at its end, else `end`.
        longest: Tokens of the longest stretch of a mean, else those from start to end.
        nats: Surprisal of the block, in nats, of the largest one of a mean; not a number where the
            path is not known.
        change: Estimates.
        error: Rough standard errors; they only steer which intervals are computed.
        lower: Lower ends, all of them valid at once; sharper where `sharpen` was there.
        upper: Upper ends, likewise.
        length: Tokens of the original.
        left_out: Pairs that were left out with a proof.
        left_out_change: No change over one of them is larger, up or down.
        everywhere: Whether every position was looked at.
        batch: Sharp intervals that are best computed together.
    """

    def __init__(
        self,
        *,
        pairs: Mapping[str, Column],
        length: int,
        left_out: int,
        left_out_change: float,
        everywhere: bool,
        error: float,
        sharp: Sharp,
        batch: int,
    ) -> None:
        self.start, self.end = pairs["start"].astype(np.int64), pairs["end"].astype(np.int64)
        self.nats, self.change, self.error, self.lower, self.upper = (
            pairs[name].astype(np.float64) for name in ("nats", "change", "error", "lower", "upper")
        )
        self.middle_start = pairs.get("middle_start", self.start)
        self.middle_end = pairs.get("middle_end", self.end)
        self.longest = pairs.get("longest", self.tokens).astype(np.int64)
        self.length, self.everywhere = length, everywhere
        self.left_out, self.left_out_change = left_out, left_out_change
        self._level = 1 - (1 - CHEAP_SHARE) * error / max(len(self.start), 1)
        self._sharp, self.batch = sharp, batch
        self._done = np.zeros(len(self.start), dtype=bool)

    def __len__(self) -> int:
        return len(self.start)

    @property
    def tokens(self) -> Ints:
        """Tokens of each block."""
        return self.end - self.start

    @property
    def pooled(self) -> Bools:
        """Whether each is a mean of changes: no stretch of one goes from its start to its end."""
        pooled: Bools = self.tokens > self.longest
        return pooled

    @property
    def done(self) -> Bools:
        """Whether the sharp interval of each pair was computed."""
        return self._done

    @property
    def normal_quantile(self) -> float:
        """How many standard errors a joint interval of normal variables would reach."""
        from scipy.special import ndtri

        return float(ndtri(1 - (1 - self._level) / 2))

    def pair(self, number: int) -> int:
        """Give the number of the middle stretch of a mean; its own where it is none."""
        if not self.pooled[number]:
            return number
        same = self.start == self.middle_start[number]
        same &= self.end == self.middle_end[number]
        return int(np.flatnonzero(same & ~self.pooled)[0])

    def sharpen(self, which: npt.ArrayLike) -> None:
        """Compute the sharp intervals of some pairs and keep what they exclude."""
        index = np.asarray(which, np.int64)
        index = index[~self._done[index]]
        if len(index):
            lower, upper = self._sharp(index, self._level)
            self.lower[index] = np.maximum(self.lower[index], lower)
            self.upper[index] = np.minimum(self.upper[index], upper)
            self._done[index] = True

    def reversed(self) -> Changes:
        """Give the changes with their sign turned, so that falls are rises."""
        turned = {
            "start": self.start,
            "end": self.end,
            "nats": self.nats,
            "change": -self.change,
            "error": self.error,
            "lower": -self.upper,
            "upper": -self.lower,
            "middle_start": self.middle_start,
            "middle_end": self.middle_end,
            "longest": self.longest,
        }

        def sharp(index: Ints, level: float) -> tuple[Floats, Floats]:
            lower, upper = self._sharp(index, level)
            return -upper, -lower

        made = Changes(
            pairs=turned,
            length=self.length,
            left_out=self.left_out,
            left_out_change=self.left_out_change,
            everywhere=self.everywhere,
            error=0.0,
            sharp=sharp,
            batch=self.batch,
        )
        made._level, made._done = self._level, self._done.copy()
        return made


def largest_change(nats: Floats) -> Floats:
    """Give by how much any probability may change over blocks of some surprisal, up or down."""
    most: Floats = -np.expm1(-nats)
    return most


def may_exceed(nats: Floats, above: float) -> Bools:
    """Tell over which blocks a probability may change by more than a size; NaN: any may.

    Surprisals are sums of rounded logarithms: a block on the edge is looked at, not left out.
    """
    may: Bools = ~(largest_change(nats) <= above * (1 - 1e-12))
    return may


def near_enough(tokens: Ints, nats: Floats, length: int, width: Width) -> Bools:
    """Tell which blocks are within a width."""
    size = {"tokens": tokens, "nats": nats, "fraction": tokens / length}[width.unit]
    near: Bools = size <= width.size * (1 + 1e-12)
    return near
