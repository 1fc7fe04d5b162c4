"""Which windows of a curve are certain, where they may be, and what can be ruled out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from critwin.changes import Changes, Width
from critwin.curve import MeasuredCurve
from critwin.pair_search import changes
from critwin.window import Direction, Findings, Verdict, Window

Ints = npt.NDArray[np.int64]

BATCHES = 6
"""Batches of sharp intervals spent on one bound, at most: beyond them the cheap bounds stand."""

HOPE = 0.7
"""A pair is tried where its change is above the threshold by this share of the half-width that
normal variables would have: few are tried for nothing, and none missed that could be certified."""


@dataclass(frozen=True)
class Search:
    """What is searched for, by which rule.

    Attributes:
        rule: Name of the rule.
        threshold: A change must be strictly above it, in (0, 1).
        width: Over at most this.
    """

    rule: str
    threshold: float
    width: Width


def search(curve: MeasuredCurve, asked: Search, *, level: float = 0.95) -> Findings:
    """Search a curve for rises and falls.

    Args:
        curve: The curve of any label.
        asked: What to search for.
        level: Coverage of everything that is found, at once, in (0, 1).
    """
    rises = changes(curve, width=asked.width, above=asked.threshold, level=level)
    windows: list[Window] = []
    verdicts: list[Verdict] = []
    directions: tuple[Direction, Direction] = ("rise", "fall")
    for direction in directions:
        found = rises if direction == "rise" else rises.reversed()
        chosen = certified(found, asked)
        windows += [window_of(curve, found, i, asked, direction) for i in chosen]
        verdicts.append(verdict_of(curve, found, len(chosen), asked, direction))
    windows.sort(key=lambda w: (w.position_start, w.position_end))
    return Findings(windows, verdicts)


def certified(found: Changes, asked: Search) -> list[int]:
    """Choose disjoint rises that are certain, the shortest first.

    Args:
        found: The changes; sharpened where that may matter.
        asked: The threshold, and the width: two rises that fit into one stretch of it are one.

    Returns:
        Numbers of the pairs chosen, by position.
    """
    threshold, width = asked.threshold, asked.width
    hoped = found.change - HOPE * found.normal_quantile * found.error
    known = found.lower > threshold
    tried = np.flatnonzero(((hoped > threshold) & (found.upper > threshold)) | known)
    order = tried[np.lexsort((-hoped[tried], found.tokens[tried]))]
    chosen: list[int] = []
    near: list[int] = []  # certain too, but one with a window that was chosen
    while len(order):
        first, order = order[: found.batch], order[found.batch :]
        found.sharpen(first)
        sure = first[found.lower[first] > threshold]
        # of the shortest a pair rather than a mean, and the one that is certified highest
        by = (-found.lower[sure], found.pooled[sure], found.tokens[sure])
        for i in sure[np.lexsort(by)].tolist():
            if any(_meet(found, i, j) for j in (*chosen, *near)):
                continue
            joined = any(_fit(found, i, j, width) for j in chosen)
            (near if joined else chosen).append(i)
        for j in (*chosen, *near):
            order = order[~_meet(found, order, j)]
    return sorted(chosen, key=lambda i: int(found.start[i]))


def _meet(found: Changes, which: Ints | int, j: int) -> npt.NDArray[np.bool_]:
    """Tell which pairs share a token with another one."""
    meet: npt.NDArray[np.bool_] = (found.start[which] < found.end[j]) & (
        found.end[which] > found.start[j]
    )
    return meet


def _fit(found: Changes, i: int, j: int, width: Width) -> bool:
    """Tell whether two windows fit into one stretch of the width; in nats they never do."""
    if width.unit == "nats":
        return False
    limit = width.size if width.unit == "tokens" else width.size * found.length
    first = min(found.middle_start[i], found.middle_start[j])
    span = max(found.middle_end[i], found.middle_end[j]) - first
    return bool(span <= limit)


def place(found: Changes, chosen: int, threshold: float) -> tuple[int, int]:
    """Give where the shortest rise above a threshold that meets a certified one may lie.

    It is no longer than the certified one and shares a token with it, or is it; the hull of all
    such pairs that may rise above the threshold holds it. Of a mean one stretch rises above it, it
    is not known which: the hull of all pairs inside the mean that may do so holds that stretch.
    """
    pair = found.pair(chosen)
    near = (found.tokens <= found.longest[chosen]) & ~found.pooled
    if found.pooled[chosen]:
        near &= (found.start >= found.start[chosen]) & (found.end <= found.end[chosen])
    else:
        near &= _meet(found, np.arange(len(found)), chosen)
    found.sharpen(np.flatnonzero(near & (found.upper > threshold)))
    may = near & (found.upper > threshold)
    may[pair] = True
    return int(found.start[may].min()), int(found.end[may].max())


def window_of(
    curve: MeasuredCurve,
    found: Changes,
    chosen: int,
    asked: Search,
    direction: Direction,
) -> Window:
    """Describe a certified change; falls are given as changes of their own sign again.

    Of a mean of changes it is the middle stretch, which shares a token with all the others: so it
    meets the one that is certain to be there. The jump is that between its ends.
    """
    lower, upper = place(found, chosen, asked.threshold)
    pair = found.pair(chosen)
    start, end = int(found.start[pair]), int(found.end[pair])
    at = np.searchsorted(curve.position, [start, end])
    found.sharpen([pair])
    ends = float(found.lower[pair]), float(found.upper[pair])
    return Window(
        original_id=curve.original_id,
        label=curve.label,
        rule=asked.rule,
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
    asked: Search,
    direction: Direction,
) -> Verdict:
    """Say what is certain about the largest change."""
    upper = largest(found, asked.threshold)
    none = upper <= asked.threshold and found.everywhere
    return Verdict(
        original_id=curve.original_id,
        label=curve.label,
        rule=asked.rule,
        direction=direction,
        threshold=asked.threshold,
        max_width=asked.width.size,
        unit=asked.width.unit,
        verdict="window" if windows else "none" if none else "undecided",
        windows=windows,
        change=float(found.change[~found.pooled].max(initial=0.0)),
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
    single = ~found.pooled
    for _ in range(BATCHES):
        open_ = np.flatnonzero(single & ~found.done)
        known = float(found.upper[single & found.done].max(initial=found.left_out_change))
        if not len(open_) or found.upper[open_].max() <= known or known > threshold:
            break
        size = min(found.batch, len(open_))
        found.sharpen(open_[np.argpartition(-found.upper[open_], size - 1)[:size]])
    return float(min(found.upper[single].max(initial=found.left_out_change), 1.0))
