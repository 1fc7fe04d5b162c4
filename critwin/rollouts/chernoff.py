"""Chernoff's bound for linear forms of many unknowns, by one rate and a few steps each.

The same bound as critwin/fork_intervals.py without its box: d may be anything in [0, 1]. That makes
it valid for mixtures of branches, whose generating function is below a binomial's, but which are no
binomial; and it takes three rates near the best one in place of a search, so that files of many
trajectories take seconds.

Source: Chernoff (1952), Annals of Mathematical Statistics 23, 493-507; DESIGN.md, section 6.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_RATES = (0.55, 1.0, 1.8)
"""Rates tried, in units of the best one of a normal band; any rate is valid."""

_STEPS = 4
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
    negative = w < 0
    size, shift = np.abs(w), np.where(negative, w, 0.0).sum(axis=1)
    # a negative weight on d is a positive one on 1 - d
    value = np.where(negative, 1 - d, d)
    seen = (d * m + 1) / (m + 2)
    spread = np.sqrt((size**2 * (seen * (1 - seen) / m)).sum(axis=1))
    rate = math.sqrt(2 * budget) / np.where(spread > 0, spread, 1.0)
    total, observed = size.sum(axis=1), (size * value).sum(axis=1)
    upper, other = total.copy(), total.copy()
    for factor in _RATES:
        x = (factor * rate)[:, None] * size / m
        upper = np.minimum(upper, _bound(x, size, m, factor * rate * observed + budget))
        failures = factor * rate * (total - observed) + budget
        other = np.minimum(other, _bound(x, size, m, failures))
    return shift + np.minimum(total - other, observed), shift + np.maximum(upper, observed)


def _bound(x: Floats, w: Floats, m: Floats, allowed: Floats) -> Floats:
    """Bound sum w d over {sum -m log(1 - a d) <= allowed}, a = 1 - exp(-x), x = rate w / m.

    With y = -log(1 - a d) the optimum is y = clip(t + log(x / a), 0, x); t is found by Newton's
    steps in a bracket, and by weak duality the bound holds at any t.
    """
    a = -np.expm1(-x)
    h = np.log(np.where(x > 0, x, 1.0) / np.where(x > 0, a, 1.0))
    # at y = 0 the smallest t, at y = x the largest: log(1 / exp(-x)) less h
    low, high = -h.max(axis=1), (x - h).max(axis=1)
    t = (allowed - h @ m) / m.sum()
    for _ in range(_STEPS):
        t = np.where((t > low) & (t < high), t, (low + high) / 2)
        y = np.clip(t[:, None] + h, 0.0, x)
        short = allowed - y @ m
        slope = ((y > 0) & (y < x)) @ m
        low, high = np.where(short >= 0, t, low), np.where(short >= 0, high, t)
        t = t + short / np.maximum(slope, 1e-9)
    t = np.clip(t, low, high)
    y = np.clip(t[:, None] + h, 0.0, x)
    d = np.where(x > 0, -np.expm1(-y) / np.where(x > 0, a, 1.0), 0.0)
    # the multiplier of the constraint, in units of w / (m x / rate): w = m x / rate
    scale = np.where(x > 0, w / np.where(x > 0, m * x, 1.0), 0.0).max(axis=1)
    result: Floats = (w * d).sum(axis=1) + scale * np.exp(-t) * np.maximum(allowed - y @ m, 0.0)
    free = allowed >= x @ m
    return np.where(free, w.sum(axis=1), result)
