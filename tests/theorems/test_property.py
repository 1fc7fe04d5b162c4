"""Thousands of random finite models: no bound is broken, and the leak is monotone and balanced."""

from __future__ import annotations

import numpy as np

from critwin.theory.bounds import bounds_at, sandwich, theorem_2, theorem_2_sharper
from critwin.theory.posteriors import Posteriors, population
from critwin.theory.total_variation import forward_reverse_distance, leak

MODELS = 3000
ROUNDING = 1e-10


def test_random_finite_models_keep_every_statement() -> None:
    rng = np.random.default_rng(20250211)
    closest = dict.fromkeys(("paper", "leak", "bhattacharyya", "linear"), 0.0)
    for _ in range(MODELS):
        components, values = int(rng.integers(2, 6)), int(rng.integers(2, 9))
        weights = rng.dirichlet(np.full(components, rng.choice([0.3, 1.0, 5.0]))) * 0.98
        weights += 0.02 / components
        laws = rng.dirichlet(np.full(values, rng.choice([0.05, 0.3, 1.0])), size=components)
        size = int(rng.integers(1, components))
        targ = sorted(rng.permutation(components)[:size].tolist())
        init = sorted(rng.permutation(targ)[: int(rng.integers(1, size + 1))].tolist())
        rest = [i for i in range(components) if i not in targ]
        kernel, lost = np.eye(values), []
        for _ in range(3):
            step = rng.dirichlet(np.full(values, rng.choice([0.1, 1.0])), size=values)
            mixing = rng.uniform()
            kernel = kernel @ (mixing * np.eye(values) + (1 - mixing) * step)
            at = Posteriors.of_laws(laws @ kernel, weights)
            lost.append(leak(at, targ).value)
            _check(at, laws, kernel, weights, init=init, targ=targ, closest=closest)
            share = weights[targ].sum()
            balance = share * lost[-1] - (1 - share) * leak(at, rest).value
            assert abs(balance) <= ROUNDING
        assert (np.diff(lost) >= -ROUNDING).all()
    assert all(0.5 < ratio <= 1 + 1e-6 for ratio in closest.values()), closest


def _check(
    at: Posteriors,
    laws: np.ndarray,
    kernel: np.ndarray,
    weights: np.ndarray,
    *,
    init: list[int],
    targ: list[int],
    closest: dict[str, float],
) -> None:
    u, v = population(weights, init), population(weights, targ)
    true = forward_reverse_distance(laws, kernel, weights, init=u, targ=v)
    b = bounds_at(at, init=init, targ=targ)
    assert b.paper is not None
    assert b.linear is not None
    assert b.tv_targ_rest is not None
    bounds = {
        "leak": b.by_leak,
        "bhattacharyya": b.by_bhattacharyya,
        "linear": b.linear,
        "paper": b.paper,
    }
    for name, bound in bounds.items():
        assert true <= bound + ROUNDING, name
        if true > 1e-3:
            closest[name] = max(closest[name], true / bound)
    assert b.by_leak <= b.by_bhattacharyya + ROUNDING <= b.paper + 2 * ROUNDING
    assert b.by_leak <= b.by_overlap + ROUNDING <= b.linear + 2 * ROUNDING
    # Theorem 2 at the least epsilon for which this time lies in its range
    epsilon = max(b.tv_init_targ, np.sqrt(max(1 - b.tv_targ_rest, 0.0)))
    assert true <= theorem_2(epsilon, b.odds) + ROUNDING
    assert true <= theorem_2_sharper(epsilon, b.odds) + ROUNDING
    # the sandwich, with the event that tells the target from the rest best
    rest = population(weights, [i for i in range(len(weights)) if i not in targ])
    event = v @ laws >= rest @ laws
    eta = max((v @ laws)[~event].sum(), (rest @ laws)[event].sum())
    stays = forward_reverse_distance(laws, kernel, weights, init=v, targ=v)
    low, high = sandwich(b.leak, b.odds, eta)
    assert low - ROUNDING <= stays <= high + ROUNDING
