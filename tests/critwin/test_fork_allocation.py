"""Allocations: the square-root rule, the width that was planned, and no bias."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from critwin.errors import ParameterError
from critwin.fork_allocation import Allocation, Wish, allocate, expected_half_widths
from critwin.fork_blocks import Blocks
from critwin.fork_expectation import Expectation, leave_mass
from critwin.forks import Forks, curve_weights, fork_levels, level_intervals
from tests.critwin.markov_forks import Known, random_chain

KNOWN = Known.longest(random_chain(3, max_new_tokens=30))
Floats = npt.NDArray[np.float64]


def expectation(
    probability: npt.ArrayLike,
    value: npt.ArrayLike,
    cost: npt.ArrayLike,
    *,
    blocks: Blocks | None = None,
) -> Expectation:
    pi, d, c = (np.asarray(v, np.float64) for v in (probability, value, cost))
    return Expectation(pi, d, c, True, Blocks.single(len(pi)) if blocks is None else blocks)


def known_expectation(*, blocks: Blocks | None = None) -> Expectation:
    cost = np.arange(KNOWN.n, 0, -1.0)
    return expectation(KNOWN.path.probability, KNOWN.leave_values(KNOWN.own), cost, blocks=blocks)


def planned(expected: Expectation, **wish: Any) -> Allocation:
    (made,) = allocate([expected], Wish(**wish))
    return made


def test_forks_follow_the_square_root_rule() -> None:
    rng = np.random.default_rng(0)
    # values between .2 and .8: what looks certain is planned with a variance of .1
    expected = expectation(rng.random(6), rng.uniform(0.2, 0.8, 6), rng.uniform(1, 9, 6))
    made = planned(expected, max_forks=1_000_000)
    squares = (curve_weights(expected.probability) ** 2).sum(axis=0)
    rule = np.sqrt(expected.value * (1 - expected.value) * squares / expected.cost)
    np.testing.assert_allclose(made.forks / made.forks.sum(), rule / rule.sum(), rtol=1e-3)
    assert 990_000 < made.forks.sum() <= 1_000_000


def test_blocks_are_planned_by_what_their_forks_will_be() -> None:
    """A block's value, cost and weight are those of its tokens, each by its share."""
    pi = np.array([0.9, 0.8, 0.5, 0.95])
    expected = expectation(
        pi, [0.2, 0.8, 0.4, 0.6], [9, 6, 4, 1], blocks=Blocks(np.array([0, 2, 4]))
    )
    share = [0.1 / 0.28, 0.18 / 0.28], [0.5 / 0.525, 0.025 / 0.525]
    np.testing.assert_allclose(
        expected.block_value, [np.dot(share[0], [0.2, 0.8]), np.dot(share[1], [0.4, 0.6])]
    )
    np.testing.assert_allclose(
        expected.block_cost, [np.dot(share[0], [9, 6]), np.dot(share[1], [4, 1])]
    )
    np.testing.assert_allclose(expected.trials([28, 105]), [10, 18, 100, 5])
    made = planned(expected, max_forks=100_000)
    weights = curve_weights(pi)[:4]
    squares = np.array(
        [(weights[:, :2].sum(axis=1) ** 2).sum(), (weights[:, 2:].sum(axis=1) ** 2).sum()]
    )
    v, c = expected.block_value * (1 - expected.block_value), expected.block_cost
    rule = np.sqrt(v * squares / c)
    np.testing.assert_allclose(made.forks / made.forks.sum(), rule / rule.sum(), rtol=1e-3)


def test_no_other_allocation_of_the_same_cost_has_a_smaller_variance() -> None:
    expected = known_expectation()
    made = planned(expected, max_tokens=200_000)
    squares = (curve_weights(expected.probability)[:-1] ** 2).sum(axis=0)
    noise = squares * np.maximum(expected.value * (1 - expected.value), 0.1)

    def variance(forks: Floats) -> float:
        return float((noise[noise > 0] / forks[noise > 0]).sum())

    rng, own = np.random.default_rng(1), made.forks.astype(float)
    for _ in range(200):
        other = np.maximum(own, 1) * rng.uniform(0.7, 1.3, KNOWN.n) * (own > 0)
        other *= (own @ expected.cost) / (other @ expected.cost)
        assert variance(other) >= 0.999 * variance(own)


