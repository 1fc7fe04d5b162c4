"""T_before as measured: both conditions of Definition 4 at one time, or there is no such time."""

from __future__ import annotations

import numpy as np
import pytest

from critwin.statistics import Interval
from critwin.theory.times import Time, WindowTimes
from experiments.exact.measuring import Measured
from experiments.exact.verdicts import Row, plateau_begins

TIMES = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
NOTHING = np.zeros((5, 0, 2), dtype=np.int64)
MEASURED = Measured(
    groups=[[0], [1]],
    weights=np.array([0.5, 0.5]),
    levels=np.arange(5),
    times=TIMES,
    own=np.zeros(0, dtype=np.int64),
    first=NOTHING,
    second=NOTHING,
)
ALIKE = (0.0, 0.02, 0.05, 0.4, 0.8)  # TV of S_after and S_before; epsilon is .1


def told_until(last: float, *, certain: bool = True) -> tuple[float, ...]:
    """Give TV of S_before and its rest that is above 1 - epsilon^2 up to a time."""
    high = 1.0 if certain else 0.99
    return tuple(high if t <= last else 0.2 for t in TIMES)


def row(time_before: float | None, told: tuple[float, ...] | None, half: float = 0.005) -> Row:
    def within(values: tuple[float, ...]):
        return lambda place: Interval(
            values[place], values[place] - half, values[place] + half, 9, 9
        )

    some = Time(time_before, time_before, time_before)
    window = WindowTimes(time_before, 1.0, time_before is not None, some, some, some)
    second = within(told) if told is not None else None
    return plateau_begins("T_before", window, MEASURED, within(ALIKE), second, epsilon=0.1)


@pytest.mark.parametrize(
    ("theory", "told", "lower", "upper", "verdict"),
    [
        (2.5, None, 2.0, 3.0, "agrees"),  # S_before is everything
        (3.5, None, 2.0, 3.0, "differs"),
        (2.5, told_until(4), 2.0, 3.0, "agrees"),
        (2.5, told_until(4, certain=False), 2.0, None, "agrees"),  # the second is never sure
        (2.5, told_until(1), 2.0, None, "differs"),  # it is lost before the first holds
        (None, told_until(1), 2.0, None, "agrees"),
        (None, told_until(4), 2.0, 3.0, "differs"),
        (None, told_until(4, certain=False), 2.0, None, "no certified plateau"),
    ],
)
def test_the_measured_interval_needs_both_conditions(
    theory: float | None,
    told: tuple[float, ...] | None,
    lower: float,
    upper: float | None,
    verdict: str,
) -> None:
    found = row(theory, told)
    assert (found.theory, found.lower, found.upper) == (theory, lower, upper)
    assert found.verdict == verdict


def test_wide_intervals_leave_the_place_open() -> None:
    found = row(2.5, told_until(4), half=0.2)
    assert (found.lower, found.upper, found.verdict) == (2.0, None, "agrees")
