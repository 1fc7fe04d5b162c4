"""Changes of a curve that was estimated from forks: which pairs can change, and by how much."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from critwin.changes import (
    AIMED_SHARE,
    CELLS,
    CHEAP_SHARE,
    Changes,
    Sharp,
    Width,
    largest_change,
    may_exceed,
    near_enough,
)
from critwin.fork_blocks import Blocks, log_stay
from critwin.fork_forms import Forms, level_forms
from critwin.fork_intervals import BOX_SHARE
from critwin.forks import ForkCurve, Forks

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def fork_changes(curve: ForkCurve, width: Width, above: float, error: float) -> Changes:
    """Bound every change that may be above a size; `error` is that of all at once.

    Where forks were aimed at some pairs, chosen by labels that are none of those counted here, the
    error is paid twice over: `AIMED_SHARE` of it for one end of each of the K pairs of that list
    (of a rise the lower one), shared out evenly, and the rest for all ends of all pairs, the listed
    ones among them. By the union bound everything holds at once, given the list; and so it does
    for any list, as the list does not depend on what it is paid with. So a pair off the list is as
    good as ever found or excluded, if by more draws, and `none` can still be said of all.
    """
    choices, reduced = _choices(curve.forks)
    family = (1 - AIMED_SHARE) * error if curve.forks.aimed else error
    first, last, found = _pairs(reduced, choices, curve.length, width, above)
    j = max(len(first), 1)
    sums = _sums_of_pairs(reduced, curve.label, first, last)
    half = np.sqrt(math.log(2 * j / (CHEAP_SHARE * family)) / 2 * sums.squares)
    start = choices[first]
    end = choices[last - 1] + 1 if len(last) else last
    change = curve.agreement[end] - curve.agreement[start]
    small = replace(curve, forks=reduced)

    def sharp(index: Ints, level: float) -> tuple[Floats, Floats]:
        # tokens without a choice change nothing: positions are counted in choices
        at = np.searchsorted(choices, start[index]), np.searchsorted(choices, end[index])
        return small.differences(*at, level=level)

    made = Changes(
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
        error=family,
        sharp=sharp,
        batch=max(CELLS // max(reduced.blocks.count, 1), 8),
    )
    _aim(made, curve, sharp, AIMED_SHARE * error)
    return made


def _aim(made: Changes, curve: ForkCurve, sharp: Sharp, error: float) -> None:
    """Bound the pairs at which forks were aimed from the side that matters.

    Another label falls where the own one rises.
    """
    numbers = {
        pair: i for i, pair in enumerate(zip(made.start.tolist(), made.end.tolist(), strict=True))
    }
    listed = [pair for pair in curve.forks.aimed if (pair.start, pair.end) in numbers]
    if not listed:
        return
    index = np.array([numbers[pair.start, pair.end] for pair in listed])
    rise = np.array([pair.rise == curve.own for pair in listed])
    # of an interval's error one end takes half, and that of the box, which both ends share
    lower, upper = sharp(index, 1 - 2 * error / ((1 + BOX_SHARE) * len(listed)))
    made.lower[index] = np.where(rise, np.maximum(made.lower[index], lower), made.lower[index])
    made.upper[index] = np.where(rise, made.upper[index], np.minimum(made.upper[index], upper))


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
        enough = near & may_exceed(nats, above)
        left = near & ~enough
        left_out += int(left.sum())
        largest = max(largest, float(largest_change(nats[left]).max(initial=0.0)))
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
