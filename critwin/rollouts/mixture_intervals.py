"""Intervals of linear forms in mixtures of branches: Chernoff's bound by few rates, without a box.

The generating function of a mixture is below a binomial's (critwin/rollouts/branches.py), but it
is no binomial: no exact interval of it is known, and it may be anything in [0, 1]. Three rates near
the best one, in place of a search, let files of many trajectories take seconds.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from critwin.chernoff import largest_sum

Floats = npt.NDArray[np.float64]

_RATES = (0.55, 1.0, 1.8)
"""Rates tried, in units of the best one of a normal band; any rate is valid."""

_CELLS = 1_000_000
"""Cells of a row block: bounds memory, changes no number."""


def form_interval(
    weights: Floats,
    estimate: Floats,
    trials: Floats,
    *,
    level: float = 0.95,
    comparisons: int = 1,
) -> tuple[Floats, Floats]:
    """Give the interval of each sum of weights times unknowns in [0, 1].

    Args:
        weights: Signed, shape (R, U); a row is a form.
        estimate: Unbiased estimates of the unknowns, in [0, 1], independent, shape (U,).
        trials: M of each, > 0, shape (U,): its estimate has at most the generating function of
            Binomial(M, d) / M; so has one minus it. Need not be whole.
        level: Coverage promised for each form, in (0, 1).
        comparisons: Forms that are covered at once (Bonferroni).

    Returns:
        Lower and upper ends, shape (R,); they hold the plug-in value.
    """
    budget = math.log(2 * comparisons / (1 - level))
    size = max(_CELLS // max(weights.shape[1], 1), 1)
    ends = [
        _ends(weights[at : at + size], estimate, trials, budget)
        for at in range(0, len(weights), size)
    ]
    return np.concatenate([low for low, _ in ends]), np.concatenate([high for _, high in ends])


def _ends(w: Floats, d: Floats, m: Floats, budget: float) -> tuple[Floats, Floats]:
    if w.shape[1] == 0:
        return np.zeros(len(w)), np.zeros(len(w))
    size, shift, total = np.abs(w), np.minimum(w, 0.0).sum(axis=1), np.abs(w).sum(axis=1)
    # a negative weight on d is a positive one on 1 - d
    observed = w @ d - shift
    seen = (d * m + 1) / (m + 2)
    spread = np.sqrt(size**2 @ (seen * (1 - seen) / m))
    best = math.sqrt(2 * budget) / np.where(spread > 0, spread, 1.0)
    both = np.stack([observed, total - observed])  # the lower end is that of the failures
    per_draw, most = (size / m).T[:, None], np.stack([total, total])
    for rate in (factor * best for factor in _RATES):
        reached = largest_sum(rate * per_draw, m, rate * both + budget) / rate
        most = np.minimum(most, reached)
    return shift + np.minimum(total - most[1], observed), shift + np.maximum(most[0], observed)
