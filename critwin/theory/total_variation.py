"""Distances between noised sub-populations, and the leak of a label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from critwin.theory.posteriors import Estimate, Floats, Posteriors, population, rest_of


def total_variation(at: Posteriors, first: Floats, second: Floats) -> Estimate:
    """Give TV(p_t^first, p_t^second) = 1/2 E_{y ~ p_t} |p^first - p^second| / p.

    Args:
        at: The law of the posterior at a time.
        first: A sub-population, weights over the components that sum to 1, shape (K,).
        second: Another one.

    Source:
        Li, Karan, Chen (2025), arXiv:2502.00921, section 2, as an expectation over p_t.
    """
    largest = max((first / at.weights).max(), (second / at.weights).max())
    distance = 0.5 * np.abs(at.ratio(first) - at.ratio(second))
    found = at.expectation(distance, span=0.5 * largest)
    return _at_most_one(found)


def bhattacharyya(at: Posteriors, first: Floats, second: Floats) -> Estimate:
    """Give BC = integral of sqrt(p_t^first p_t^second), in [0, 1]; Hellinger's H^2 is 2 - 2 BC."""
    span = float(np.sqrt((first / at.weights).max() * (second / at.weights).max()))
    affinity = np.sqrt(at.ratio(first) * at.ratio(second))
    found = at.expectation(affinity, span=span)
    return _at_most_one(found)


def leak(at: Posteriors, members: Sequence[int]) -> Estimate:
    """Give B_S(t) = E_{Y ~ p_t^S} P(component outside S | Y).

    It is the probability that a label that is drawn again leaves S; 0 where S is everything.

    Source:
        Derived for critwin: Lemma 3 of Li, Karan, Chen (2025) is an equality with this factor.
        With p = P(S | Y) it is E[p (1 - p)] / w_S.
    """
    inside, share = _inside(at, members)
    return at.expectation(inside * (1 - inside) / share, span=0.25 / share)


def stay(at: Posteriors, members: Sequence[int]) -> Estimate:
    """Give 1 - B_S(t): the probability that a label that is drawn again stays in S."""
    left = leak(at, members)
    return Estimate(1 - left.value, 1 - left.upper, 1 - left.lower, left.draws)


def overlap(at: Posteriors, members: Sequence[int]) -> Estimate:
    """Give the integral of min(p_t^S, W p_t^rest), in [B_S, 2 B_S]; W is the odds of the rest.

    Source:
        ab / (a + b) lies between min(a, b) / 2 and min(a, b).
    """
    inside, share = _inside(at, members)
    return at.expectation(np.minimum(inside, 1 - inside) / share, span=0.5 / share)


def forward_reverse_distance(
    laws: npt.ArrayLike,
    kernel: npt.ArrayLike,
    weights: npt.ArrayLike,
    *,
    init: Floats,
    targ: Floats,
) -> float:
    """Give TV(p^{init,T}, p^targ) of a model that can be written down.

    Args:
        laws: Probability of each x (or node of a grid) under each component, shape (K, X).
        kernel: Probability of each y given each x, rows sum to 1, shape (X, Y).
        weights: Weights of the mixture, shape (K,).
        init: The sub-population that is noised, shape (K,).
        targ: The one that the result is compared with, shape (K,).

    Source:
        Li, Karan, Chen (2025), Definition 3: X' ~ P(. | Y), Y ~ p_T^init, with the whole prior.
    """
    p, k = np.asarray(laws, np.float64), np.asarray(kernel, np.float64)
    prior = np.asarray(weights, np.float64) @ p
    seen, noised = prior @ k, (init @ p) @ k
    ratio = np.divide(noised, seen, out=np.zeros_like(seen), where=seen > 0)
    return float(0.5 * np.abs(prior * (k @ ratio) - targ @ p).sum())


def _inside(at: Posteriors, members: Sequence[int]) -> tuple[Floats, float]:
    """Give P(S | y) at each value, and the weight of S."""
    population(at.weights, members)  # refuses what are no components
    outside = at.posterior[:, rest_of(at.weights, members)].sum(axis=1)
    return 1.0 - np.clip(outside, 0.0, 1.0), float(at.weights[list(members)].sum())


def _at_most_one(found: Estimate) -> Estimate:
    """Cut at 1: a mean over draws can pass what it estimates."""
    ends = min(found.lower, 1.0), min(found.upper, 1.0)
    return Estimate(min(found.value, 1.0), *ends, found.draws)
