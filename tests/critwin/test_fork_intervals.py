"""Coverage of the intervals of linear forms: by enumeration, by simulation, on exact strings."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import minimize
from scipy.stats import binom

from critwin.fork_intervals import BOX_SHARE, linear_form_interval
from critwin.forks import curve_weights, difference_intervals, level_intervals
from critwin.statistics import clopper_pearson
from tests.critwin.markov_forks import Known, random_chain

Floats = npt.NDArray[np.float64]

LEVEL, FALSE_ALARM = 0.95, 1e-5


def covers_enough(covered: npt.NDArray[np.bool_]) -> bool:
    """Whether independent trials of exact coverage `LEVEL` would miss as often, in 1 of 100 000."""
    return int((~covered).sum()) <= int(binom.ppf(1 - FALSE_ALARM, covered.size, 1 - LEVEL))


def test_coverage_by_enumeration_is_never_below_the_level() -> None:
    """All outcomes of three binomials, for d over a grid with 0 and 1, weights of both signs."""
    n = np.array([3, 5, 2])
    outcomes = np.array(list(product(*(range(m + 1) for m in n))))
    for weights in ([0.5, 0.2, 0.1], [0.6, -0.5, 0.3], [1.0, 0.0, -0.001]):
        lower, upper = linear_form_interval(weights, outcomes, n)
        for d in product([0, 0.02, 0.2, 0.5, 0.9, 1], repeat=3):
            chance = binom.pmf(outcomes, n, d).prod(axis=1)
            truth = float(np.dot(weights, d))
            covered = (lower - 1e-9 <= truth) & (truth <= upper + 1e-9)
            assert chance @ covered >= LEVEL


@pytest.mark.parametrize("seed", range(4))
def test_upper_end_is_a_maximum_found_by_another_optimiser(seed: int) -> None:
    """For the best lambda the clipped closed form is the optimum: no feasible d lies beyond it."""
    rng = np.random.default_rng(seed)
    n = rng.integers(3, 12, 4)
    k, w = rng.binomial(n, rng.random(4)), rng.dirichlet(np.ones(4))
    _, upper = linear_form_interval(w, k, n)
    low, high = clopper_pearson(k, n, level=1 - BOX_SHARE * 0.05 / 4)
    budget = np.log((1 - BOX_SHARE) * 0.05 / 2)

    def slack(d: Floats, rate: float) -> float:
        return float(rate * (w * k / n).sum() + n @ np.log1p(d * np.expm1(-rate * w / n)) - budget)

    best = np.inf
    for rate in np.geomspace(0.5, 500, 60):
        found = minimize(
            lambda d: -w @ d,
            k / n,
            jac=lambda d: -w,
            bounds=list(zip(low, np.minimum(high, 1 - 1e-9), strict=True)),
            constraints={"type": "ineq", "fun": slack, "args": (rate,)},
            method="SLSQP",
        )
        if found.success and slack(found.x, rate) > -1e-6:
            best = min(best, -found.fun)
    assert upper[0] == pytest.approx(best, abs=2e-3)


def test_one_position_is_little_wider_than_clopper_pearson() -> None:
    k = np.array([0, 1, 5, 10])[:, None]
    lower, upper = linear_form_interval(1.0, k, 10)
    low, high = clopper_pearson(k[:, 0], 10)
    assert (lower <= low).all()
    assert (upper >= high).all()
    assert ((upper - lower) <= 1.35 * (high - low)).all()
    assert lower[0] == 0
    assert upper[-1] == 1


def test_symmetries_and_ends_without_draws() -> None:
    rng = np.random.default_rng(3)
    w, n = rng.normal(size=8), rng.integers(0, 9, 8)
    k = rng.binomial(n, 0.4)
    lower, upper = linear_form_interval(w, k, n)
    other_lower, other_upper = linear_form_interval(-w, k, n)
    np.testing.assert_allclose((lower, upper), (-other_upper, -other_lower))
    failed_lower, failed_upper = linear_form_interval(w, n - k, n)
    total = w.sum()
    np.testing.assert_allclose((lower, upper), (total - failed_upper, total - failed_lower))
    plugged = np.where(n > 0, w * k / np.maximum(n, 1), 0).sum()
    assert lower[0] <= plugged <= upper[0]
    assert [float(v[0]) for v in linear_form_interval([0.3, -0.2], 0, 0)] == pytest.approx(
        [-0.2, 0.3]
    )
    assert [v.tolist() for v in linear_form_interval(np.zeros((2, 3)), 1, 2)] == [[0, 0]] * 2
    assert [v.tolist() for v in linear_form_interval(np.zeros((2, 0)), [], [])] == [[0, 0]] * 2


def leave_values(kind: str, size: int, rng: np.random.Generator) -> Floats:
    mixed = np.where(rng.random(size) < 0.5, 0.01, 0.99)
    return {
        "near 0": np.full(size, 0.02),
        "near 1": np.full(size, 0.98),
        "either": mixed,
        "spread": rng.random(size),
    }[kind]


def simulated(kind: str, tokens: int, draws: int, sets: int) -> tuple[Floats, Floats, Floats]:
    """Give weights (at position 0, and of a difference), leave values, and hits per set."""
    rng = np.random.default_rng([tokens, draws])
    pi = np.clip(1 - rng.beta(0.7, 0.7 * tokens / 4, tokens), 0, 1)
    levels = curve_weights(pi)
    weights = np.array([levels[0], levels[tokens // 2], levels[tokens // 2] - levels[0]])
    d = leave_values(kind, tokens, rng)
    return weights, d, rng.binomial(draws, d, (sets, tokens)).astype(np.float64)


@pytest.mark.parametrize("kind", ["near 0", "near 1", "either", "spread"])
@pytest.mark.parametrize("draws", [3, 10, 50])
@pytest.mark.parametrize("tokens", [20, 100, 500])
def test_pointwise_coverage(kind: str, tokens: int, draws: int) -> None:
    sets = 400 if tokens < 500 else 100
    weights, d, hits = simulated(kind, tokens, draws, sets)
    for form in weights:
        lower, upper = linear_form_interval(form, hits, draws)
        covered = (lower <= form @ d) & (form @ d <= upper)
        assert covers_enough(covered)


def test_plug_in_bands_fail_where_these_hold() -> None:
    """Normal bands from the estimated variance, at three forks per token, d near 0."""
    weights, d, hits = simulated("near 0", 20, 3, 400)
    form = weights[1]
    share = hits / 3
    error = 1.96 * np.sqrt((form**2 * share * (1 - share) / 3).sum(axis=1))
    plugged = abs(share @ form - form @ d) <= error
    assert not covers_enough(plugged)
    assert plugged.mean() < 0.6
    lower, upper = linear_form_interval(form, hits, 3)
    assert covers_enough((lower <= form @ d) & (form @ d <= upper))


@pytest.mark.parametrize("draws", [3, 12])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_coverage_on_exact_strings(seed: int, draws: int) -> None:
    """The sampler draws, the closed form judges: each position, all of them, all steps."""
    known = Known.longest(random_chain(seed, max_new_tokens=20))
    truth, sets, steps = known.curve(known.own), 60, np.arange(known.n)
    inside, all_inside, all_steps = [], [], []
    for forks in known.forks(draws, seeds=range(sets)):
        lower, upper = level_intervals(forks, known.own)
        inside.append((lower - 1e-9 <= truth) & (truth <= upper + 1e-9))
        lower, upper = level_intervals(forks, known.own, joint=True)
        all_inside.append(((lower - 1e-9 <= truth) & (truth <= upper + 1e-9)).all())
        lower, upper = difference_intervals(forks, known.own, steps, steps + 1, joint=True)
        jumps = np.diff(truth)
        all_steps.append(((lower - 1e-9 <= jumps) & (jumps <= upper + 1e-9)).all())
    for position in np.array(inside).T:
        assert covers_enough(position)
    assert covers_enough(np.array(all_inside))
    assert covers_enough(np.array(all_steps))


@pytest.mark.parametrize("tokens", [20, 200])
def test_joint_coverage_over_all_positions(tokens: int) -> None:
    rng, draws, sets = np.random.default_rng(tokens), 25, 100 if tokens < 200 else 15
    pi = np.clip(1 - rng.beta(0.7, 0.7 * tokens / 20, tokens), 0, 1)
    weights, d = curve_weights(pi)[:-1], np.full(tokens, 0.5)
    truth, joint, pointwise = weights @ d, [], []
    for _ in range(sets):
        hits = rng.binomial(draws, d)
        for found, comparisons in ((joint, tokens), (pointwise, 1)):
            lower, upper = linear_form_interval(weights, hits, draws, comparisons=comparisons)
            found.append(((lower <= truth) & (truth <= upper)).all())
    assert covers_enough(np.array(joint))
    assert np.mean(pointwise) <= np.mean(joint)
