"""Means of what has no bounds, such as tokens, with Student's interval over problems."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from critwin.statistics import Interval

Floats = npt.NDArray[np.float64]


def clustered_mean(
    sums: npt.ArrayLike, counts: npt.ArrayLike, *, level: float = 0.95
) -> Interval | None:
    """Give the mean of something measured, with Student's interval over problems.

    For what has no bounds, such as tokens; shares have `clustered_share`. Where every problem gives
    the same it has no width: nothing measured says how far another one could lie.

    Args:
        sums: Sum of the values per problem, shape (P,).
        counts: Values per problem, >= 0, shape (P,).
        level: Coverage promised, in (0, 1).

    Returns:
        The mean over all values; None without any. One problem says nothing about others: its
        interval is the whole line.
    """
    x, n = np.asarray(sums, np.float64), np.asarray(counts, np.float64)
    if not n.sum() > 0:
        return None
    mean = float(x.sum() / n.sum())
    return _student(mean, (x - mean * n) / n.sum(), n, level)


def clustered_mean_difference(
    sums: npt.ArrayLike,
    counts: npt.ArrayLike,
    other_sums: npt.ArrayLike,
    other_counts: npt.ArrayLike,
    *,
    level: float = 0.95,
) -> Interval | None:
    """Give a difference of two means over the problems that have values of both, paired.

    Args:
        sums: Sum of the values of the first group per problem, shape (P,).
        counts: Values of the first group per problem, >= 0.
        other_sums: The same of the second group, same problems in the same order.
        other_counts: Values of the second group.
        level: Coverage promised, in (0, 1).

    Returns:
        First mean less second mean; None where no problem has both.
    """
    groups = [np.asarray(v, np.float64) for v in (sums, counts, other_sums, other_counts)]
    both = (groups[1] > 0) & (groups[3] > 0)
    if not both.any():
        return None
    x, n, y, m = (group[both] for group in groups)
    first, second = float(x.sum() / n.sum()), float(y.sum() / m.sum())
    residuals = (x - first * n) / n.sum() - (y - second * m) / m.sum()
    return _student(first - second, residuals, n + m, level)


def _student(estimate: float, residuals: Floats, counts: Floats, level: float) -> Interval:
    from scipy.special import stdtrit

    problems = int((counts > 0).sum())
    half = math.inf
    if problems > 1:
        deviation = math.sqrt(float((residuals**2).sum()) * problems / (problems - 1))
        half = float(stdtrit(problems - 1, 1 - (1 - level) / 2)) * deviation
    return Interval(estimate, estimate - half, estimate + half, int(counts.sum()), problems)
