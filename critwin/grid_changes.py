"""Changes of a curve that was counted on a grid: differences of two binomials.

Resamples at different positions are independent, so means over neighbouring positions are known
better than any value alone. Where the mean over the last positions of a stretch is above that over
its first ones by more than a size, some pair of positions inside changes by more than it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from critwin.changes import CELLS, CHEAP_SHARE, Changes, Width, near_enough
from critwin.curve import GridCurve
from critwin.fork_intervals import linear_form_interval
from critwin.statistics import clopper_pearson

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

POOLS = (2, 3, 5, 8, 13)
"""Positions at each end whose mean is compared: each size stands for those up to the next."""


@dataclass(frozen=True)
class _Ends:
    """The positions at both ends of each change, by number; all arrays have shape (J,).

    Attributes:
        first: The first position of the start.
        inner: The last position of the start.
        outer: The first position of the end.
        last: The last position of the end.
    """

    first: Ints
    inner: Ints
    outer: Ints
    last: Ints

    @property
    def pooled(self) -> npt.NDArray[np.bool_]:
        """Whether more than one position stands at an end."""
        many: npt.NDArray[np.bool_] = self.inner > self.first
        return many

    @property
    def spans(self) -> tuple[tuple[Ints, Ints], tuple[Ints, Ints]]:
        """Where the positions of the start, and those of the end, begin and end."""
        return (self.first, self.inner + 1), (self.outer, self.last + 1)

    def means(self, weights: Floats, *values: Floats) -> list[tuple[Floats, Floats]]:
        """Give the weighted means of several values at the starts and at the ends."""
        start, end = self.spans
        before, after = _sums(weights, *start), _sums(weights, *end)
        products = (value * weights for value in values)
        return [(_sums(v, *start) / before, _sums(v, *end) / after) for v in products]


def grid_changes(curve: GridCurve, width: Width, error: float, *, pool: bool = False) -> Changes:
    """Bound every change between positions that were visited; `error` is that of all at once."""
    position, trials = curve.position, curve.trials
    ends = _ends(curve, width, pool=pool)
    hits = np.rint(curve.agreement * trials)
    drawn = trials > 0
    alone = 1 - CHEAP_SHARE * error / max(int(drawn.sum()), 1)
    low, high = clopper_pearson(hits, trials, level=alone)
    low, high = (np.where(drawn, v, curve.agreement) for v in (low, high))
    weights = np.where(drawn, trials, 1).astype(np.float64)
    (before, after), (low_before, low_after), (high_before, high_after) = ends.means(
        weights, curve.agreement, low, high
    )
    pairs = {
        "start": position[ends.first],
        "end": position[ends.last],
        "nats": np.full(len(ends.first), np.nan),
        "change": after - before,
        "error": _errors(ends, hits, trials),
        "lower": low_after - high_before,
        "upper": high_after - low_before,
        "pooled": ends.pooled,
    }
    known = np.where(drawn, 0.0, curve.agreement)

    def sharp(index: Ints, level: float) -> tuple[Floats, Floats]:
        a, b, c, d = (e[index] for e in (ends.first, ends.inner, ends.outer, ends.last))
        counts = [_sums(v, s, e + 1) for s, e in ((a, b), (c, d)) for v in (hits, trials)]
        lower, upper = _two_binomials(np.rint(np.stack(counts, axis=1)).astype(np.int64), level)
        exact = known[d] - known[a]
        return exact + lower, exact + upper

    return Changes(
        pairs=pairs,
        length=curve.length,
        left_out=0,
        left_out_change=0.0,
        everywhere=curve.everywhere,
        error=error,
        sharp=sharp,
        batch=CELLS // 2,
    )


def _sums(values: npt.NDArray[np.generic], begin: Ints, end: Ints) -> Floats:
    reached = np.concatenate([[0.0], np.cumsum(values.astype(np.float64))])
    sums: Floats = reached[end] - reached[begin]
    return sums


def _errors(ends: _Ends, hits: Floats, trials: Ints) -> Floats:
    """Give rough standard errors."""
    variance = np.zeros(len(ends.first))
    for begin, end in ends.spans:
        variance += _variance(_sums(hits, begin, end), _sums(trials, begin, end))
    errors: Floats = np.sqrt(variance)
    return errors


def _two_binomials(counts: Ints, level: float) -> tuple[Floats, Floats]:
    """Give intervals of differences of two binomial probabilities, one without draws being 0.

    Counts that were added up over positions of different probabilities are spread less than those
    of their mean, so they are taken as binomial with it.

    Args:
        counts: Hits and draws of the first, hits and draws of the second; shape (J, 4).
        level: Coverage of each, in (0, 1).

    Source:
        Hoeffding (1956), Annals of Mathematical Statistics 27, 713-721.
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


def _ends(curve: GridCurve, width: Width, *, pool: bool) -> _Ends:
    """Give the pairs within a width, and where asked for the means at both ends of stretches."""
    first, last = _grid_pairs(curve.position, curve.length, width)
    made = [(first, first, last, last)]
    if pool:
        made += _means(curve, first, last)
    return _Ends(*(np.concatenate(part) for part in zip(*made, strict=True)))


def _means(curve: GridCurve, first: Ints, last: Ints) -> list[tuple[Ints, Ints, Ints, Ints]]:
    """Give, for each number of positions at an end, the shortest and the widest stretches."""
    count = len(curve.position)
    # the longest stretch from each position; what is near enough is near enough for shorter ones
    reach = np.zeros(count, np.int64)
    np.maximum.at(reach, first, last)
    made = []
    for size in POOLS:
        begin = np.arange(count)
        shortest = begin + 2 * size - 1
        for end in (shortest, reach):
            fits = (end >= shortest) & (end <= reach)
            if end is reach:
                fits &= reach > shortest  # else it is the shortest
            at = np.flatnonzero(fits)
            at = at[_drawn(curve, at, end[at] + 1)]
            made.append((at, at + size - 1, end[at] - size + 1, end[at]))
    return made


def _drawn(curve: GridCurve, begin: Ints, end: Ints) -> npt.NDArray[np.bool_]:
    """Tell where draws were made at every position of a stretch."""
    missing = _sums(curve.trials == 0, begin, end)
    return missing < 0.5


def _grid_pairs(position: Ints, length: int, width: Width) -> tuple[Ints, Ints]:
    first, last = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for step in range(1, len(position)):
        tokens = position[step:] - position[:-step]
        near = near_enough(tokens, np.zeros(len(tokens)), length, width) | (step == 1)
        if not near.any():
            break
        at = np.flatnonzero(near)
        first.append(at)
        last.append(at + step)
    return np.concatenate(first), np.concatenate(last)


def grid_variance(curve: GridCurve) -> Floats:
    """Give a rough variance of each value, 0 where it is exact."""
    return _variance(np.rint(curve.agreement * curve.trials), curve.trials)


def _variance(hits: Floats, trials: npt.NDArray[np.generic]) -> Floats:
    draws = trials.astype(np.float64)
    smoothed = (hits + 1) / (draws + 2)
    return np.where(draws > 0, smoothed * (1 - smoothed) / np.maximum(draws, 1), 0.0)
