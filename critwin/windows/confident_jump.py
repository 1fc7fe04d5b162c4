"""Windows that are certain: changes above a threshold over a short stretch, certified jointly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from critwin.curve import MeasuredCurve
from critwin.errors import ParameterError
from critwin.feature import UNSCORED
from critwin.pair_search import Changes, Unit, Width, changes
from critwin.protocol import ForkProtocol, Fractions, Protocol, check_number
from critwin.window import Direction, Findings, Verdict, Window, WindowRule

Ints = npt.NDArray[np.int64]

BATCH = 16
"""Sharp intervals computed together."""

BATCHES = 8
"""Batches spent on the bound of the largest change, at most: beyond them the cheap bound stands."""

HOPE = 0.7
"""A pair is tried where its change is above the threshold by so much of the half-width that normal
variables would have: fewer are tried for nothing, and hardly one is lost that would be certified."""


@dataclass(frozen=True, kw_only=True)
class ConfidentJump(WindowRule):
    """Calls each change above `threshold` over at most `max_width` a window, if it is certain.

    With 95 % confidence for an original all of this holds at once: every window holds such a
    change; its shortest such change lies within its place; its jump lies within its interval,
    though the place was chosen; and where the verdict is `none` there is no such change at all.

    A window is the shortest stretch that is certified. Two of them are told apart only where they
    do not fit into one stretch of the width.

    Attributes:
        threshold: A change must be strictly above it, in (0, 1).
        max_width: Over at most this, > 0. A single token, and neighbours among the positions of a
            grid, are always near enough.
        unit: What the width is in: tokens, nats of the block's surprisal, or fraction of the
            original.
    """

    threshold: float = 0.5
    max_width: float = 10.0
    unit: Unit = "tokens"

    fractions: ClassVar[tuple[float, ...]] = ()  # type: ignore[misc]
    rule: ClassVar[str] = "confident_jump"

    def __post_init__(self) -> None:
        check_threshold("threshold", self.threshold)
        check_width(self.max_width, self.unit)
        object.__setattr__(self, "threshold", float(self.threshold))
        object.__setattr__(self, "max_width", float(self.max_width))

    def check(self, protocol: Protocol) -> None:
        """Refuse nats where no path is known, and a fraction below every step of a grid."""
        check_unit(self.unit, protocol)
        if isinstance(protocol, Fractions) and self.unit == "fraction":
            cuts = np.array([*protocol.shown_fractions(), 1.0])
            least = float(np.diff(cuts).min())
            if self.max_width < least - 1e-9:
                raise ParameterError(
                    "window.max_width",
                    self.max_width,
                    f"at least the least step between the fractions visited, {least:.3g}",
                )

    def find(self, curve: MeasuredCurve) -> list[Window]:
        """Give the windows of a curve, by position."""
        return self.search(curve).windows

    def judge(self, curves: Sequence[MeasuredCurve]) -> Findings:
        """Give windows and verdicts of the own label."""
        own = [curve for curve in curves if curve.own and curve.label != UNSCORED]
        found = [self.search(curve) for curve in own]
        return Findings(
            [w for f in found for w in f.windows], [v for f in found for v in f.verdicts]
        )

    def search(self, curve: MeasuredCurve, *, level: float = 0.95) -> Findings:
        """Search a curve for rises and falls.

        Args:
            curve: The curve of any label.
            level: Coverage of everything that is found, in (0, 1).
        """
        width = Width(self.max_width, self.unit)
        rises = changes(curve, width=width, above=self.threshold, level=level)
        windows: list[Window] = []
        verdicts: list[Verdict] = []
        directions: tuple[Direction, Direction] = ("rise", "fall")
        for direction in directions:
            found = rises if direction == "rise" else rises.reversed()
            chosen = certified(found, self.threshold, width)
            windows += [window_of(curve, found, i, self, direction) for i in chosen]
            verdicts.append(verdict_of(curve, found, len(chosen), self, direction))
        windows.sort(key=lambda w: (w.position_start, w.position_end))
        return Findings(windows, verdicts)


def check_threshold(name: str, value: float) -> None:
    """Refuse anything but a number in (0, 1)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise ParameterError(name, value, "a number in (0, 1)")


def check_width(size: float, unit: str) -> None:
    """Refuse a width that is none."""
    if unit not in ("tokens", "nats", "fraction"):
        raise ParameterError("unit", unit, "tokens, nats or fraction")
    if size is None:
        raise ParameterError("max_width", size, "a number > 0")
    check_number("max_width", size, low=0.0, high=1.0 if unit == "fraction" else np.inf)


def check_unit(unit: str, protocol: Protocol) -> None:
    """Refuse nats where no path is known."""
    if unit == "nats" and not isinstance(protocol, ForkProtocol):
        raise ParameterError(
            "window.unit", unit, "tokens or fraction; nats are known where sampler=forks"
        )


