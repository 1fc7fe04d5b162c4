"""Changes of a curve that was counted on a grid: differences of two binomials."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from critwin.changes import CELLS, CHEAP_SHARE, Changes, Width, near_enough
from critwin.curve import GridCurve
from critwin.fork_intervals import linear_form_interval
from critwin.statistics import clopper_pearson

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def grid_changes(curve: GridCurve, width: Width, error: float) -> Changes:
    """Bound every change between positions that were visited; `error` is that of all at once."""
    position, trials = curve.position, curve.trials
    first, last = _grid_pairs(position, curve.length, width)
    hits = np.rint(curve.agreement * trials)
    drawn = trials > 0
    alone = 1 - CHEAP_SHARE * error / max(int(drawn.sum()), 1)
    low, high = clopper_pearson(hits, trials, level=alone)
    low, high = (np.where(drawn, v, curve.agreement) for v in (low, high))
    variance = grid_variance(curve)
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
        batch=CELLS // 2,
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
        near = near_enough(tokens, np.zeros(len(tokens)), length, width) | (step == 1)
        if not near.any():
            break
        at = np.flatnonzero(near)
        first.append(at)
        last.append(at + step)
    return np.concatenate(first), np.concatenate(last)


def grid_variance(curve: GridCurve) -> Floats:
    """Give a rough variance of each value, 0 where it is exact."""
    trials = curve.trials
    smoothed = (np.rint(curve.agreement * trials) + 1) / (trials + 2)
    return np.where(trials > 0, smoothed * (1 - smoothed) / np.maximum(trials, 1), 0.0)
