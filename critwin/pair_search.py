"""All changes of a curve over short stretches at once: which of them are certain, and how large.

A rule that picks the largest of many noisy differences is misled by the largest error, unless its
interval covers all the differences that could have been picked. How many those are has to be known
from probabilities and numbers of draws alone, before any label is looked at. So a search has three
steps:

1. Pairs that cannot change by more than is asked for are left out with a proof: over a block of
   surprisal -log P no probability changes by more than 1 - P (critwin/fork_bounds.py). The J that
   remain are the family; those that differ only by tokens without a choice are one.
2. Cheap bounds of all J, by Hoeffding's inequality or from a joint band: a part of the error.
3. Sharp intervals, each at (the rest of the error) / J, of the few that can matter. Which those are
   may depend on anything: all J are paid for.

Source: Hoeffding (1963), Journal of the American Statistical Association 58, 13-30; DESIGN.md,
sections 6 and 8.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from critwin.curve import GridCurve, MeasuredCurve
from critwin.fork_intervals import linear_form_interval
from critwin.forks import ForkCurve, Forks
from critwin.statistics import clopper_pearson

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

Unit: TypeAlias = Literal["tokens", "nats", "fraction"]
Column: TypeAlias = npt.NDArray[Any]
Sharp: TypeAlias = Callable[[Ints, Ints, float], tuple[Floats, Floats]]
"""Gives intervals of the changes from some positions to others, each at a level of its own."""

CHEAP_SHARE = 0.1
"""Share of the error that the cheap bounds take: the sharp intervals lose 1 % of their width."""


_CELLS = 2048
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


class Changes:
    """The changes p_end - p_start of one label over J pairs of positions, bounded jointly.

    Every array has shape (J,).

    Attributes:
        start: Tokens kept at the start.
        end: Tokens kept at the end.
        nats: Surprisal of the block, in nats; not a number where the path is not known.
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
    def done(self) -> Bools:
        """Whether the sharp interval of each pair was computed."""
        return self._done

    @property
    def normal_quantile(self) -> float:
        """How many standard errors a joint interval of normal variables would reach."""
        from scipy.special import ndtri

        return float(ndtri(1 - (1 - self._level) / 2))

    def sharpen(self, which: npt.ArrayLike) -> None:
        """Compute the sharp intervals of some pairs and keep what they exclude."""
        index = np.asarray(which, np.int64)
        index = index[~self._done[index]]
        if len(index):
            lower, upper = self._sharp(self.start[index], self.end[index], self._level)
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
        }

        def sharp(start: Ints, end: Ints, level: float) -> tuple[Floats, Floats]:
            lower, upper = self._sharp(start, end, level)
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


def changes(
    curve: MeasuredCurve,
    *,
    width: Width = ANY,
    above: float = 0.0,
    level: float = 0.95,
) -> Changes:
    """Bound every change of a curve over a stretch of at most some width, jointly.

    Args:
        curve: A curve counted on a grid, or estimated from forks.
        width: How long a stretch may be. Nats are known of forks only.
        above: Only changes above it, up or down, are asked for, in [0, 1): others may be left out.
        level: Coverage of all the intervals at once, in (0, 1).

    Raises:
        TypeError: The curve is of another kind, or nats are asked of a grid.
    """
    if isinstance(curve, ForkCurve):
        return _fork_changes(curve, width, above, 1 - level)
    if isinstance(curve, GridCurve) and width.unit != "nats":
        return _grid_changes(curve, width, 1 - level)
    raise TypeError(f"changes of a {type(curve).__name__} in {width.unit}")


def rough_errors(curve: MeasuredCurve) -> Floats:
    """Give a rough standard error of each value of a curve, shape (L,); 0 where it is exact.

    Raises:
        TypeError: The curve is of another kind than grid and forks.
    """
    if isinstance(curve, ForkCurve):
        choices, reduced = _choices(curve.forks)
        variance = _Blocks.of(reduced, curve.label, choices).after[3]
        errors: Floats = np.sqrt(variance[np.searchsorted(choices, curve.position)])
        return errors
    if isinstance(curve, GridCurve):
        errors = np.sqrt(_grid_variance(curve))
        return errors
    raise TypeError(f"errors of a {type(curve).__name__}")


def _grid_variance(curve: GridCurve) -> Floats:
    trials = curve.trials
    smoothed = (np.rint(curve.agreement * trials) + 1) / (trials + 2)
    return np.where(trials > 0, smoothed * (1 - smoothed) / np.maximum(trials, 1), 0.0)


