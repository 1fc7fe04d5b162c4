"""Rows of the table that puts theory and measurement side by side, and their verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from critwin.statistics import Interval
from critwin.theory.curves import Bracket
from critwin.theory.times import WindowTimes
from experiments.exact.measuring import Measured

COLUMNS = ("quantity", "theory", "measured", "lower", "upper", "verdict")
AGREES, DIFFERS = "agrees", "differs"
HOLDS, OPEN = "holds", "not resolved"
NO_PLATEAU = "no certified plateau"


@dataclass(frozen=True)
class Row:
    """A quantity.

    Attributes:
        quantity: In words.
        theory: What the theory says; None where it says nothing.
        measured: The estimate; None where only an interval is known.
        lower: Lower end of its interval, joint over the table; None where nothing was measured.
        upper: Upper end of it.
        verdict: `agrees` or `differs` for equalities; `holds`, `not resolved` or `differs` for
            inequalities; a remark where nothing was measured, or theory has no such time.
    """

    quantity: str
    theory: float | None
    measured: float | None
    lower: float | None
    upper: float | None
    verdict: str

    def cells(self) -> list[Any]:
        """Give the row as the summary's table holds it."""
        finite = [
            None if v is None or not np.isfinite(v) else float(v)
            for v in (self.theory, self.measured, self.lower, self.upper)
        ]
        return [self.quantity, *finite, self.verdict]


def equal(quantity: str, theory: float, found: Interval, *, error: float = 0.0) -> Row:
    """Compare an equality; `error` is what the theory's own number may be off by."""
    agrees = found.lower - error - 1e-12 <= theory <= found.upper + error + 1e-12
    verdict = AGREES if agrees else DIFFERS
    return Row(quantity, theory, found.estimate, found.lower, found.upper, verdict)


def at_most(quantity: str, bound: float, found: Interval) -> Row:
    """Compare an upper bound."""
    resolved = HOLDS if found.upper <= bound + 1e-9 else OPEN
    verdict = resolved if found.lower <= bound + 1e-9 else DIFFERS
    return Row(quantity, bound, found.estimate, found.lower, found.upper, verdict)


def at_least(quantity: str, bound: float, found: Interval) -> Row:
    """Compare a lower bound."""
    verdict = HOLDS if found.lower >= bound else OPEN if found.upper >= bound else DIFFERS
    return Row(quantity, bound, found.estimate, found.lower, found.upper, verdict)


def of_bracket(bracket: Bracket, *, level: float) -> Interval:
    """Give the interval of a bracket: its ends, moved outwards by their errors."""
    k = NormalDist().inv_cdf(0.5 + level / 2)
    lower = max(bracket.lower - k * bracket.lower_error, 0.0)
    upper = min(bracket.upper + k * bracket.upper_error, 1.0)
    middle = (max(bracket.lower, 0.0) + bracket.upper) / 2
    return Interval(middle, lower, upper, bracket.observations, bracket.observations)


def crossing(
    quantity: str,
    theory: float | None,
    measured: Measured,
    distance: Callable[[int], Interval],
    *,
    threshold: float,
) -> Row:
    """Compare the time at which a distance that falls with time crosses a threshold.

    The measured interval ends at visited times: the latest one at which the distance is surely
    above, and the earliest one at which it is surely below.
    """
    lower, upper = _crossed(measured, distance, threshold)
    if theory is None:
        return Row(quantity, None, None, lower, _finite(upper), "no such time")
    verdict = AGREES if lower - 1e-9 <= theory <= upper + 1e-9 else DIFFERS
    return Row(quantity, theory, None, lower, _finite(upper), verdict)


def plateau_begins(
    quantity: str,
    window: WindowTimes,
    measured: Measured,
    looks_alike: Callable[[int], Interval],
    told: Callable[[int], Interval] | None,
    *,
    epsilon: float,
) -> Row:
    """Compare T_before, from which S_after looks like S_before while that is told from its rest.

    Args:
        quantity: In words.
        window: What the theory says.
        measured: What was measured.
        looks_alike: TV of S_after and S_before, by place.
        told: TV of S_before and its rest, by place; None where S_before is everything.
        epsilon: Of Definition 4.

    Returns:
        The measured interval has an upper end only where both conditions surely hold at one of the
        times visited: 1 - epsilon^2 is near to 1, and few draws cannot show it.

    Source:
        Li, Karan, Chen (2025), Definition 4.
    """
    lower, upper = _crossed(measured, looks_alike, epsilon)
    theory, surely_none = window.time_before, False
    if told is not None:
        longest, lost = _crossed(measured, told, 1 - epsilon**2)
        surely_none = lower >= lost  # as long as the first fails, and then the second does
        upper = upper if upper <= longest else np.inf
    if theory is None:
        verdict = DIFFERS if upper < np.inf else AGREES if surely_none else NO_PLATEAU
    else:
        agrees = not surely_none and lower - 1e-9 <= theory <= upper + 1e-9
        verdict = AGREES if agrees else DIFFERS
    return Row(quantity, theory, None, lower, _finite(upper), verdict)


def _crossed(
    measured: Measured, distance: Callable[[int], Interval], threshold: float
) -> tuple[float, float]:
    """Give the latest time visited at which it is surely above, the earliest surely below."""
    found = [distance(place) for place in range(len(measured.levels))]
    above = [t for t, d in zip(measured.times, found, strict=True) if d.lower > threshold]
    below = [t for t, d in zip(measured.times, found, strict=True) if d.upper < threshold]
    return float(max(above, default=0.0)), float(min(below, default=np.inf))


def balanced(
    measured: Measured,
    members: Sequence[int],
    rest: Sequence[int],
    *,
    odds: float,
    place: int,
    level: float,
) -> Row:
    """Compare detailed balance at a level: w_S B_S = w_rest B_rest.

    Args:
        measured: What was measured.
        members: Components of S.
        rest: The other components.
        odds: w_rest / w_S.
        place: Of the level visited.
        level: Of the intervals.
    """
    out, back = (measured.leak(s, place, level=level) for s in (members, rest))
    gap = Interval(
        out.estimate - odds * back.estimate,
        out.lower - odds * back.upper,
        out.upper - odds * back.lower,
        out.n + back.n,
        0,
    )
    return equal("detailed balance: leak out less leak back", 0.0, gap)


def falls(measured: Measured, members: Sequence[int], *, level: float) -> Row:
    """Compare that the averaged leak does not rise as more is kept: the largest such rise."""
    inside = measured.within(members)
    mine = np.isin(measured.own, inside)
    left = measured.draws - measured.counts[:, mine][:, :, inside].sum(axis=2)
    share = left / measured.draws
    steps = np.diff(share, axis=0)
    error = steps.std(axis=1, ddof=1) / np.sqrt(mine.sum())
    k = NormalDist().inv_cdf(1 - (1 - level) / len(steps))
    worst = int((steps.mean(axis=1) - k * error).argmax())
    mean, margin = float(steps[worst].mean()), float(k * error[worst])
    verdict = HOLDS if mean - margin <= 0 else DIFFERS
    return Row(
        "largest rise of the leak as more is kept", 0.0, mean, mean - margin, mean + margin, verdict
    )


def table(rows: Sequence[Row], title: str) -> dict[str, Any]:
    """Give the table as the summary holds it."""
    return {"title": title, "columns": list(COLUMNS), "rows": [row.cells() for row in rows]}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