@pytest.mark.parametrize("over", ["mean", "maximum"])
@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("single", [False, True])
def test_the_planned_half_width_is_the_one_that_is_measured(
    over: Any, joint: bool, single: bool
) -> None:
    pi = KNOWN.path.probability
    blocks = Blocks.single(KNOWN.n) if single else Blocks.by_surprisal(pi)
    made = planned(known_expectation(blocks=blocks), half_width=0.05, over=over, joint=joint)
    assert made.met
    assert 0.045 < made.half_width <= 0.05
    assert ((made.forks > 0) <= (blocks.sums(blocks.shares(pi)) > 0)).all()
    half = []
    for seed in range(10):
        numbers = blocks.spread(pi, made.forks, seed=seed, stage="main")
        (forks,) = KNOWN.forks(numbers, seeds=[seed], blocks=blocks)
        lower, upper = level_intervals(forks, KNOWN.own, joint=joint)
        own = (upper - lower)[:-1] / 2
        half.append(own.mean() if over == "mean" else own.max())
    assert np.mean(half) == pytest.approx(made.half_width, rel=0.1)


def test_originals_are_planned_together_as_alone() -> None:
    """Nothing of one original's plan depends on the others in the call."""
    rng = np.random.default_rng(0)
    many = [
        Expectation.from_path(np.clip(1 - rng.beta(0.3, 2, size), 0, 1)) for size in (3, 30, 90, 1)
    ]
    for wish in (Wish(half_width=0.05), Wish(half_width=0.1, joint=True), Wish(max_forks=40)):
        for together, expected in zip(allocate(many, wish), many, strict=True):
            (alone,) = allocate([expected], wish)
            np.testing.assert_array_equal(together.forks, alone.forks)
            # to rounding: sums of more columns, all zero, may be taken in another order
            assert together.half_width == pytest.approx(alone.half_width, rel=1e-12)
    assert allocate([], Wish(half_width=0.05)) == []


def test_nothing_is_drawn_where_the_path_says_enough() -> None:
    made = planned(Expectation.from_path(np.full(20, 0.999)), half_width=0.05)
    assert made.forks.sum() == made.tokens == 0
    assert made.met
    # p_s is between the chance to stay and 1, whatever the forks would say
    assert made.half_width == pytest.approx(
        (1 - 0.999 ** np.arange(20, 0, -1)).mean() / 2, rel=0.02
    )


def test_a_smaller_width_costs_more_and_a_joint_one_too() -> None:
    expected = known_expectation()
    forks = [
        int(planned(expected, half_width=h, joint=joint).forks.sum())
        for h, joint in ((0.1, False), (0.05, False), (0.05, True))
    ]
    assert forks == sorted(forks)
    assert forks[0] < forks[1] < forks[2]