def _near(tokens: Ints, nats: Floats, length: int, width: Width) -> Bools:
    size = {"tokens": tokens, "nats": nats, "fraction": tokens / length}[width.unit]
    near: Bools = size <= width.size * (1 + 1e-12)
    return near


def _grid_changes(curve: GridCurve, width: Width, error: float) -> Changes:
    position, trials = curve.position, curve.trials
    first, last = _grid_pairs(position, curve.length, width)
    hits = np.rint(curve.agreement * trials)
    drawn = trials > 0
    alone = 1 - CHEAP_SHARE * error / max(int(drawn.sum()), 1)
    low, high = clopper_pearson(hits, trials, level=alone)
    low, high = (np.where(drawn, v, curve.agreement) for v in (low, high))
    variance = _grid_variance(curve)
    pairs = {
        "start": position[first],
        "end": position[last],
        "nats": np.full(len(first), np.nan),
        "change": curve.agreement[last] - curve.agreement[first],
        "error": np.sqrt(variance[first] + variance[last]),
        "lower": low[last] - high[first],
        "upper": high[last] - low[first],
    }
    known = np.where(drawn, 0.0, curve.agreement)

    def sharp(start: Ints, end: Ints, level: float) -> tuple[Floats, Floats]:
        s, e = np.searchsorted(position, start), np.searchsorted(position, end)
        counts = np.stack([hits[s], trials[s], hits[e], trials[e]], axis=1)
        lower, upper = _two_binomials(counts.astype(np.int64), level)
        exact = known[e] - known[s]
        return exact + lower, exact + upper

    return Changes(
        pairs=pairs,
        length=curve.length,
        left_out=0,
        left_out_change=0.0,
        everywhere=curve.everywhere,
        error=error,
        sharp=sharp,
        batch=_CELLS // 2,
    )


def _two_binomials(counts: Ints, level: float) -> tuple[Floats, Floats]:
    """Give intervals of differences of two binomial probabilities, one without draws being 0.

    Args:
        counts: Hits and draws of the first, hits and draws of the second; shape (J, 4).
        level: Coverage of each, in (0, 1).
    """
    known = _known_pairs(level)
    rows, back = np.unique(counts, axis=0, return_inverse=True)
    keys: list[tuple[int, ...]] = list(map(tuple, rows.tolist()))
    new = [i for i, key in enumerate(keys) if key not in known]
    if new:
        trials = rows[new][:, [1, 3]]
        weights = np.where(trials > 0, [-1.0, 1.0], 0.0)
        ends = linear_form_interval(weights, rows[new][:, [0, 2]], trials, level=level)
        found = zip(ends[0].tolist(), ends[1].tolist(), strict=True)
        known.update(zip([keys[i] for i in new], found, strict=True))
    both = np.array([known[key] for key in keys])[back.reshape(-1)]
    return both[:, 0], both[:, 1]


@lru_cache(maxsize=8)
def _known_pairs(level: float) -> dict[tuple[int, ...], tuple[float, float]]:
    """Keep the intervals of one level: originals of one length ask for the same ones."""
    return {}


def _grid_pairs(position: Ints, length: int, width: Width) -> tuple[Ints, Ints]:
    first, last = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for step in range(1, len(position)):
        tokens = position[step:] - position[:-step]
        near = _near(tokens, np.zeros(len(tokens)), length, width) | (step == 1)
        if not near.any():
            break
        at = np.flatnonzero(near)
        first.append(at)
        last.append(at + step)
    return np.concatenate(first), np.concatenate(last)


