"""Changes of a curve that was counted on a grid: differences of two binomials.

Resamples at different positions are independent, so a mean over neighbouring positions is known
better than any value alone. A mean of the changes over several stretches of one length, each a
position further on than the one before, is the change of a mean: where it is above a size, so is
the change over one of the stretches. All draws at their starts and at their ends tell of it, which
are up to two widths of the curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from critwin.changes import (
    CELLS,
    CHEAP_SHARE,
    Changes,
    Width,
    largest_change,
    may_exceed,
    near_enough,
)
from critwin.curve import GridCurve
from critwin.fork_intervals import linear_form_interval
from critwin.statistics import clopper_pearson

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

POOLS = (2, 3, 5, 8, 13, 21, 34, 55, 89)
"""Numbers of stretches whose changes are averaged, with the greatest that the width allows, up to
the last. Each is at most 1.7 times the one before: one has 60 % of the draws of any other."""

DIGITS = 12
"""Changes are rounded to so many: .7 less .5 is .2, whatever floating point says."""

KEPT = 100_000
"""Intervals of pairs of counts that are kept at most, of one level."""


@dataclass(frozen=True)
class _Means:
    """Means of changes over neighbouring stretches; all arrays have shape (J,).

    Attributes:
        first: The position at which the first stretch starts, by number.
        lag: How many positions further on each ends.
        count: How many stretches there are, each from a position to that so much further on; at
            most `lag`, so that they have some tokens in common.
    """

    first: Ints
    lag: Ints
    count: Ints

    @property
    def spans(self) -> tuple[tuple[Ints, Ints], tuple[Ints, Ints]]:
        """Where the positions of the starts, and those of the ends, begin and end."""
        start, end = self.first, self.first + self.lag
        return (start, start + self.count), (end, end + self.count)

    def some(self, which: npt.NDArray[np.generic]) -> _Means:
        """Give some of them."""
        return _Means(self.first[which], self.lag[which], self.count[which])

    def of(self, *values: npt.NDArray[np.generic]) -> list[tuple[Floats, Floats]]:
        """Give the means of several values over the starts and over the ends."""
        start, end = self.spans
        return [(_sums(v, *start) / self.count, _sums(v, *end) / self.count) for v in values]


def grid_changes(curve: GridCurve, width: Width, above: float, error: float) -> Changes:
    """Bound every change between positions that were visited; `error` is that of all at once.

    Where the path's surprisal is known, pairs that cannot change by more than `above` are left out.
    """
    position, trials = curve.position, curve.trials
    means, nats, left = _told_apart(curve, _means_within(curve, width), above)
    hits = np.rint(curve.agreement * trials)
    drawn = trials > 0
    alone = 1 - CHEAP_SHARE * error / max(int(drawn.sum()), 1)
    low, high = clopper_pearson(hits, trials, level=alone)
    low, high = (np.where(drawn, v, curve.agreement) for v in (low, high))
    (before, after), (low_before, low_after), (high_before, high_after) = means.of(
        curve.agreement, low, high
    )
    middle = means.first + (means.count - 1) // 2
    # p_e - p_s = (1 - P) (p_e - D) for a mean leave value D in [0, 1]
    leave = np.where(np.isnan(nats), 1.0, largest_change(nats))
    change = np.round(after - before, DIGITS)
    least = np.maximum(low_after - high_before, -leave * (1 - low_after))
    most = np.minimum(high_after - low_before, leave * high_after)
    pairs = {
        "start": position[means.first],
        "end": position[means.first + means.count - 1 + means.lag],
        "middle_start": position[middle],
        "middle_end": position[middle + means.lag],
        "longest": _sizes(position, means)[1],
        "nats": nats,
        "change": change,
        "error": _errors(means, hits, trials),
        "lower": np.minimum(np.round(least, DIGITS), change),
        "upper": np.maximum(np.round(most, DIGITS), change),
    }
    known = np.where(drawn, 0.0, curve.agreement)

    def sharp(index: Ints, level: float) -> tuple[Floats, Floats]:
        asked = means.some(index)
        exact = [known[begin] for begin, _ in asked.spans]  # of pairs: means are of draws alone
        lower, upper = _sharp(asked, hits, trials, level)
        return exact[1] - exact[0] + lower, exact[1] - exact[0] + upper

    return Changes(
        pairs=pairs,
        length=curve.length,
        left_out=len(left),
        left_out_change=float(left.max(initial=0.0)),
        everywhere=curve.everywhere,
        error=error,
        sharp=sharp,
        batch=CELLS // 2,
    )


def _sums(values: npt.NDArray[np.generic], begin: Ints, end: Ints) -> Floats:
    reached = np.concatenate([[0.0], np.cumsum(values.astype(np.float64))])
    sums: Floats = reached[end] - reached[begin]
    return sums


def _errors(means: _Means, hits: Floats, trials: Ints) -> Floats:
    """Give rough standard errors."""
    variance = np.zeros(len(means.first))
    per_draw = np.where(trials > 0, 1 / np.maximum(trials, 1), 0.0)
    for begin, end in means.spans:
        one = _variance_of_one(_sums(hits, begin, end), _sums(trials, begin, end))
        variance += one * _sums(per_draw, begin, end) / means.count**2
    errors: Floats = np.sqrt(variance)
    return errors


def _sharp(means: _Means, hits: Floats, trials: Ints, level: float) -> tuple[Floats, Floats]:
    """Give sharp intervals, positions without draws counting as 0."""
    lower, upper = np.empty(len(means.first)), np.empty(len(means.first))
    uneven = np.zeros(len(means.first), dtype=bool)
    changes = np.concatenate([[0], np.cumsum(np.diff(trials) != 0)])
    for begin, end in means.spans:
        uneven |= changes[begin] != changes[end - 1]
    even = np.flatnonzero(~uneven)
    counts = [_sums(v, b[even], e[even]) for b, e in means.spans for v in (hits, trials)]
    lower[even], upper[even] = _two_binomials(
        np.rint(np.stack(counts, axis=1)).astype(np.int64), level
    )
    for count in np.unique(means.count[uneven]):
        rows = np.flatnonzero(uneven & (means.count == count))
        first = means.first[rows, None] + np.arange(count)
        at = np.hstack([first, first + means.lag[rows, None]])
        weights = np.repeat([-1.0, 1.0], count) / count
        lower[rows], upper[rows] = linear_form_interval(weights, hits[at], trials[at], level=level)
    return lower, upper


def _two_binomials(counts: Ints, level: float) -> tuple[Floats, Floats]:
    """Give intervals of differences of two binomial probabilities, one without draws being 0.

    Counts that were added up over positions of different probabilities, with as many draws of
    each, are spread less than those of their mean, so they are taken as binomial with it (the box
    of a single hit is too small by less than the square of its error).

    Args:
        counts: Hits and draws of the first, hits and draws of the second; shape (J, 4).
        level: Coverage of each, in (0, 1).

    Source:
        Hoeffding (1956), Annals of Mathematical Statistics 27, 713-721.
    """
    known = _known_pairs(level)
    rows, back = np.unique(counts, axis=0, return_inverse=True)
    keys: list[tuple[int, ...]] = list(map(tuple, rows.tolist()))
    if len(known) + len(keys) > KEPT:
        known.clear()
    new = [i for i, key in enumerate(keys) if key not in known]
    if new:
        trials = rows[new][:, [1, 3]]
        weights = np.where(trials > 0, [-1.0, 1.0], 0.0)
        ends = linear_form_interval(weights, rows[new][:, [0, 2]], trials, level=level)
        found = zip(ends[0].tolist(), ends[1].tolist(), strict=True)
        known.update(zip([keys[i] for i in new], found, strict=True))
    both = np.array([known[key] for key in keys]).reshape(-1, 2)[back.reshape(-1)]
    return both[:, 0], both[:, 1]


@lru_cache(maxsize=8)
def _known_pairs(level: float) -> dict[tuple[int, ...], tuple[float, float]]:
    """Keep the intervals of one level: originals of one length ask for the same ones."""
    return {}


def _sizes(reached: npt.NDArray[np.generic], means: _Means) -> tuple[Floats, Floats]:
    """Give the least and the greatest size of the stretches of each mean; sizes add up."""
    values = reached.astype(np.float64)
    least = values[means.first + means.lag] - values[means.first]
    most = least.copy()
    for count in np.unique(means.count[means.count > 1]):
        rows = np.flatnonzero(means.count == count)
        start = means.first[rows, None] + np.arange(count)
        size = values[start + means.lag[rows, None]] - values[start]
        least[rows], most[rows] = size.min(axis=1), size.max(axis=1)
    return least, most


def _nats(curve: GridCurve, means: _Means) -> tuple[Floats, Floats]:
    """Give the least and the greatest surprisal of the stretches of each mean."""
    if curve.nats is None:
        unknown = np.full(len(means.first), np.nan)
        return unknown, unknown
    return _sizes(curve.nats, means)


def _told_apart(curve: GridCurve, means: _Means, above: float) -> tuple[_Means, Floats, Floats]:
    """Leave out means of which a stretch cannot change enough.

    Returns:
        The others, the surprisal of the largest stretch of each, and by how much each pair that was
        left out changes at most.
    """
    least, most = _nats(curve, means)
    enough = may_exceed(least, above)
    alone = ~enough & (means.count == 1)
    return means.some(enough), most[enough], largest_change(most[alone])


def _means_within(curve: GridCurve, width: Width) -> _Means:
    """Give the pairs within a width, and means over several of them."""
    first, last = _grid_pairs(curve.position, curve.length, width)
    alone = (first, last - first, np.ones(len(first), np.int64))
    made = [alone, *_means_of_several(curve, first, last)]
    return _Means(*(np.concatenate(part) for part in zip(*made, strict=True)))


def _means_of_several(curve: GridCurve, first: Ints, last: Ints) -> list[tuple[Ints, Ints, Ints]]:
    """Give, for each number of stretches from each position on, some lengths and the longest."""
    # how far the longest stretch from each position goes; the exact end is no draw
    drawn = int(np.flatnonzero(curve.trials > 0).max(initial=0))
    reach = np.zeros(len(curve.position), np.int64)
    inside = last <= drawn
    np.maximum.at(reach, first[inside], (last - first)[inside])
    most = int(reach.max(initial=0))
    made = []
    for count in sorted({c for c in (*POOLS, min(most, POOLS[-1])) if 1 < c <= most}):
        longest = sliding_window_view(reach, count).min(axis=1)
        lags = count * 2 ** np.arange(int(np.log2(most / count)) + 1)
        others = np.where(np.isin(longest, lags), 0, longest)
        for lag in (*(np.full(len(longest), each) for each in lags), others):
            at = np.flatnonzero((lag >= count) & (lag <= longest))
            at = at[_drawn(curve, at, at + lag[at] + count)]
            made.append((at, lag[at], np.full(len(at), count)))
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
    return np.where(draws > 0, _variance_of_one(hits, draws) / np.maximum(draws, 1), 0.0)


def _variance_of_one(hits: Floats, draws: Floats) -> Floats:
    """Give a rough variance of one draw; where all agree it is not 0."""
    smoothed = (hits + 1) / (draws + 2)
    variance: Floats = smoothed * (1 - smoothed)
    return variance
