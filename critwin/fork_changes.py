"""Changes of a curve that was estimated from forks: which pairs can change, and by how much."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from critwin.changes import CELLS, CHEAP_SHARE, Changes, Width, near_enough
from critwin.fork_blocks import Blocks, log_stay
from critwin.fork_forms import Forms, level_forms
from critwin.forks import ForkCurve, Forks

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def fork_changes(curve: ForkCurve, width: Width, above: float, error: float) -> Changes:
    """Bound every change that may be above a size; `error` is that of all at once."""
    choices, reduced = _choices(curve.forks)
    first, last, found = _pairs(reduced, choices, curve.length, width, above)
    j = max(len(first), 1)
    sums = _sums_of_pairs(reduced, curve.label, first, last)
    half = np.sqrt(math.log(2 * j / (CHEAP_SHARE * error)) / 2 * sums.squares)
    start = choices[first]
    end = choices[last - 1] + 1 if len(last) else last
    change = curve.agreement[end] - curve.agreement[start]
    small = replace(curve, forks=reduced)

    def sharp(index: Ints, level: float) -> tuple[Floats, Floats]:
        # tokens without a choice change nothing: positions are counted in choices
        at = np.searchsorted(choices, start[index]), np.searchsorted(choices, end[index])
        return small.differences(*at, level=level)

    return Changes(
        pairs={
            "start": start,
            "end": end,
            "nats": found.nats,
            "change": change,
            "error": np.sqrt(sums.variance),
            "lower": np.minimum(np.maximum(sums.least - half, -1), change),
            "upper": np.maximum(np.minimum(sums.most + half, 1), change),
        },
        length=curve.length,
        left_out=found.left_out,
        left_out_change=found.left_out_change,
        everywhere=True,
        error=error,
        sharp=sharp,
        batch=max(CELLS // max(reduced.blocks.count, 1), 8),
    )


def fork_variance(curve: ForkCurve) -> Floats:
    """Give a rough variance of the curve at each position."""
    choices, reduced = _choices(curve.forks)
    forms = level_forms(reduced.probability, reduced.blocks, np.arange(len(choices) + 1))
    variance = _Sums.of(forms, reduced, curve.label).variance
    at: Floats = variance[np.searchsorted(choices, curve.position)]
    return at


def _choices(forks: Forks) -> tuple[Ints, Forks]:
    """Give the tokens with a choice, from 0, and the forks with nothing but them."""
    choices = np.flatnonzero(forks.probability < 1)
    reduced = replace(
        forks,
        probability=forks.probability[choices],
        counts=forks.counts[choices],
        length=int((choices < forks.length).sum()),
        blocks=Blocks(np.unique(np.searchsorted(choices, forks.blocks.bounds))),
    )
    return choices, reduced


@dataclass(frozen=True)
class _Found:
    """What else is known of the pairs that are looked at, and of those that are not.

    Attributes:
        nats: Surprisal of each block.
        left_out: Pairs that cannot change enough.
        left_out_change: The largest change that one of them could have.
    """

    nats: Floats
    left_out: int
    left_out_change: float


def _pairs(
    forks: Forks, token: Ints, length: int, width: Width, above: float
) -> tuple[Ints, Ints, _Found]:
    """Give the pairs of choices, from the first to before the last, that may change enough."""
    count = forks.length
    surprisal = -np.log(np.maximum(forks.probability[:count], 1e-300))
    reached = np.concatenate([[0.0], np.cumsum(surprisal)])
    firsts, lasts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    left_out, largest = 0, 0.0
    for step in range(1, count + 1):
        nats = reached[step:] - reached[:-step]
        tokens = token[step - 1 : count] + 1 - token[: count - step + 1]
        near = near_enough(tokens, nats, length, width) | (step == 1)
        if not near.any():
            break
        change = -np.expm1(-nats)
        # sums of rounded logarithms: a block on the threshold is looked at rather than left out
        enough = near & (change > above * (1 - 1e-12))
        left = near & ~enough
        left_out += int(left.sum())
        largest = max(largest, float(change[left].max(initial=0.0)))
        at = np.flatnonzero(enough)
        firsts.append(at)
        lasts.append(at + step)
    first, last = np.concatenate(firsts), np.concatenate(lasts)
    return first, last, _Found(reached[last] - reached[first], left_out, largest)


@dataclass(frozen=True)
class _Sums:
    """What the forks say about each form, roughly and for Hoeffding's inequality.

    Attributes:
        least: The estimate, where runs without a fork lead as low as they can.
        most: The same, as high as they can.
        squares: Sum of squares of the weights of single draws.
        variance: Rough variance.
    """

    least: Floats
    most: Floats
    squares: Floats
    variance: Floats

    @classmethod
    def of(cls, forms: Forms, forks: Forks, label: str) -> _Sums:
        """Add up forms one by one."""
        runs = _runs(forms.weights, forms.totals(forks.hits(label)), forms.totals(forks.trials))
        known, unknown, squares, variance = runs
        known = known.sum(axis=1) + forms.constant * (label == forks.own)
        return cls(
            known + np.minimum(unknown, 0).sum(axis=1),
            known + np.maximum(unknown, 0).sum(axis=1),
            squares.sum(axis=1),
            variance.sum(axis=1),
        )


def _runs(w: Floats, hits: Floats, trials: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Give what a run of tokens of weight w adds: known, unknown, squares, variance."""
    seen, draws = trials > 0, np.maximum(trials, 1)
    smoothed = (hits + 1) / (trials + 2)
    known, unknown = np.where(seen, w * hits / draws, 0.0), np.where(seen, 0.0, w)
    squares = np.where(seen, w**2 / draws, 0.0)
    return known, unknown, squares, squares * smoothed * (1 - smoothed) + unknown**2 / 12