def _fork_changes(curve: ForkCurve, width: Width, above: float, error: float) -> Changes:
    choices, reduced = _choices(curve.forks)
    blocks = _Blocks.of(reduced, curve.label, choices)
    pairs, left_out, left_out_change = blocks.pairs(curve.length, width, above)
    j = max(len(pairs["start"]), 1)
    half = np.sqrt(math.log(2 * j / (CHEAP_SHARE * error)) / 2 * pairs.pop("squares"))
    pairs["lower"] = np.maximum(pairs["least"] - half, -1)
    pairs["upper"] = np.minimum(pairs["most"] + half, 1)
    small = replace(curve, forks=reduced)

    def sharp(start: Ints, end: Ints, level: float) -> tuple[Floats, Floats]:
        # tokens without a choice change nothing: positions are counted in choices
        at = np.searchsorted(choices, start), np.searchsorted(choices, end)
        return small.differences(*at, level=level)

    return Changes(
        pairs=pairs,
        length=curve.length,
        left_out=left_out,
        left_out_change=left_out_change,
        everywhere=True,
        error=error,
        sharp=sharp,
        batch=max(_CELLS // max(len(choices), 1), 8),
    )


def _choices(forks: Forks) -> tuple[Ints, Forks]:
    """Give the tokens with a choice, from 0, and the forks with nothing but them."""
    choices = np.flatnonzero(forks.probability < 1)
    reduced = replace(
        forks,
        probability=forks.probability[choices],
        counts=forks.counts[choices],
        length=int((choices < forks.length).sum()),
    )
    return choices, reduced


@dataclass(frozen=True)
class _Blocks:
    """What blocks of tokens with a choice add up to.

    A change is (1 - P) p_e less the leave values inside the block. Arrays have shape (K,) for the
    tokens, and (K + 1,) for what lies after the first k of them.

    Attributes:
        token: Number of the token, from 0.
        stay: Its probability.
        inside: What the token itself adds to a block's sums, one row per name in `_SUMS`.
        after: The same sums over all later tokens, and the path's own end.
    """

    token: Ints
    stay: Floats
    inside: Floats
    after: Floats

    @classmethod
    def of(cls, forks: Forks, label: str, token: Ints) -> _Blocks:
        pi, n = forks.probability, forks.trials
        hits, seen = forks.hits(label), n > 0
        d, leave = forks.leave_values(label), 1 - pi
        per = leave**2 / np.maximum(n, 1)
        smoothed = (hits + 1) / (n + 2)
        inside = np.stack(
            [
                np.where(seen, leave * d, 0.0),  # known leave values
                np.where(seen, 0.0, leave),  # weight of tokens that were not forked
                np.where(seen, per, 0.0),  # sum of squared weights of single draws
                np.where(seen, per * smoothed * (1 - smoothed), leave**2 / 12),  # rough variance
            ]
        )
        after = np.zeros((4, len(pi) + 1))
        after[0, -1] = float(label == forks.own)
        scale = np.stack([pi, pi, pi**2, pi**2])
        rest = after[:, -1].copy()
        for k in range(len(pi) - 1, -1, -1):
            rest = scale[:, k] * rest + inside[:, k]
            after[:, k] = rest
        own = forks.length
        return cls(token[:own], pi[:own], inside[:, :own], after[:, : own + 1])

    def pairs(
        self, length: int, width: Width, above: float
    ) -> tuple[dict[str, Column], int, float]:
        """Give the pairs that are near enough and may change enough; how many others may not."""
        count = len(self.token)
        path, sums = np.ones(count), np.zeros_like(self.inside)
        nats = np.zeros(count)
        surprisal = -np.log(np.maximum(self.stay, 1e-300))
        found: list[dict[str, Column]] = []
        left_out, largest = 0, 0.0
        for step in range(count):
            size = count - step
            path, sums, nats = path[:size], sums[:, :size], nats[:size]
            here = self.inside[:, step:]
            sums = sums + np.stack([path, path, path**2, path**2]) * here
            path, nats = path * self.stay[step:], nats + surprisal[step:]
            tokens = self.token[step:] + 1 - self.token[:size]
            near = _near(tokens, nats, length, width) | (step == 0)
            if not near.any():
                break
            change = 1 - path
            # sums of rounded numbers: a block on the threshold is looked at rather than left out
            enough = near & (change > above * (1 - 1e-12))
            left = near & ~enough
            left_out += int(left.sum())
            largest = max(largest, float(change[left].max(initial=0.0)))
            i = np.flatnonzero(enough)
            found.append(self._described(i, step, change[i], sums[:, i], nats[i]))
        names = ("start", "end", "nats", "change", "error", "least", "most", "squares")
        none = [np.zeros(0)]
        made = {name: np.concatenate([one[name] for one in found] or none) for name in names}
        return made, left_out, largest

    def _described(
        self, i: Ints, step: int, leave: Floats, sums: Floats, nats: Floats
    ) -> dict[str, Column]:
        known, unknown, squares, variance = self.after[:, i + step + 1]
        least = leave * known - sums[0] - sums[1]
        most = leave * (known + unknown) - sums[0]
        return {
            "start": self.token[i],
            "end": self.token[i + step] + 1,
            "nats": nats,
            "change": (least + most) / 2,
            "error": np.sqrt(leave**2 * variance + sums[3]),
            "least": least,
            "most": most,
            "squares": leave**2 * squares + sums[2],
        }
