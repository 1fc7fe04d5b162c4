"""Tokens against precision: what forks and truncation took for the half-width they reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from critwin.drawing import BLUE, ORANGE, QUIET, SINGLE, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {
    "forks": (BLUE, "o", "forks, drawn"),
    "grid": (ORANGE, "s", "truncation, drawn"),
    "grid expected": (ORANGE, "x", "truncation for the same, expected"),
}
"""Colour, mark and words of each kind of point."""


TICKS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class Spent:
    """What the resamples of one original took.

    Attributes:
        kind: Drawn by forks or by truncation, or what truncation is expected to take.
        tokens: Generated, > 0.
        half_width: Of the 95 % interval of the own label's curve, pointwise, mean over the
            positions that were visited; > 0.
    """

    kind: Literal["forks", "grid", "grid expected"]
    tokens: float
    half_width: float


def tokens_and_precision(points: Sequence[Spent]) -> Figure:
    """Draw tokens over half-width, both on logarithmic axes, a point for each original.

    Args:
        points: One or more.

    Returns:
        Single-column figure; the larger mark is the median of its kind.
    """
    with drawing(SINGLE, 2.7) as figure:
        axes = figure.add_subplot()
        for kind, (colour, mark, words) in KINDS.items():
            own = [p for p in points if p.kind == kind and p.tokens > 0 and p.half_width > 0]
            if not own:
                continue
            x, y = [p.half_width for p in own], [p.tokens for p in own]
            axes.plot(x, y, mark, color=colour, alpha=0.35, markersize=2.5, zorder=2)
            axes.plot(
                [float(np.median(x))],
                [float(np.median(y))],
                mark,
                color=colour,
                markersize=7,
                markeredgecolor="white" if mark != "x" else colour,
                label=f"{words} ({len(own)})",
                zorder=3,
            )
        axes.set(xscale="log", yscale="log")
        low, high = axes.get_xlim()
        shown = [tick for tick in TICKS if low <= tick <= high]
        axes.set_xticks(shown, [f"{tick:g}" for tick in shown])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("half-width of the intervals, mean over positions")
        axes.set_ylabel("tokens per answer")
        axes.set_title("a point: an answer; large: medians", color=QUIET, fontsize=6.5)
        figure.legend(loc="outside lower center", handlelength=1, ncols=1)
    return figure