def test_budgets_are_kept_by_assigning_fewer() -> None:
    expected = known_expectation()
    wanted = planned(expected, half_width=0.05)
    few = planned(expected, half_width=0.05, max_forks=int(wanted.forks.sum() // 3))
    assert few.forks.sum() <= wanted.forks.sum() // 3
    assert not few.met
    assert few.half_width > 0.05
    (again,) = expected_half_widths([expected], [few.forks], Wish(half_width=0.05))
    assert few.half_width == again
    short = planned(expected, max_tokens=1000)
    assert 0.8 * 1000 < short.tokens <= 1000
    plenty = planned(expected, half_width=0.05, max_forks=10**6, max_tokens=1e9)
    np.testing.assert_array_equal(plenty.forks, wanted.forks)
    # fewer forks than blocks with a choice: the heaviest get them, the others are left out
    tight = planned(expected, max_forks=3)
    assert 0 < tight.forks.sum() <= 3
    mean = curve_weights(expected.probability)[:-1].mean(axis=0)
    assert tight.left_out == pytest.approx(mean[tight.forks == 0].sum())
    assert planned(expected, max_forks=0).forks.sum() == 0


def steered(rng: np.random.Generator, d: float, tokens: int) -> tuple[Forks, Allocation]:
    """Draw a pilot of four forks per token and let it steer; all pi are .5."""
    path, hits = np.full(tokens, 0.5), rng.binomial(4, d, tokens)
    blocks = Blocks.single(tokens)
    counts = np.stack([4 - hits, hits], axis=1)
    pilot = Forks("x", "no", path, ("no", "yes"), counts, tokens, blocks)
    spent = 4.0 * np.arange(tokens, 0, -1)
    expected = Expectation.from_pilot(pilot, "yes", tokens=spent, strength=0.1)
    return pilot, planned(expected, max_forks=8 * tokens)


def test_a_pilot_that_steers_does_not_bias_and_one_that_is_pooled_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Mean error of p_0 over many runs, without the pilot and with it; k = 4 standard errors.

    What looks certain is taken for it here, so that the pilot steers hard.
    """
    monkeypatch.setattr("critwin.fork_allocation._DOUBT", 0.005)
    rng, d, apart, pooled = np.random.default_rng(0), 0.2, [], []
    for _ in range(600):
        pilot, made = steered(rng, d, 3)
        hits = rng.binomial(made.forks, d)
        counts = np.stack([made.forks - hits, hits], axis=1)
        main = Forks("x", "no", pilot.probability, ("no", "yes"), counts, 3, pilot.blocks)
        apart.append(fork_levels(main, "yes")[0])
        pooled.append(fork_levels(main.pooled(pilot), "yes")[0])
    truth = d * (1 - 0.5**3)
    error = np.std(apart, ddof=1) / np.sqrt(len(apart))
    assert abs(np.mean(apart) - truth) <= 4 * error
    error = np.std(pooled, ddof=1) / np.sqrt(len(pooled))
    assert np.mean(pooled) - truth < -6 * error


def test_without_a_pilot_probabilities_and_lengths_steer() -> None:
    expected = Expectation.from_path([0.5, 1.0, 0.8])
    assert expected.value.tolist() == [0.5, 0.5, 0.5]
    assert expected.cost.tolist() == [3, 2, 1]
    assert expected.blocks.bounds.tolist() == [0, 2, 3]
    made = planned(expected, max_forks=100)
    assert (made.forks > 0).all()


def test_a_pilot_is_drawn_towards_its_mean_and_costs_are_what_was_spent() -> None:
    counts = np.array([[0, 4], [2, 2], [0, 0]])
    pi, blocks = np.array([0.5, 0.5, 0.9]), Blocks.single(3)
    pilot = Forks("x", "no", pi, ("no", "yes"), counts, 3, blocks)
    expected = Expectation.from_pilot(pilot, "yes", tokens=[24, 16, 0], strength=2)
    mean = (6 + 0.5) / (8 + 1)
    a = np.array([4, 2, 0]) + 2 * mean
    n = np.array([4, 4, 0]) + 2
    varies = a * (n - a) / (n * (n + 1))
    # as much as a label varies on average, on the side of the more frequent label
    np.testing.assert_allclose(expected.value * (1 - expected.value), varies)
    assert (expected.value > 0.5).all()
    assert not expected.end
    # forks were 40 / 20 times as long as what the original had left
    np.testing.assert_allclose(expected.cost, [6, 4, 2])


def test_leave_mass() -> None:
    assert leave_mass([0.5, 1.0, 0.9]) == pytest.approx(0.6)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"half_width": 0.0}, {"half_width": 1.0}, {"max_forks": -1}, {"max_tokens": -1.0}],
)
def test_wrong_wishes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="allowed"):
        Wish(**wrong)
