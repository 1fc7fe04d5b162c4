"""Finite-sample intervals for linear functions of many binomial probabilities, few draws of each.

A position's probability is a sum of leave values d_u, each seen through a handful of forks. Normal
bands around such sums fail: where all of three forks agree their variance is estimated as zero.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from critwin.chernoff import largest_sum
from critwin.statistics import clopper_pearson

Floats = npt.NDArray[np.float64]

BOX_SHARE = 0.05
"""Share of the error that the box takes: any from .02 to .1 gives widths within 5 % of these."""

ALONE = 0.99
"""Share of a form's weight above which one probability is taken for the whole of it."""

_SEARCH, _SHRINK = 4, 1.8
_CELLS = 8192
"""Cells of a row block: bounds memory, changes no number."""


def linear_form_interval(
    weights: npt.ArrayLike,
    hits: npt.ArrayLike,
    trials: npt.ArrayLike,
    *,
    level: float = 0.95,
    comparisons: npt.ArrayLike = 1,
) -> tuple[Floats, Floats]:
    """Give the interval of each sum of weights times binomial probabilities.

    Where one probability has 99 % of the weight it gets its Clopper-Pearson interval, and the
    others may be anything.

    Elsewhere the confidence set for the probabilities d is the intersection of two. A box:
    Clopper-Pearson for each d_u, jointly over u. And a tail: with the observed form
    D = sum w_u k_u / N_u, every lambda > 0 bounds P_d(form <= D) by exp(lambda D)
    prod (1 - d_u + d_u exp(-lambda w_u / N_u)) ** N_u; d is left out where some lambda makes this
    less than its share of the error. The upper end is the largest sum w_u d_u in the set. For one
    lambda that is a separable concave problem with d_u = (1 - mu N_u a_u / w_u) / a_u,
    a_u = 1 - exp(-lambda w_u / N_u), clipped to the box, and by weak duality any lambda and mu give
    a valid end; good ones are searched for. The lower end is the same for the failures, and a
    negative weight on d_u is a positive one on 1 - d_u.

    It covers with at least `level` for any d, weights and trials; the trials must not depend on the
    hits. It is conservative, most where the d_u differ much while draws are few.

    Args:
        weights: Signed, shape (..., U) broadcasting to (R, U); a row is a form.
        hits: Successes in [0, trials], broadcast likewise; need not be whole (for planning).
        trials: Independent draws, >= 0; a probability without draws may be anything in [0, 1].
        level: Coverage promised for each form, in (0, 1).
        comparisons: For J forms that are to be covered jointly, J: the error is divided by it
            (Bonferroni); one number, or one for each row.

    Returns:
        Lower and upper ends, shape (R,); they hold the plug-in value sum w_u k_u / N_u, but for up
        to 1 % of the weight where one probability has the rest.

    Source:
        Clopper, Pearson (1934), Biometrika 26, 404-413; Chernoff (1952), Annals of Mathematical
        Statistics 23, 493-507; DESIGN.md, section 6.
    """
    w, k, n = np.broadcast_arrays(
        *(np.atleast_2d(np.asarray(value, np.float64)) for value in (weights, hits, trials))
    )
    error = np.broadcast_to((1 - level) / np.asarray(comparisons, np.float64), (len(w),))
    lower, upper = np.empty(len(w)), np.empty(len(w))
    size = max(_CELLS // max(w.shape[1], 1), 1)
    for begin in range(0, len(w), size):
        rows = slice(begin, begin + size)
        lower[rows], upper[rows] = _interval(w[rows], k[rows], n[rows], error[rows])
    return lower, upper


def _interval(w: Floats, k: Floats, n: Floats, error: Floats) -> tuple[Floats, Floats]:
    used = (w != 0).any(axis=0)
    w, k, n = w[:, used], k[:, used], n[:, used]
    if not used.any():
        return np.zeros(len(w)), np.zeros(len(w))
    lower, upper = np.empty(len(w)), np.empty(len(w))
    size = np.abs(w)
    first = size.argmax(axis=1)
    rows = np.arange(len(w))
    alone = (size[rows, first] >= ALONE * size.sum(axis=1)) & (n[rows, first] > 0)
    if alone.any():
        lower[alone], upper[alone] = _one(w[alone], k[alone], n[alone], first[alone], error[alone])
    if not alone.all():
        many = ~alone
        lower[many], upper[many] = _several(w[many], k[many], n[many], error[many])
    return lower, upper


def _one(
    w: Floats, k: Floats, n: Floats, first: npt.NDArray[np.intp], error: Floats
) -> tuple[Floats, Floats]:
    rows = np.arange(len(w))
    at = w[rows, first]
    low, high = clopper_pearson(k[rows, first], n[rows, first], level=1 - error)
    rest = w.copy()
    rest[rows, first] = 0
    down, up = np.minimum(rest, 0).sum(axis=1), np.maximum(rest, 0).sum(axis=1)
    return np.minimum(at * low, at * high) + down, np.maximum(at * low, at * high) + up


def _several(w: Floats, k: Floats, n: Floats, error: Floats) -> tuple[Floats, Floats]:
    bear = np.maximum((w != 0).sum(axis=1), 1)
    low, high = clopper_pearson(k, n, level=1 - (BOX_SHARE * error / bear)[:, None])
    budget = -np.log((1 - BOX_SHARE) * error / 2)
    # a negative weight on d is a positive weight on 1 - d
    negative = w < 0
    hits = np.where(negative, n - k, k)
    low, high = np.where(negative, 1 - high, low), np.where(negative, 1 - low, high)
    size, shift = np.abs(w), np.where(negative, w, 0.0).sum(axis=1)
    # the lower end is that of the failures
    ends = _Forms(
        np.stack([size, size]),
        np.stack([hits, n - hits]),
        np.stack([n, n]),
        (np.stack([low, 1 - high]), np.stack([high, 1 - low])),
    ).upper(budget)
    return shift + size.sum(axis=1) - ends[1], shift + ends[0]


class _Forms:
    """Forms with weights >= 0; all arrays have shape (..., R, U), a row is a form."""

    def __init__(self, w: Floats, k: Floats, n: Floats, box: tuple[Floats, Floats]) -> None:
        bears = (w > 0) & (n > 0)
        share = (k + 0.5) / (n + 1)
        per_draw = np.where(bears, w / np.where(bears, n, 1.0), 0.0)
        variance = (n * per_draw**2 * share * (1 - share)).sum(axis=-1)
        self._variance = variance + per_draw.max(axis=-1) ** 2 / 4
        self._observed = (per_draw * k).sum(axis=-1)
        self._free = np.where(bears, 0.0, w * box[1]).sum(axis=-1)
        # terms along the first axis, where adding up is fast
        self._per_draw, self._draws, *sides = (
            np.ascontiguousarray(np.moveaxis(each, -1, 0))[:, None]
            for each in (per_draw, np.where(bears, n, 0.0), *box)
        )
        self._box = sides[0], sides[1]

    def upper(self, budget: Floats) -> Floats:
        """Minimise the bound over the rate, from that of a normal law, by shrinking steps."""
        variance = np.maximum(self._variance, 1e-300)
        at = np.log(np.where(self._variance > 0, np.sqrt(2 * budget / variance), 1.0))
        (least,), step = self._bounds(at[None], budget), 1.0
        for _ in range(_SEARCH):
            tried = np.stack([at - step, at + step])
            for other, value in zip(tried, self._bounds(tried, budget), strict=True):
                at = np.where(value < least, other, at)
                least = np.minimum(value, least)
            step /= _SHRINK
        result: Floats = np.maximum(least, self._observed) + self._free
        return result

    def _bounds(self, log_rates: Floats, budget: Floats) -> Floats:
        """Give the bound at each of several rates of each form."""
        rate = np.exp(log_rates)
        allowed = rate * self._observed + budget
        bounds: Floats = (
            largest_sum(rate * self._per_draw, self._draws, allowed, box=self._box) / rate
        )
        return bounds
