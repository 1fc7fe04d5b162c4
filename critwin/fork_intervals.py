"""Finite-sample intervals for linear functions of many binomial probabilities, few draws of each.

A position's probability is a sum of leave values d_u, each seen through a handful of forks. Normal
bands around such sums fail: where all of three forks agree their variance is estimated as zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from critwin.statistics import clopper_pearson

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

BOX_SHARE = 0.05
"""Share of the error that the box takes: any from .02 to .1 gives widths within 5 % of these."""

ALONE = 0.99
"""Share of a form's weight above which one probability is taken for the whole of it."""

_SEARCH, _SHRINK, _STEPS = 4, 1.8, 6
_CELLS = 500_000
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
    low, high = _box(k, n, BOX_SHARE * error / bear)
    budget = -np.log((1 - BOX_SHARE) * error / 2)
    # a negative weight on d is a positive weight on 1 - d
    negative = w < 0
    flipped = np.where(negative, n - k, k), np.where(negative, 1 - high, low)
    top = np.where(negative, 1 - low, high)
    size, shift = np.abs(w), np.where(negative, w, 0.0).sum(axis=1)
    upper = _Forms(size, flipped[0], n, flipped[1], top).upper(budget)
    lower = _Forms(size, n - flipped[0], n, 1 - top, 1 - flipped[1]).upper(budget)
    return shift + size.sum(axis=1) - lower, shift + upper


def _box(k: Floats, n: Floats, error: Floats) -> tuple[Floats, Floats]:
    """Clopper-Pearson, each distinct pair of counts computed once for each error."""
    errors, of_row = np.unique(error, return_inverse=True)
    low, high = np.empty(k.shape), np.empty(k.shape)
    for i, value in enumerate(errors):
        own = of_row == i
        pairs, back = np.unique(k[own] + 1j * n[own], return_inverse=True)
        a, b = clopper_pearson(pairs.real, pairs.imag, level=1 - value)
        back = back.reshape(k[own].shape)
        low[own], high[own] = a[back], b[back]
    return low, high


@dataclass(frozen=True)
class _Forms:
    """Forms with weights >= 0, one per row; all arrays have shape (R, U).

    Attributes:
        w: Weights.
        k: Hits.
        n: Trials.
        low: Lower side of the box.
        high: Upper side of it.
    """

    w: Floats
    k: Floats
    n: Floats
    low: Floats
    high: Floats

    def upper(self, budget: Floats) -> Floats:
        """Minimise the dual bound over lambda, from that of a normal law, by shrinking steps."""
        bears = (self.w > 0) & (self.n > 0)
        per_draw = np.where(bears, self.w / np.where(self.n > 0, self.n, 1.0), 0.0)
        observed = (per_draw * self.k).sum(axis=1)
        share = np.where(bears, (self.k + 0.5) / (self.n + 1), 0.0)
        variance = (self.n * per_draw**2 * share * (1 - share)).sum(axis=1)
        variance += per_draw.max(axis=1) ** 2 / 4
        at = np.log(np.where(variance > 0, np.sqrt(2 * budget / np.maximum(variance, 1e-300)), 1.0))

        def bound(log_lambda: Floats) -> Floats:
            return self._dual(per_draw, bears, observed, budget, np.exp(log_lambda))

        least, step = bound(at), 1.0
        for _ in range(_SEARCH):
            for other in (at - step, at + step):
                value = bound(other)
                at = np.where(value < least, other, at)
                least = np.minimum(value, least)
            step /= _SHRINK
        everything = np.where(bears, 0.0, self.w * self.high).sum(axis=1)
        result: Floats = np.maximum(least, observed) + everything
        return result

    def _dual(
        self, per_draw: Floats, bears: Bools, observed: Floats, budget: Floats, rate: Floats
    ) -> Floats:
        """Bound sum w d over {lambda D + sum n log(1 - a d) >= log tail} for one lambda per row.

        With y = log(1 - a d) the optimum is y = clip(log mu + log(n a / w)) in the box, and the
        constraint is piecewise linear in log mu: Newton's steps, kept in a bracket, soon end.
        """
        x = rate[:, None] * per_draw
        a = np.where(bears, -np.expm1(-x), 1.0)
        n = np.where(bears, self.n, 0.0)
        offset = np.log(a / np.where(bears, per_draw, 1.0))
        # at d = 1 and a rounded to 1, log(1 - a d) is -x, not minus infinity
        floor = np.maximum(np.log1p(-a * np.minimum(self.high, 1 - 1e-16)), -x)
        roof = np.maximum(np.log1p(-a * np.minimum(self.low, 1 - 1e-16)), -x)
        floor, roof = np.where(bears, floor, 0.0), np.where(bears, roof, 0.0)
        allowed = rate * observed + budget
        t_low = np.where(bears, floor - offset, np.inf).min(axis=1, initial=np.inf)
        t_high = np.where(bears, roof - offset, -np.inf).max(axis=1, initial=-np.inf)
        none = ~bears.any(axis=1)
        t_low, t_high = np.where(none, 0.0, t_low), np.where(none, 0.0, t_high)
        draws = np.maximum(n.sum(axis=1), 1e-300)
        t = -(np.einsum("ru,ru->r", n, offset) + allowed) / draws  # the answer if nothing clips
        for _ in range(_STEPS):
            t = np.where((t > t_low) & (t < t_high), t, (t_low + t_high) / 2)
            free_y = t[:, None] + offset
            y = np.minimum(np.maximum(free_y, floor), roof)
            value = np.einsum("ru,ru->r", n, y) + allowed
            slope = np.einsum("ru,ru->r", n, (y == free_y).astype(np.float64))
            t_low, t_high = np.where(value >= 0, t_low, t), np.where(value >= 0, t, t_high)
            t = t - value / np.maximum(slope, 1e-9)
        t = np.clip(t, t_low, t_high)
        y = np.minimum(np.maximum(t[:, None] + offset, floor), roof)
        slack = np.einsum("ru,ru->r", n, y) + allowed
        d = np.clip(-np.expm1(y) / a, self.low, self.high)
        value = np.einsum("ru,ru->r", n * per_draw, d) + np.exp(t) * slack
        free = np.einsum("ru,ru->r", n, floor) + allowed >= 0
        most = np.einsum("ru,ru->r", n * per_draw, self.high)
        result: Floats = np.where(free, most, np.minimum(value, most))
        return result
