"""The dual problem of Chernoff's bound, against bisection and a search through the set itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import brentq

from critwin.chernoff import largest_sum

Floats = npt.NDArray[np.float64]


def by_bisection(x: Floats, n: Floats, allowed: float, low: Floats, high: Floats) -> float:
    """The optimum of one problem, term by term as the docstring has it."""
    a = -np.expm1(-x)
    floor, roof = (-np.log1p(-a * side) for side in (low, high))

    def used(t: float) -> float:
        return float(n @ np.clip(t + np.log(x / a), floor, roof) - allowed)

    if used(800.0) <= 0:
        return float(n * x @ high)
    t = brentq(used, -800.0, 800.0, xtol=1e-14)
    d = np.clip(-np.expm1(-np.clip(t + np.log(x / a), floor, roof)) / a, low, high)
    return float(n * x @ d)


@pytest.mark.parametrize("boxed", [True, False])
def test_it_is_the_optimum_also_where_steps_leave_the_bracket(boxed: bool) -> None:
    rng, terms, problems = np.random.default_rng(int(boxed)), 12, 300
    x = rng.gamma(0.3, 2.0, (terms, problems)) + 1e-9
    n = rng.integers(1, 40, (terms, problems)).astype(float)
    low, high = np.sort(rng.random((2, terms, problems)), axis=0)
    if not boxed:
        low, high, n = np.zeros_like(low), np.ones_like(high), np.repeat(n[:, :1], problems, 1)
    a = -np.expm1(-x)
    least, most = ((n * -np.log1p(-a * side)).sum(axis=0) for side in (low, high))
    allowed = least + rng.random(problems) * 1.1 * (most - least)
    found = largest_sum(x, n, allowed, box=(low, high) if boxed else None)
    wanted = [
        by_bisection(x[:, i], n[:, i], float(allowed[i]), low[:, i], high[:, i])
        for i in range(problems)
    ]
    # what is left over of 1e-6 nats enters by its square
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    assert (found >= np.array(wanted) - 1e-9).all()
    if not boxed:
        np.testing.assert_allclose(largest_sum(x, n[:, 0], allowed), found, rtol=1e-9)


def test_problems_are_solved_alike_in_any_company() -> None:
    """Several rates and budgets at once, terms of no weight, and a problem by itself."""
    rng = np.random.default_rng(2)
    x, n = rng.gamma(0.5, 1.0, (7, 1, 5)), rng.integers(1, 9, (7, 1, 5)).astype(float)
    x[2], n[2] = 0.0, 0.0
    allowed = rng.random((3, 5)) * 6
    found = largest_sum(x, n, allowed)
    for k in range(3):
        for i in range(5):
            keep = np.arange(7) != 2
            alone = largest_sum(x[keep, :, i], n[keep, :, i], allowed[k : k + 1, i])
            assert alone[0] == pytest.approx(found[k, i], rel=1e-9)
