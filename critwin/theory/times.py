"""T_start, T_end, T_before and T_after, exactly as Theorem 2 and Definition 4 have them.

All distances used fall with time (data processing: Y_t -> Y_t' is one more noise), so each set of
times is an interval and its end is found by bisection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from critwin.errors import ParameterError
from critwin.theory.posteriors import Axis, Estimate, NoisedMixture, Posteriors, population, rest_of
from critwin.theory.total_variation import total_variation

FINE, COARSE = 1e-10, 1e-3
"""Where a bisection over a continuous axis stops, relatively: for exact and for sampled numbers."""

FAR = 60.0
"""Where the search for an infinite time gives up: e^{-60} of the signal is left."""


@dataclass(frozen=True)
class Time:
    """A time of the theory.

    Attributes:
        value: None where there is no such time (the set is empty).
        lower: Least value that the interval of the distances allows; None for none.
        upper: Greatest such value.
    """

    value: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class WindowTimes:
    """The critical window of a pair S_after within S_before.

    Attributes:
        time_before: T_before of Definition 4; None where there is no certified plateau.
        time_after: T_after of Definition 4; None likewise.
        plateau: Whether there are both: T_before exists, and S_after is ever told from the rest.
        end: T_end, from which S_after looks like S_before, whatever else; None: never.
        start_after: T_start of S_after, up to which it is told from everything else; None: never.
        start_before: T_start of S_before, up to which it is told from the rest; None: never;
            the end of the axis where S_before is everything.
    """

    time_before: float | None
    time_after: float | None
    plateau: bool
    end: Time
    start_after: Time
    start_before: Time

    @property
    def width(self) -> float | None:
        """T_before - T_after; None where there is no certified plateau."""
        if self.time_before is None or self.time_after is None:
            return None
        return self.time_before - self.time_after


def t_start(mixture: NoisedMixture, targ: Sequence[int], *, epsilon: float) -> Time:
    """Give sup{t: TV(p_t^targ, p_t^rest) >= 1 - epsilon^2}; the axis' end where targ is everything.

    Source:
        Li, Karan, Chen (2025), Theorem 2.
    """
    weights = mixture.mixture_weights
    inside = population(weights, targ, name="targ")
    rest = rest_of(weights, targ)
    if not rest:
        end = mixture.axis.high
        return Time(end, end, end)
    outside = population(weights, rest)
    return _last(
        lambda t: total_variation(mixture.posteriors(t), inside, outside),
        mixture.axis,
        1 - check_epsilon(epsilon) ** 2,
    )


def t_end(
    mixture: NoisedMixture, init: Sequence[int], targ: Sequence[int], *, epsilon: float
) -> Time:
    """Give inf{t: TV(p_t^init, p_t^targ) <= epsilon}.

    Source:
        Li, Karan, Chen (2025), Theorem 2.
    """
    weights = mixture.mixture_weights
    u, v = population(weights, init, name="init"), population(weights, targ, name="targ")
    return _first(
        lambda t: total_variation(mixture.posteriors(t), u, v),
        mixture.axis,
        check_epsilon(epsilon),
    )


def window_times(
    mixture: NoisedMixture, after: Sequence[int], before: Sequence[int], *, epsilon: float
) -> WindowTimes:
    """Give the window in which a sample of S_before becomes one of S_after.

    Args:
        mixture: The noised mixture.
        after: Components of S_after, a part of S_before.
        before: Components of S_before.
        epsilon: In (0, 1).

    Raises:
        ParameterError: The sets are no such sets.

    Source:
        Li, Karan, Chen (2025), Definition 4. T_before is the least t with both of its conditions;
        the first holds from T_end on, the second up to T_start of S_before.
    """
    if not set(after) < set(before):
        raise ParameterError(
            "after", list(after), f"a part of before, {list(before)}, not all of it"
        )
    end = t_end(mixture, after, before, epsilon=epsilon)
    start_after = t_start(mixture, after, epsilon=epsilon)
    start_before = t_start(mixture, before, epsilon=epsilon)
    before_time = None
    if end.value is not None and start_before.value is not None and end.value <= start_before.value:
        before_time = end.value
    plateau = before_time is not None and start_after.value is not None
    return WindowTimes(
        time_before=before_time if plateau else None,
        time_after=start_after.value if plateau else None,
        plateau=plateau,
        end=end,
        start_after=start_after,
        start_before=start_before,
    )


def cached(mixture: NoisedMixture) -> NoisedMixture:
    """Give the same mixture, each time of which is computed once."""
    return _Cached(mixture)


class _Cached:
    def __init__(self, mixture: NoisedMixture) -> None:
        self.mixture_weights = mixture.mixture_weights
        self.axis = mixture.axis
        self.posteriors: Callable[[float], Posteriors] = cache(mixture.posteriors)


def check_epsilon(epsilon: float) -> float:
    """Give epsilon back.

    Raises:
        ParameterError: It does not lie in (0, 1).
    """
    number = isinstance(epsilon, int | float) and not isinstance(epsilon, bool)
    if not number or not 0 < epsilon < 1:
        raise ParameterError("epsilon", epsilon, "a number in (0, 1)")
    return float(epsilon)


def _last(distance: Callable[[float], Estimate], axis: Axis, level: float) -> Time:
    """Give the last time at which a falling distance is at least `level`."""
    sampled = distance(axis.low).draws is not None
    value = _search(lambda t: distance(t).value >= level, axis, last=True, sampled=sampled)
    if not sampled:
        return Time(value, value, value)
    sure = _search(lambda t: distance(t).lower >= level, axis, last=True, sampled=True)
    possible = _search(lambda t: distance(t).upper >= level, axis, last=True, sampled=True)
    return Time(value, sure, possible)


def _first(distance: Callable[[float], Estimate], axis: Axis, level: float) -> Time:
    """Give the first time at which a falling distance is at most `level`."""
    sampled = distance(axis.low).draws is not None
    value = _search(lambda t: distance(t).value > level, axis, last=False, sampled=sampled)
    if not sampled:
        return Time(value, value, value)
    possible = _search(lambda t: distance(t).lower > level, axis, last=False, sampled=True)
    sure = _search(lambda t: distance(t).upper > level, axis, last=False, sampled=True)
    return Time(value, possible, sure)


def _search(
    holds: Callable[[float], bool], axis: Axis, *, last: bool, sampled: bool
) -> float | None:
    """Give where a condition that holds at early times stops to hold.

    Args:
        holds: The condition.
        axis: The times.
        last: Whether the last time at which it holds is wanted, else the first at which it does
            not; they differ on an axis of whole numbers.
        sampled: Whether the condition is about a sampled number.

    Returns:
        None where it never holds (`last`), or always does (else).
    """
    low = axis.low
    if not holds(low):
        return None if last else low
    high = _beyond(holds, axis)
    if high is None:
        return axis.high if last else None
    near = COARSE if sampled else FINE
    while high - low > (1.0 if axis.whole else near * max(abs(high), 1.0)):
        middle = (low + high) / 2
        if axis.whole:
            middle = float(math.floor(middle))
        if holds(middle):
            low = middle
        else:
            high = middle
    return low if last else high


def _beyond(holds: Callable[[float], bool], axis: Axis) -> float | None:
    """Give a time at which the condition does not hold; None where there is none."""
    if math.isfinite(axis.high):
        return None if holds(axis.high) else axis.high
    high = axis.low + 1.0
    while holds(high):
        if high >= FAR:
            return None
        high *= 2
    return high