_POWERS = np.array([[1], [1], [2], [2]])
"""How known, unknown, squares and variance grow with the weights."""

_ROUNDING = 1e-13
"""Share of a sum of squares that may be lost where one is taken from another."""


def _sums_of_pairs(forks: Forks, label: str, first: Ints, last: Ints) -> _Sums:
    """Add up the forms of p_last - p_first, first < last, in the same time for each pair.

    With G_s the sums over all runs after s, a run that is cut by s entering with what of it lies
    after s, those over the runs between s and e are G_s less G_b times the chance to stay from s to
    b, the last bound at or before e, and the run (b, e].
    """
    stay, bounds = log_stay(forks.probability), forks.blocks.bounds
    hits, trials = (
        np.concatenate([[0.0], np.cumsum(np.asarray(each, np.float64))])
        for each in (forks.hits(label), forks.trials)
    )

    def run(start: Ints, end: Ints) -> Floats:
        weight = -np.expm1(stay[end] - stay[start])
        return np.stack(_runs(weight, hits[end] - hits[start], trials[end] - trials[start]))

    def stays(start: Ints, end: Ints) -> Floats:
        chance: Floats = np.exp(stay[end] - stay[start]) ** _POWERS
        return chance

    after = np.zeros((4, len(stay)))
    whole, kept = run(bounds[:-1], bounds[1:]), stays(bounds[:-1], bounds[1:])
    for i in range(len(bounds) - 2, -1, -1):
        after[:, bounds[i]] = whole[:, i] + kept[:, i] * after[:, bounds[i + 1]]
    inner = np.setdiff1d(np.arange(len(stay)), bounds)
    to = bounds[np.searchsorted(bounds, inner)]
    after[:, inner] = run(inner, to) + stays(inner, to) * after[:, to]

    bound = bounds[np.searchsorted(bounds, last, side="right") - 1]
    begin = np.maximum(first, bound)
    through = stays(first, begin)
    rounding = np.array([[0.0], [0.0], [_ROUNDING], [_ROUNDING]]) * after[:, first]
    crossed = np.maximum(after[:, first] - through * after[:, bound], 0.0) + rounding
    before = through * run(begin, last) + np.where(first < bound, crossed, 0.0)
    leave = -np.expm1(stay[last] - stay[first])
    behind = leave**_POWERS * after[:, last]
    known = behind[0] - before[0]
    known += np.exp(stay[-1] - stay[last]) * leave * (label == forks.own)
    return _Sums(known - before[1], known + behind[1], before[2] + behind[2], before[3] + behind[3])
