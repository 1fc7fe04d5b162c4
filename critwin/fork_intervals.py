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

_COARSE, _FINE, _STEPS = 9, 7, 8
_CELLS = 2_000_000
"""Cells of a row block: bounds memory, changes no number."""


def linear_form_interval(
    weights: npt.ArrayLike,
    hits: npt.ArrayLike,
    trials: npt.ArrayLike,
    *,
    level: float = 0.95,
    comparisons: int = 1,
) -> tuple[Floats, Floats]:
    """Give the interval of each sum of weights times binomial probabilities.

    The confidence set for the probabilities d is the intersection of two. A box: Clopper-Pearson
    for each d_u, jointly over u. And a tail: with the observed form D = sum w_u k_u / N_u, every
    lambda > 0 bounds P_d(form <= D) by exp(lambda D) prod (1 - d_u + d_u exp(-lambda w_u / N_u)) **
    N_u; d is left out where some lambda makes this less than its share of the error. The upper end
    is the largest sum w_u d_u in the set. For one lambda that is a separable concave problem with
    d_u = (1 - mu N_u a_u / w_u) / a_u, a_u = 1 - exp(-lambda w_u / N_u), clipped to the box, and by
    weak duality any lambda and mu give a valid end; the best are searched for. The lower end is the
    same for the failures, and a negative weight on d_u is a positive one on 1 - d_u.

    It covers with at least `level` for any d, weights and trials; the trials must not depend on the
    hits. It is conservative, most where the d_u differ much while draws are few.

    Args:
        weights: Signed, shape (..., U) broadcasting to (R, U); a row is a form.
        hits: Successes in [0, trials], broadcast likewise; need not be whole (for planning).
        trials: Independent draws, >= 0; a probability without draws may be anything in [0, 1].
        level: Coverage promised for each form, in (0, 1).
        comparisons: For J forms that are to be covered jointly, J: the tails are divided by it
            (Bonferroni), the box is common to all of them.

    Returns:
        Lower and upper ends, shape (R,); they hold the plug-in value sum w_u k_u / N_u.

    Source:
        Chernoff (1952), Annals of Mathematical Statistics 23, 493-507; DESIGN.md, section 6.
    """
    w, k, n = np.broadcast_arrays(
        *(np.atleast_2d(np.asarray(value, np.float64)) for value in (weights, hits, trials))
    )
    if w.shape[1] == 0:
        return np.zeros(len(w)), np.zeros(len(w))
    size = max(_CELLS // w.shape[1], 1)
    blocks = range(0, len(w), size)
    parts = [
        _interval(w[b : b + size], k[b : b + size], n[b : b + size], level, comparisons)
        for b in blocks
    ]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _interval(w: Floats, k: Floats, n: Floats, level: float, forms: int) -> tuple[Floats, Floats]:
    error = 1 - level
    # one form needs the box where it has weight; several share one box, wherever there are draws
    boxed = (n > 0) & ((w != 0) | (forms > 1))
    box_error = BOX_SHARE * error / np.maximum(boxed.sum(axis=1, keepdims=True), 1)
    tail = (1 - BOX_SHARE) * error / (2 * forms)
    low, high = _box(k, n, box_error)
    # a negative weight on d is a positive weight on 1 - d
    negative = w < 0
    flipped = np.where(negative, n - k, k), np.where(negative, 1 - high, low)
    top = np.where(negative, 1 - low, high)
    size, shift = np.abs(w), np.where(negative, w, 0.0).sum(axis=1)
    upper = _Forms(size, flipped[0], n, flipped[1], top).upper(tail)
    lower = size.sum(axis=1) - _Forms(size, n - flipped[0], n, 1 - top, 1 - flipped[1]).upper(tail)
    return shift + lower, shift + upper


def _box(k: Floats, n: Floats, error: Floats) -> tuple[Floats, Floats]:
    """Clopper-Pearson with one error per row, each pair of counts computed once."""
    keys = np.stack([k, n, np.broadcast_to(error, k.shape)], axis=-1).reshape(-1, 3)
    distinct, back = np.unique(keys, axis=0, return_inverse=True)
    low, high = np.empty(len(distinct)), np.empty(len(distinct))
    for value in np.unique(distinct[:, 2]):
        own = distinct[:, 2] == value
        low[own], high[own] = clopper_pearson(
            distinct[own, 0], distinct[own, 1], level=1 - float(value)
        )
    return low[back].reshape(k.shape), high[back].reshape(k.shape)


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

    def upper(self, tail: float) -> Floats:
        """Minimise the dual bound over lambda: it is quasi-convex, so a bracket closes on it."""
        bears = (self.w > 0) & (self.n > 0)
        per_draw = np.where(bears, self.w / np.where(self.n > 0, self.n, 1.0), 0.0)
        observed = (per_draw * self.k).sum(axis=1)
        largest = per_draw.max(axis=1)
        some = largest > 0
        spread = np.sqrt((self.n * per_draw**2).sum(axis=1)) / 2
        budget = -np.log(tail)
        first = np.log(np.where(some, np.sqrt(2 * budget) / np.where(some, spread, 1.0), 1.0) / 3)
        # beyond 40 exp(-x) is nothing: for the largest weight a hundredth of the rest still is
        last = np.maximum(np.log(40 / np.where(some, largest, 1.0)) + 4, first + 1)

        def bound(log_lambda: Floats) -> Floats:
            return self._dual(per_draw, bears, observed, budget, np.exp(log_lambda))

        grid = np.linspace(first, last, _COARSE)
        values = np.array([bound(at) for at in grid])
        best, rows = values.argmin(axis=0), np.arange(len(observed))
        a, b = grid[np.maximum(best - 1, 0), rows], grid[np.minimum(best + 1, _COARSE - 1), rows]
        least = values[best, rows]
        ratio = (np.sqrt(5) - 1) / 2
        c, d = b - ratio * (b - a), a + ratio * (b - a)
        at_c, at_d = bound(c), bound(d)
        for _ in range(_FINE):
            least = np.minimum(least, np.minimum(at_c, at_d))
            left = at_c < at_d
            a, b = np.where(left, a, c), np.where(left, d, b)
            new = np.where(left, b - ratio * (b - a), a + ratio * (b - a))
            at_new = bound(new)
            c, d = np.where(left, new, d), np.where(left, c, new)
            at_c, at_d = np.where(left, at_new, at_d), np.where(left, at_c, at_new)
        least = np.minimum(least, np.minimum(at_c, at_d))
        everything = np.where(bears, 0.0, self.w * self.high).sum(axis=1)
        result: Floats = np.maximum(least, observed) + everything
        return result

    def _dual(
        self, per_draw: Floats, bears: Bools, observed: Floats, budget: float, rate: Floats
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
            y = np.clip(free_y, floor, roof)
            value = np.einsum("ru,ru->r", n, y) + allowed
            slope = np.einsum("ru,ru->r", n, (y == free_y).astype(np.float64))
            t_low, t_high = np.where(value >= 0, t_low, t), np.where(value >= 0, t, t_high)
            t = t - value / np.maximum(slope, 1e-9)
        t = np.clip(t, t_low, t_high)
        y = np.clip(t[:, None] + offset, floor, roof)
        slack = np.einsum("ru,ru->r", n, y) + allowed
        d = np.clip(-np.expm1(y) / a, self.low, self.high)
        value = np.einsum("ru,ru->r", n * per_draw, d) + np.exp(t) * slack
        free = np.einsum("ru,ru->r", n, floor) + allowed >= 0
        most = np.einsum("ru,ru->r", n * per_draw, self.high)
        result: Floats = np.where(free, most, np.minimum(value, most))
        return result