def certified(found: Changes, threshold: float, width: Width) -> list[int]:
    """Choose disjoint rises that are certain, the shortest first.

    Args:
        found: The changes; sharpened where that may matter.
        threshold: A rise must certainly be above it.
        width: Two rises that fit into one stretch of this width are one.

    Returns:
        Numbers of the pairs chosen, by position.
    """
    hoped = found.change - HOPE * found.normal_quantile * found.error
    tried = np.flatnonzero((hoped > threshold) & (found.upper > threshold))
    order = tried[np.lexsort((-hoped[tried], found.tokens[tried]))]
    chosen: list[int] = []
    while len(order):
        found.sharpen(order[:BATCH])
        first, order = order[:BATCH], order[BATCH:]
        sure = first[found.lower[first] > threshold]
        # of the shortest the one that is certified highest
        for i in sure[np.lexsort((-found.lower[sure], found.tokens[sure]))]:
            if not any(_one(found, int(i), j, width) for j in chosen):
                chosen.append(int(i))
        for j in chosen:
            order = order[~_together(found, order, j, width)]
    return sorted(chosen, key=lambda i: int(found.start[i]))


def _one(found: Changes, i: int, j: int, width: Width) -> bool:
    return bool(_together(found, np.array([i]), j, width)[0])


def _together(found: Changes, which: Ints, j: int, width: Width) -> npt.NDArray[np.bool_]:
    """Tell which pairs share a token with another one, or fit into one stretch with it."""
    start, end = found.start[which], found.end[which]
    overlap = (start < found.end[j]) & (end > found.start[j])
    span = np.maximum(end, found.end[j]) - np.minimum(start, found.start[j])
    if width.unit == "nats":
        gap = np.zeros(len(which), dtype=bool)
    else:
        limit = width.size if width.unit == "tokens" else width.size * found.length
        gap = span <= limit
    together: npt.NDArray[np.bool_] = overlap | gap
    return together


def place(found: Changes, chosen: int, threshold: float) -> tuple[int, int]:
    """Give where the shortest rise above a threshold that meets a certified one may lie.

    It is no longer than the certified one and shares a token with it, or is it; the hull of all
    such pairs that may rise above the threshold holds it.
    """
    near = (
        (found.start < found.end[chosen])
        & (found.end > found.start[chosen])
        & (found.tokens <= found.tokens[chosen])
    )
    found.sharpen(np.flatnonzero(near & (found.upper > threshold)))
    may = near & (found.upper > threshold)
    may[chosen] = True
    return int(found.start[may].min()), int(found.end[may].max())


def window_of(
    curve: MeasuredCurve,
    found: Changes,
    chosen: int,
    rule: ConfidentJump,
    direction: Direction,
) -> Window:
    """Describe a certified change; falls are given as changes of their own sign again."""
    lower, upper = place(found, chosen, rule.threshold)
    start, end = int(found.start[chosen]), int(found.end[chosen])
    at = np.searchsorted(curve.position, [start, end])
    ends = float(found.lower[chosen]), float(found.upper[chosen])
    return Window(
        original_id=curve.original_id,
        label=curve.label,
        rule=rule.rule,
        direction=direction,
        position_start=start,
        position_end=end,
        place_lower=lower,
        place_upper=upper,
        jump=float(curve.agreement[at[1]] - curve.agreement[at[0]]),
        jump_lower=ends[0] if direction == "rise" else -ends[1],
        jump_upper=ends[1] if direction == "rise" else -ends[0],
        length=curve.length,
    )


def verdict_of(
    curve: MeasuredCurve,
    found: Changes,
    windows: int,
    rule: ConfidentJump,
    direction: Direction,
) -> Verdict:
    """Say what is certain about the largest change."""
    upper = largest(found, rule.threshold)
    none = upper <= rule.threshold and found.everywhere
    return Verdict(
        original_id=curve.original_id,
        label=curve.label,
        rule=rule.rule,
        direction=direction,
        threshold=rule.threshold,
        max_width=rule.max_width,
        unit=rule.unit,
        verdict="window" if windows else "none" if none else "undecided",
        windows=windows,
        change=float(found.change.max(initial=0.0)),
        change_lower=float(found.lower.max(initial=0.0)),
        change_upper=upper,
        pairs=len(found),
        left_out=found.left_out,
        everywhere=found.everywhere,
    )


def largest(found: Changes, threshold: float) -> float:
    """Bound the largest rise from above, as sharply as it pays.

    The pairs with the largest cheap bounds are sharpened until the rest cannot matter.
    """
    for _ in range(BATCHES):
        open_ = np.flatnonzero(~found.done)
        known = float(found.upper[found.done].max(initial=found.left_out_change))
        if not len(open_) or found.upper[open_].max() <= known or known > threshold:
            break
        size = min(BATCH, len(open_))
        found.sharpen(open_[np.argpartition(-found.upper[open_], size - 1)[:size]])
    return float(min(found.upper.max(initial=found.left_out_change), 1.0))
