"""Chernoff's bound of a weighted sum of probabilities, a few draws of each of which were seen.

With d_u seen through n_u draws of weight w_u / n_u, every rate > 0 bounds the chance that the sum
of the draws is as low as it was: with x_u = rate w_u / n_u and a_u = 1 - exp(-x_u) all d are left
out, up to an error exp(-budget), but those with

    sum_u -n_u log(1 - a_u d_u)  <=  rate * observed + budget.

The largest sum w_u d_u in this set, and in a box where one is known, bounds the sum from above. To
find it is a separable concave problem, and by weak duality any multiplier gives a bound.

Source: Chernoff (1952), Annals of Mathematical Statistics 23, 493-507; DESIGN.md, section 6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_STEPS = 20
_SLACK = 1e-6
"""Nats left over at which a problem is solved: its bound is off by no more than their square."""

_FEW = 0.3
"""Share of problems below which those that are not solved are taken out."""

_TINY = 1e-300
"""Stands for an exponent of 0: nothing comes of such a term, and it divides."""


def largest_sum(
    exponents: Floats,
    draws: Floats,
    allowed: Floats,
    *,
    box: tuple[Floats, Floats] | None = None,
) -> Floats:
    """Bound sum n x d over d in the box with sum -n log(1 - a d) <= allowed, term by term.

    With y = -log(1 - a d) the optimum for a multiplier exp(-t) is y = t + log(x / a), clipped to
    the box. What is used up is piecewise linear in t: Newton's steps, kept in a bracket, soon end.

    Args:
        exponents: x >= 0, shape (U, ...): of many problems at once, their terms along the first
            axis, where adding up is fast.
        draws: n >= 0, shape broadcasting to (U, ...), or (U,) where all problems have the same;
            where x is 0 nothing comes of them.
        allowed: Shape broadcasting to (...).
        box: Lower and upper sides of d, shape broadcasting to (U, ...); [0, 1] where none is given.
    """
    x = np.maximum(exponents, _TINY)
    a = -np.expm1(-x)
    ratio = x / a
    floor, roof, least, most = _sides(x, a, box)
    terms = _Terms(np.log(ratio), floor, roof, draws)
    high = _total(x if box is None else x * box[1], draws)
    bound = allowed < _total(roof, draws)
    t = terms.solve(allowed, bound)
    slack = allowed - terms.used(t)
    multiplier = np.exp(-t)
    left = np.minimum(np.maximum(multiplier / ratio, least), most)
    value = _total((1 - left) * ratio, draws) + multiplier * slack
    result: Floats = np.where(bound, np.minimum(value, high), high)
    return result


@dataclass(frozen=True)
class _Terms:
    """The terms of problems, along the first axis: y = t + offset, clipped to [floor, roof]."""

    offset: Floats
    floor: Floats
    roof: Floats
    draws: Floats

    def used(self, t: Floats) -> Floats:
        """Give sum n y."""
        y = np.minimum(np.maximum(self.offset + t, self.floor), self.roof)
        return _total(y, self.draws)

    def solve(self, allowed: Floats, bound: Bools) -> Floats:
        """Give t at which all that is allowed is used, for the problems in which it can be."""
        low, high = (self.floor - self.offset).min(axis=0), (self.roof - self.offset).max(axis=0)
        # the answer if nothing is clipped
        t = allowed - _total(self.offset, self.draws)
        t = t / np.maximum(self.draws.sum(axis=0), _TINY)
        return self._newton(allowed, bound, np.minimum(np.maximum(t, low), high), low, high)

    def _newton(
        self, allowed: Floats, bound: Bools, t: Floats, low: Floats, high: Floats
    ) -> Floats:
        """Take Newton's steps, kept in a bracket; most problems need three, the others go on."""
        for _ in range(_STEPS):
            free = self.offset + t
            y = np.minimum(np.maximum(free, self.floor), self.roof)
            slack = allowed - _total(y, self.draws)
            open_ = bound & (np.abs(slack) > _SLACK)
            left = np.count_nonzero(open_)
            if not left:
                break
            less = slack >= 0
            low, high = np.where(less, t, low), np.where(less, high, t)
            slope = _total((y == free).astype(np.float64), self.draws)
            step = t + slack / np.maximum(slope, 1e-9)
            inside = (step > low) & (step < high)
            t = np.where(open_, np.where(inside, step, (low + high) / 2), t)
            if left < open_.size * _FEW:
                own = np.broadcast_to(allowed, t.shape)[open_]
                alone = self._of(open_)
                t[open_] = alone._newton(own, bound[open_], t[open_], low[open_], high[open_])
                break
        return t

    def _of(self, some: Bools) -> _Terms:
        """Give the terms of some of the problems."""
        shape = (len(self.offset), *some.shape)
        draws = self.draws if self.draws.ndim == 1 else np.broadcast_to(self.draws, shape)[:, some]
        three = (self.offset, self.floor, self.roof)
        offset, floor, roof = (np.broadcast_to(term, shape)[:, some] for term in three)
        return _Terms(offset, floor, roof, draws)


def _total(values: Floats, draws: Floats) -> Floats:
    """Give sum n v over the first axis."""
    if draws.ndim == 1:
        sums: Floats = values.transpose((*range(1, values.ndim), 0)) @ draws
        return sums
    total: Floats = np.add.reduce(values * draws, axis=0)
    return total


def _sides(
    x: Floats, a: Floats, box: tuple[Floats, Floats] | None
) -> tuple[Floats, Floats, Floats, Floats]:
    """Give the sides of y, and of 1 - a d = exp(-y)."""
    if box is None:
        return np.zeros(1), x, 1 - a, np.ones(1)
    least, most = 1 - a * box[1], 1 - a * box[0]
    # at d = 1 and a rounded to 1, -log(1 - a d) is x, not infinity
    floor, roof = (np.minimum(-np.log(np.maximum(side, 1e-16)), x) for side in (most, least))
    return floor, roof, least, most
