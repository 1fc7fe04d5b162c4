"""What a measurement is expected to cost and show, against what it does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from critwin.changes import Sought, Width
from critwin.fork_allocation import Wish, allocate
from critwin.fork_expectation import Expectation
from critwin.planning import Total, plan_original, quick_tokens
from critwin.protocol import EveryToken, ForkProtocol, Fractions
from critwin.statistics import newcombe_difference
from critwin.windows.confident_jump import ConfidentJump
from tests.critwin.windows.known_curves import grid_of

FRACTIONS = (0.05, 0.1, 0.3, 0.5, 0.7, 0.9)


def path(n: int = 60, *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n) < 0.3, rng.uniform(0.3, 0.99, n), 1.0)


def test_a_grid_costs_its_draws_times_what_is_left_at_each_level() -> None:
    pi = path(40)
    left = [40 - s for s in (0, 2, 4, 12, 20, 28, 36)]
    assert quick_tokens(Fractions(n=25), pi) == 25 * sum(left)
    assert quick_tokens(EveryToken(n=3), pi) == 3 * 40 * 41 / 2
    plan = plan_original(
        Fractions(n=25), Expectation.from_path(pi), compared=FRACTIONS, threshold=0.5
    )
    assert plan.drawn_tokens == 25 * sum(left)
    assert (plan.tokens, plan.draws) == (40, 25 * 7)


def test_the_smallest_window_of_a_grid_is_the_first_that_its_interval_certifies() -> None:
    expected = Expectation.from_path(path())
    plan = plan_original(Fractions(n=100), expected, compared=FRACTIONS, threshold=0.5)
    for rise, certified in ((plan.smallest_window, True), (plan.smallest_window - 0.002, False)):
        lower, _ = newcombe_difference(
            50 * (1 + rise), 100, 50 * (1 - rise), 100, level=1 - 0.05 / 5
        )
        assert (lower > 0.5) == certified
    assert plan.smallest_rise < plan.smallest_window - 0.4
    few = plan_original(Fractions(n=2), expected, compared=FRACTIONS, threshold=0.5)
    assert few.smallest_window > 1


def test_the_smallest_window_at_every_token_is_found_and_smaller_ones_are_not() -> None:
    """One in two draws shows more than is expected, at the best of several stretches more than one.

    40 runs, 3 standard errors.
    """
    rule, n = ConfidentJump(threshold=0.2, max_width=10), 60
    expected = Expectation.from_path(path(n))
    plan = plan_original(EveryToken(n=25), expected, compared=(), threshold=0.2, sought=rule.sought)
    alone = plan_original(EveryToken(n=25), expected, compared=(), threshold=0.2)
    assert plan.smallest_rise < plan.smallest_window < alone.smallest_window - 0.1

    def share(rise: float) -> float:
        p = 0.5 + rise / 2 * np.where(np.arange(n + 1) < n // 2, -1, 1)
        rng, found = np.random.default_rng(0), 0
        for _ in range(40):
            drawn = np.append(rng.binomial(25, p[:-1]) / 25, p[-1])
            windows = rule.find(grid_of(np.arange(n + 1), drawn, 25))
            found += any(w.direction == "rise" for w in windows)
        return found / 40

    error = np.sqrt(0.25 / 40)
    assert share(plan.smallest_window) > 0.5 - 3 * error
    assert share(plan.smallest_window - 0.15) < 0.5 - 3 * error


def test_more_forks_find_smaller_windows() -> None:
    expected = Expectation.from_path(path())
    plans = [
        plan_original(
            ForkProtocol(half_width=None, max_forks=forks), expected, compared=(), threshold=0.5
        )
        for forks in (60, 240, 960)
    ]
    rises = [plan.smallest_rise for plan in plans]
    assert rises == sorted(rises, reverse=True)
    assert rises[2] < 0.7 * rises[0]
    assert all(p.smallest_window == pytest.approx(0.5 + p.smallest_rise) for p in plans)
    assert [plan.draws for plan in plans] == pytest.approx([60, 240, 960], rel=0.05)


def test_a_certain_path_costs_nothing() -> None:
    expected = Expectation.from_path(np.ones(9))
    plan = plan_original(ForkProtocol(), expected, compared=(), threshold=0.5)
    assert (plan.draws, plan.drawn_tokens, plan.leave_mass, plan.cheaper) == (0, 0.0, 0.0, None)
    assert quick_tokens(ForkProtocol(), np.ones(9)) == 0.0


@pytest.mark.parametrize("half_width", [0.03, 0.05, 0.1])
def test_quick_tokens_of_forks_rank_originals_as_their_plans_do(half_width: float) -> None:
    """They steer a remaining time: within a factor of 2.5 of the plan, and in the same order."""
    protocol = ForkProtocol(half_width=half_width, pilot=0)
    quick, planned = [], []
    for seed in range(12):
        pi = path(30 + 10 * seed, seed=seed)
        quick.append(quick_tokens(protocol, pi))
        (plan,) = allocate([Expectation.from_path(pi)], Wish.of(protocol))
        planned.append(plan.tokens)
    ratio = np.array(planned) / np.array(quick)
    assert (ratio > 0.4).all()
    assert (ratio < 2.5).all()
    assert np.corrcoef(np.log(quick), np.log(planned))[0, 1] > 0.9


def test_budgets_bound_the_quick_tokens() -> None:
    pi = path()
    assert quick_tokens(ForkProtocol(half_width=None, max_tokens=500, pilot=0), pi) == 500
    wide = quick_tokens(ForkProtocol(half_width=None, max_forks=10, pilot=0), pi)
    assert 10 <= wide <= 10 * len(pi)


def test_a_total_has_students_interval_over_the_originals() -> None:
    total = Total.of([1.0, 3.0], 10)
    # t(.975, 1) = 12.706, standard error 1
    assert (total.estimate, total.lower) == (20.0, 0.0)
    assert total.upper == pytest.approx(10 * (2 + 12.7062), rel=1e-4)
    assert Total.of([2.0], 5) == Total(10.0, None, None)
    assert Total(20.0, 10.0, 30.0).over(10) == Total(2.0, 1.0, 3.0)


def test_aimed_forks_spend_what_was_asked_for_and_a_window_needs_no_curve() -> None:
    """The pilot's tokens are among those asked for; more tokens certify smaller windows."""
    sought, seen = Sought(0.2, Width(10)), Expectation.from_path(path())
    plans = [
        plan_original(
            ForkProtocol(aim="windows", half_width=None, max_tokens=tokens),
            replace(seen, value=np.full(60, 0.98)),
            compared=(),
            threshold=0.2,
            sought=sought,
        )
        for tokens in (2000, 8000, 32000)
    ]
    assert [p.drawn_tokens for p in plans] == pytest.approx([2000, 8000, 32000], rel=0.02)
    windows = [p.smallest_window for p in plans]
    assert windows == sorted(windows, reverse=True)
    # four times the draws halve it; what the first look takes is little where there is much
    assert windows[2] - 0.2 == pytest.approx((windows[1] - 0.2) / 2, rel=0.15)
    # labels that nearly always come out the same do not make a window elsewhere easy to see
    blind = plan_original(
        ForkProtocol(aim="windows", half_width=None, max_tokens=8000),
        seen,
        compared=(),
        threshold=0.2,
        sought=sought,
    )
    assert plans[1].smallest_window == blind.smallest_window
    with pytest.raises(ValueError, match="sought is None"):
        plan_original(ForkProtocol(aim="windows"), seen, compared=(), threshold=0.2)
