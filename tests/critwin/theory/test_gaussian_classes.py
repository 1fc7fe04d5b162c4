"""Gaussian classes against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from critwin.theory.gaussian_classes import GaussianClasses, speciation_time
from critwin.theory.posteriors import population
from critwin.theory.total_variation import total_variation


@pytest.mark.parametrize("time", [0.2, 1.0])
def test_two_classes_are_apart_by_their_noised_distance(time: float) -> None:
    """TV of N(+-m) with one covariance is 2 Phi(d / 2) - 1, d their Mahalanobis distance."""
    variances = np.array([4.0, 0.25])
    means = np.array([[1.0, 0.5], [-1.0, 0.0]])
    classes = GaussianClasses(means, variances, np.array([0.3, 0.7]), draws=40_000)
    signal = math.exp(-time)
    spread = variances * signal**2 + 1 - signal**2
    distance = math.sqrt((signal**2 * (means[0] - means[1]) ** 2 / spread).sum())
    w = classes.mixture_weights
    found = total_variation(classes.posteriors(time), population(w, [0]), population(w, [1]))
    # |p^0 - p^1| / p is at most 1 / .3: five standard errors of its half
    assert found.value == pytest.approx(2 * norm.cdf(distance / 2) - 1, abs=5 * 1.7 / 200)


def test_a_fit_finds_means_and_the_covariance_within_classes() -> None:
    random = np.random.default_rng(0)
    root = np.array([[1.0, 0.0], [0.8, 0.6]])
    of = random.integers(0, 2, 20_000)
    centres = np.array([[3.0, 0.0], [-3.0, 1.0]])
    values = centres[of] + random.standard_normal((20_000, 2)) @ root.T
    fitted = GaussianClasses.fit(values, of, [0.5, 0.5])
    # five standard errors of a variance and of a mean
    expected = np.linalg.eigvalsh(root @ root.T)
    np.testing.assert_allclose(fitted.variances, expected, rtol=5 * math.sqrt(2 / 20_000))
    apart = np.linalg.norm(fitted.means[0] - fitted.means[1])
    assert apart == pytest.approx(np.linalg.norm(centres[0] - centres[1]), abs=5 * 0.02)


def test_speciation_is_half_the_log_of_the_largest_eigenvalue() -> None:
    random = np.random.default_rng(1)
    values = random.standard_normal((50_000, 3)) * [5.0, 1.0, 0.1]
    assert speciation_time(values) == pytest.approx(math.log(5.0), abs=5 / math.sqrt(2 * 50_000))
    assert speciation_time(values * 0.1) is None
