"""What the same precision costs by forks and by truncation at a few levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from critwin.fork_expectation import Expectation, leave_mass
from critwin.forks import curve_weights, stay_probability
from critwin.statistics import clopper_pearson

_MOST = 10**7


@dataclass(frozen=True)
class ProtocolCosts:
    """What the same precision costs by forks and by truncation at a few levels.

    Attributes:
        leave_mass: H = sum (1 - pi_u): how often, on average, a path of such probabilities is left.
        half_width: The precision compared, mean over positions (forks) or levels (grid), pointwise.
        fork_tokens: Expected tokens of the forks.
        grid_tokens: Expected tokens of the resamples.
        grid_draws: Resamples per level.
        cheaper: The protocol that needs fewer tokens.
    """

    leave_mass: float
    half_width: float
    fork_tokens: float
    grid_tokens: float
    grid_draws: int
    cheaper: Literal["forks", "grid"]


def compare_protocols(
    expected: Expectation,
    levels: npt.ArrayLike,
    *,
    tokens: float,
    half_width: float,
    level: float = 0.95,
) -> ProtocolCosts:
    """Compare forks with a grid whose Clopper-Pearson intervals are as narrow.

    Args:
        expected: What is expected of the forks; the curve at the grid's levels follows from it.
        levels: Tokens kept at each of the grid's levels, in [0, n).
        tokens: Expected tokens of the forks.
        half_width: Their half-width, pointwise, mean over positions.
        level: Coverage of the intervals.
    """
    at = np.asarray(levels, np.int64)
    weights = curve_weights(expected.probability)
    stay = stay_probability(expected.probability)
    curve = np.clip(weights @ expected.value + stay * expected.end, 0, 1)[at]
    # a resample is as long as a fork at the next token
    cost = float(expected.cost[at].sum())

    def wide(draws: int) -> bool:
        lower, upper = clopper_pearson(draws * curve, draws, level=level)
        return bool((upper - lower).mean() / 2 > half_width)

    low, high = 0, 1
    while wide(high) and high < _MOST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if wide(middle) else (low, middle)
    return ProtocolCosts(
        leave_mass=leave_mass(expected.probability),
        half_width=half_width,
        fork_tokens=tokens,
        grid_tokens=high * cost,
        grid_draws=high,
        cheaper="forks" if tokens <= high * cost else "grid",
    )
