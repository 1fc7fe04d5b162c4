"""Intervals against exact enumeration, against other implementations, and by simulated coverage."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom, binomtest
from statsmodels.stats.proportion import confint_proportions_2indep

from critwin.statistics import (
    Interval,
    clopper_pearson,
    clustered_difference,
    clustered_share,
    mantel_haenszel_difference,
    newcombe_difference,
)

LEVEL = 0.95
SIMULATIONS = 1000
# Four standard errors of a simulated coverage: one false alarm in 30 000 cases at exact coverage.
TOLERANCE = 4 * (LEVEL * (1 - LEVEL) / SIMULATIONS) ** 0.5


def test_clopper_pearson_is_exact_at_the_ends() -> None:
    lower, upper = clopper_pearson([0, 10, 0], [10, 10, 0])
    assert lower.tolist() == [0.0, pytest.approx(0.025 ** (1 / 10)), 0.0]
    assert upper.tolist() == [pytest.approx(1 - 0.025 ** (1 / 10)), 1.0, 1.0]


@pytest.mark.parametrize(("hits", "trials"), [(1, 7), (12, 25), (99, 100)])
def test_clopper_pearson_agrees_with_scipy(hits: int, trials: int) -> None:
    lower, upper = clopper_pearson(hits, trials, level=0.9)
    other = binomtest(hits, trials).proportion_ci(0.9, method="exact")
    assert (float(lower), float(upper)) == pytest.approx((other.low, other.high))


def test_clopper_pearson_never_covers_less_than_its_level() -> None:
    k = np.arange(26)
    lower, upper = clopper_pearson(k, 25)
    p = np.linspace(0, 1, 401)[:, None]
    coverage = (binom.pmf(k, 25, p) * ((lower <= p) & (p <= upper))).sum(axis=1)
    assert coverage.min() >= LEVEL - 1e-12


@pytest.mark.parametrize(("trials", "promised"), [((10, 10), 0.927), ((25, 25), 0.947)])
def test_newcombe_difference_covers_as_documented(trials: tuple[int, int], promised: float) -> None:
    coverage = _exact_coverage(*trials)
    assert coverage.min() >= promised - 5e-4
    assert coverage.mean() >= LEVEL


def _exact_coverage(n1: int, n2: int) -> np.ndarray:
    """Coverage for every pair of probabilities on a grid, summed over all outcomes."""
    k1, k2 = np.arange(n1 + 1), np.arange(n2 + 1)
    lower, upper = newcombe_difference(k1[:, None], n1, k2[None, :], n2)
    grid = np.linspace(0, 1, 101)
    first, second = binom.pmf(k1, n1, grid[:, None]), binom.pmf(k2, n2, grid[:, None])
    coverage = np.empty((grid.size, grid.size))
    for i, p1 in enumerate(grid):
        for j, p2 in enumerate(grid):
            covers = (lower <= p1 - p2 + 1e-12) & (p1 - p2 - 1e-12 <= upper)
            coverage[i, j] = first[i] @ covers @ second[j]
    return coverage


def test_newcombe_difference_holds_the_interval_made_of_score_intervals() -> None:
    # Newcombe (1998), Table II, example (a): 56/70 - 48/80, method 10: .0524 to .3339
    lower, upper = newcombe_difference(56, 70, 48, 80)
    scores = confint_proportions_2indep(56, 70, 48, 80, method="newcomb")
    assert scores == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert scores[0] - 0.02 < lower < scores[0]
    assert scores[1] < upper < scores[1] + 0.02


def test_newcombe_difference_changes_sign_with_its_groups() -> None:
    lower, upper = newcombe_difference([3, 0], [10, 25], [9, 25], [10, 25])
    other_lower, other_upper = newcombe_difference([9, 25], [10, 25], [3, 0], [10, 25])
    np.testing.assert_allclose(lower, -other_upper)
    np.testing.assert_allclose(upper, -other_lower)


def test_newcombe_difference_without_draws_is_all_there_can_be() -> None:
    lower, upper = newcombe_difference([0, 3], [0, 10], [2, 0], [5, 0])
    assert lower.tolist() == [-1, -1]
    assert upper.tolist() == [1, 1]


def test_share_of_independent_trials_is_the_exact_interval() -> None:
    # one trial per problem and a share of one half: the design effect is 1
    share = clustered_share([0, 1] * 10, [1] * 20)
    lower, upper = clopper_pearson(10, 20)
    assert share == Interval(0.5, pytest.approx(float(lower)), pytest.approx(float(upper)), 20, 20)


def test_share_of_problems_that_are_all_or_nothing_counts_problems() -> None:
    share = clustered_share([0, 4] * 20, [4] * 40)
    assert share is not None
    lower, upper = clopper_pearson(20, 40)
    assert (share.lower, share.upper) == pytest.approx((float(lower), float(upper)), abs=0.01)


@pytest.mark.parametrize("hits", [0, 4])
def test_share_at_none_and_all_counts_problems(hits: int) -> None:
    share = clustered_share([hits] * 10, [4] * 10)
    assert share is not None
    lower, upper = clopper_pearson(10 * hits // 4, 10)
    assert share.lower <= lower
    assert share.upper >= upper
    assert share.upper - share.lower < 0.4


def test_share_of_one_problem_says_nothing() -> None:
    assert clustered_share([3, 0], [4, 0]) == Interval(0.75, 0.0, 1.0, 4, 1)


def test_nothing_to_count_gives_no_interval() -> None:
    assert clustered_share([], []) is None
    assert clustered_share([0, 0], [0, 0]) is None
    assert clustered_difference([1], [2], [0], [0]) is None
    assert mantel_haenszel_difference([1, 0], [2, 0], [0, 1], [0, 2]) is None


def test_mantel_haenszel_by_hand() -> None:
    # weights 2*2/4 = 1 and 3*1/4 = .75; differences .5 and 1/3 - 1 = -2/3; the third tells nothing
    difference = mantel_haenszel_difference([1, 1, 2], [2, 3, 2], [0, 1, 0], [2, 1, 0])
    assert difference is not None
    assert difference.estimate == pytest.approx((0.5 * 1 - 2 / 3 * 0.75) / 1.75)
    assert (difference.n, difference.clusters) == (8, 2)


def test_differences_without_variation_keep_their_width() -> None:
    clusters = [2] * 10
    for difference in (clustered_difference, mantel_haenszel_difference):
        same = difference([0] * 10, clusters, [0] * 10, clusters)
        assert same is not None
        assert same.estimate == 0
        assert same.lower < -0.2 < 0.2 < same.upper
        apart = difference(clusters, clusters, [0] * 10, clusters)
        assert apart is not None
        assert 0.4 < apart.lower < 0.8
        assert apart.upper == 1
    alone = mantel_haenszel_difference([2], [2], [0], [2])
    assert alone == Interval(1.0, -1.0, 1.0, 4, 1)


def test_an_effect_shared_within_problems_narrows_the_difference() -> None:
    easy = [0, 4] * 20
    paired = clustered_difference(easy, [4] * 40, easy, [4] * 40)
    crossed = clustered_difference(easy, [4] * 40, easy[::-1], [4] * 40)
    assert paired is not None
    assert crossed is not None
    assert paired.upper - paired.lower < 0.5 * (crossed.upper - crossed.lower)


def _beta(rng: np.random.Generator, mean: float, correlation: float, shape: tuple[int, int]):
    if correlation == 0 or mean in (0, 1):
        return np.full(shape, mean)
    scale = (1 - correlation) / correlation
    return rng.beta(mean * scale, (1 - mean) * scale, shape)


def _coverage(make: Callable[[int], Interval | None], truth: float) -> float:
    intervals = [found for i in range(SIMULATIONS) if (found := make(i)) is not None]
    covered = [i.lower <= truth + 1e-12 and truth - 1e-12 <= i.upper for i in intervals]
    return float(np.mean(covered))


@pytest.mark.slow
@pytest.mark.parametrize("problems", [10, 200])
@pytest.mark.parametrize("sizes", [(1, 1), (4, 4), (0, 8)])
@pytest.mark.parametrize("correlation", [0.0, 0.4, 0.9])
@pytest.mark.parametrize("p", [0.02, 0.3, 0.9])
def test_coverage_of_a_share(
    problems: int, sizes: tuple[int, int], correlation: float, p: float
) -> None:
    rng = np.random.default_rng([problems, *sizes, int(10 * correlation), int(100 * p)])
    shape = (SIMULATIONS, problems)
    trials = rng.integers(sizes[0], sizes[1] + 1, shape)
    hits = rng.binomial(trials, _beta(rng, p, correlation, shape))
    coverage = _coverage(lambda i: clustered_share(hits[i], trials[i]), p)
    assert coverage >= LEVEL - TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("problems", [10, 200])
@pytest.mark.parametrize("originals", [2, 6])
@pytest.mark.parametrize("correlation", [0.0, 0.4])
@pytest.mark.parametrize("shares", [(0.5, 0.1), (0.3, 0.3), (0.05, 0.0)])
@pytest.mark.parametrize("difference", [clustered_difference, mantel_haenszel_difference])
def test_coverage_of_a_difference(
    difference: Callable[..., Interval | None],
    problems: int,
    originals: int,
    correlation: float,
    shares: tuple[float, float],
) -> None:
    """Right and wrong originals of a problem, as many of each as the problem's difficulty gives."""
    rng = np.random.default_rng([problems, originals, int(10 * correlation), int(100 * shares[0])])
    shape = (SIMULATIONS, problems)
    wrong = rng.binomial(originals, _beta(rng, 0.4, 0.4, shape))
    right = originals - wrong
    wrong_hits = rng.binomial(wrong, _beta(rng, shares[0], correlation, shape))
    right_hits = rng.binomial(right, _beta(rng, shares[1], correlation, shape))
    coverage = _coverage(
        lambda i: difference(wrong_hits[i], wrong[i], right_hits[i], right[i]),
        shares[0] - shares[1],
    )
    assert coverage >= LEVEL - TOLERANCE


def test_repeated_counts_have_the_interval_of_each() -> None:
    """Many whole counts are computed once each, at their own level; fractions one by one."""
    rng = np.random.default_rng(0)
    trials = rng.integers(0, 30, (40, 5))
    hits, level = rng.binomial(trials, 0.4), 1 - rng.choice([0.05, 1e-4, 1e-7], (40, 1))
    lower, upper = clopper_pearson(hits, trials, level=level)
    for i in range(40):
        low, high = clopper_pearson(hits[i], trials[i], level=float(level[i, 0]))
        np.testing.assert_array_equal(lower[i], low)
        np.testing.assert_array_equal(upper[i], high)
    halves = clopper_pearson(np.full(99, 2.5), 10)
    assert halves[0][0] == pytest.approx(clopper_pearson(2.5, 10)[0])
