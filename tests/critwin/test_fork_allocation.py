"""Allocations: the square-root rule, the width that was planned, and no bias."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from critwin.errors import ParameterError
from critwin.fork_allocation import (
    Allocation,
    Expectation,
    allocate,
    compare_protocols,
    expected_half_width,
    leave_mass,
)
from critwin.forks import Forks, curve_weights, fork_levels, level_intervals
from tests.critwin.markov_forks import Known, random_chain

KNOWN = Known.longest(random_chain(3, max_new_tokens=30))
Floats = npt.NDArray[np.float64]


def known_expectation() -> Expectation:
    cost = np.arange(KNOWN.n, 0, -1.0)
    return Expectation(KNOWN.path.probability, KNOWN.leave_values(KNOWN.own), cost)


def test_forks_follow_the_square_root_rule() -> None:
    rng = np.random.default_rng(0)
    expected = Expectation(rng.random(6), rng.random(6), rng.uniform(1, 9, 6))
    made = allocate(expected, max_forks=1_000_000)
    squares = (curve_weights(expected.probability) ** 2).sum(axis=0)
    rule = np.sqrt(expected.value * (1 - expected.value) * squares / expected.cost)
    np.testing.assert_allclose(made.forks / made.forks.sum(), rule / rule.sum(), rtol=1e-3)
    assert 990_000 < made.forks.sum() <= 1_000_000


def test_no_other_allocation_of_the_same_cost_has_a_smaller_variance() -> None:
    expected = known_expectation()
    made = allocate(expected, max_tokens=200_000, least=0)
    squares = (curve_weights(expected.probability)[:-1] ** 2).sum(axis=0)
    noise = squares * expected.value * (1 - expected.value)

    def variance(forks: Floats) -> float:
        return float((noise[noise > 0] / forks[noise > 0]).sum())

    rng, own = np.random.default_rng(1), made.forks.astype(float)
    for _ in range(200):
        other = np.maximum(own, 1) * rng.uniform(0.7, 1.3, KNOWN.n) * (own > 0)
        other *= (own @ expected.cost) / (other @ expected.cost)
        assert variance(other) >= 0.999 * variance(own)


@pytest.mark.parametrize("over", ["mean", "maximum"])
@pytest.mark.parametrize("joint", [False, True])
def test_the_planned_half_width_is_the_one_that_is_measured(over: Any, joint: bool) -> None:
    made = allocate(known_expectation(), half_width=0.05, over=over, joint=joint)
    assert made.met
    assert made.half_width <= 0.05
    assert ((made.forks == 0) == (KNOWN.path.probability == 1)).all()
    half = []
    for forks in KNOWN.forks(made.forks, seeds=range(10)):
        lower, upper = level_intervals(forks, KNOWN.own, joint=joint)
        own = (upper - lower)[:-1] / 2
        half.append(own.mean() if over == "mean" else own.max())
    assert np.mean(half) == pytest.approx(made.half_width, rel=0.1)


def test_a_smaller_width_costs_more_and_a_joint_one_too() -> None:
    expected = known_expectation()
    forks = [
        int(allocate(expected, half_width=h, joint=joint).forks.sum())
        for h, joint in ((0.1, False), (0.05, False), (0.05, True))
    ]
    assert forks == sorted(forks)
    assert forks[0] < forks[1] < forks[2]


def test_budgets_are_kept_by_assigning_fewer() -> None:
    expected = known_expectation()
    wanted = allocate(expected, half_width=0.05)
    few = allocate(expected, half_width=0.05, max_forks=int(wanted.forks.sum() // 3))
    assert few.forks.sum() <= wanted.forks.sum() // 3
    assert not few.met
    assert few.half_width > 0.05
    assert few.half_width == pytest.approx(expected_half_width(expected, few.forks))
    short = allocate(expected, max_tokens=1000)
    assert 0.8 * 1000 < short.tokens <= 1000
    plenty = allocate(expected, half_width=0.05, max_forks=10**6, max_tokens=1e9)
    np.testing.assert_array_equal(plenty.forks, wanted.forks)
    # fewer forks than tokens with a choice: the heaviest get them, the others are left out
    tight = allocate(expected, max_forks=3)
    assert 0 < tight.forks.sum() <= 3
    assert tight.left_out > 0
    assert allocate(expected, max_forks=0).forks.sum() == 0


def test_left_out_tokens_are_chosen_by_weight_alone() -> None:
    expected = known_expectation()
    made = allocate(expected, max_forks=1000, leave_out=0.02)
    mean = curve_weights(expected.probability)[:-1].mean(axis=0)
    choice = expected.probability < 1
    out = (made.forks == 0) & choice
    assert out.any()
    assert made.left_out == pytest.approx(mean[out].sum())
    assert made.left_out <= 0.02
    assert mean[out].max() <= mean[choice & ~out].min()
    other = Expectation(expected.probability, 1 - expected.value, expected.cost)
    np.testing.assert_array_equal(
        allocate(other, max_forks=1000, leave_out=0.02).forks == 0, made.forks == 0
    )


def steered(rng: np.random.Generator, d: float, tokens: int) -> tuple[Forks, Allocation]:
    """Draw a pilot of four forks per token and let it steer; all pi are .5."""
    path, hits = np.full(tokens, 0.5), rng.binomial(4, d, tokens)
    pilot = Forks("x", "no", path, ("no", "yes"), np.stack([4 - hits, hits], axis=1), tokens)
    spent = 4.0 * np.arange(tokens, 0, -1)
    expected = Expectation.from_pilot(pilot, "yes", tokens=spent, strength=0.1)
    return pilot, allocate(expected, max_forks=8 * tokens)


def test_a_pilot_that_steers_does_not_bias_and_one_that_is_pooled_does() -> None:
    """Mean error of p_0 over many runs, without the pilot and with it; k = 4 standard errors."""
    rng, d, apart, pooled = np.random.default_rng(0), 0.2, [], []
    for _ in range(600):
        pilot, made = steered(rng, d, 3)
        hits = rng.binomial(made.forks, d)
        counts = np.stack([made.forks - hits, hits], axis=1)
        main = Forks("x", "no", pilot.probability, ("no", "yes"), counts, 3)
        apart.append(fork_levels(main, "yes")[0])
        pooled.append(fork_levels(main.pooled(pilot), "yes")[0])
    truth = d * (1 - 0.5**3)
    error = np.std(apart, ddof=1) / np.sqrt(len(apart))
    assert abs(np.mean(apart) - truth) <= 4 * error
    error = np.std(pooled, ddof=1) / np.sqrt(len(pooled))
    assert np.mean(pooled) - truth < -6 * error


def test_without_a_pilot_probabilities_and_lengths_steer() -> None:
    expected = Expectation.from_path([0.5, 1.0, 0.9])
    assert expected.value.tolist() == [0.5, 0.5, 0.5]
    assert expected.cost.tolist() == [3, 2, 1]
    made = allocate(expected, max_forks=100)
    assert made.forks[1] == 0
    assert made.forks[0] > made.forks[2] > 0


def test_a_pilot_is_drawn_towards_its_mean_and_costs_are_what_was_spent() -> None:
    counts = np.array([[0, 4], [2, 2], [0, 0]])
    pilot = Forks("x", "no", np.array([0.5, 0.5, 0.9]), ("no", "yes"), counts, 3)
    expected = Expectation.from_pilot(pilot, "yes", tokens=[24, 16, 0], strength=2)
    mean = (6 + 1) / (8 + 2)
    np.testing.assert_allclose(
        expected.value, [(4 + 2 * mean) / 6, (2 + 2 * mean) / 6, mean], rtol=1e-12
    )
    # forks were 40 / 20 times as long as what the original had left
    np.testing.assert_allclose(expected.cost, [6, 4, 2])
    assert not expected.end


def test_costs_of_protocols() -> None:
    expected = known_expectation()
    assert leave_mass([0.5, 1.0, 0.9]) == pytest.approx(0.6)
    made = allocate(expected, half_width=0.05)
    levels = [int(f * KNOWN.n) for f in (0.05, 0.1, 0.3, 0.5, 0.7, 0.9)]
    costs = compare_protocols(expected, made, levels)
    assert costs.leave_mass == pytest.approx(leave_mass(KNOWN.path.probability))
    assert costs.grid_tokens == costs.grid_draws * sum(KNOWN.n - s for s in levels)
    assert costs.fork_tokens == made.tokens
    assert costs.cheaper == ("forks" if made.tokens <= costs.grid_tokens else "grid")
    every = compare_protocols(expected, made, range(KNOWN.n))
    assert every.cheaper == "forks"
    assert every.grid_tokens > costs.grid_tokens
    # one level and a long text that leaves its path again and again: the grid is cheaper
    long = Expectation(np.full(200, 0.7), np.full(200, 0.5), np.arange(200, 0, -1.0))
    assert compare_protocols(long, allocate(long, max_forks=2000), [100]).cheaper == "grid"
    with pytest.raises(ParameterError, match="pointwise"):
        compare_protocols(expected, allocate(expected, max_forks=9, joint=True), [0])


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"half_width": 0.0},
        {"half_width": 1.0},
        {"max_forks": -1},
        {"max_tokens": -1.0},
        {"max_forks": 1, "least": -1},
        {"max_forks": 1, "leave_out": -0.1},
    ],
)
def test_wrong_wishes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="allowed"):
        allocate(Expectation.from_path([0.5]), **wrong)
