"""Theory against measurement: what exact samplers were asked for, on one diagonal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from critwin.drawing import DOUBLE, QUIET, SERIES, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[float, float | None, float, float]
"""Theory; measured, None where only an interval is known; lower and upper end."""


def theory_against_measured(
    times: Mapping[str, Sequence[Point]], others: Mapping[str, Sequence[Point]]
) -> Figure:
    """Draw measured over predicted: times of windows, and probabilities and distances.

    Args:
        times: By experiment; times in the theory's unit.
        others: By experiment; in [0, 1].

    Returns:
        Double-column figure; bars are joint 95 % intervals, the line is equality.
    """
    names = list(dict.fromkeys([*times, *others]))
    with drawing(DOUBLE, 2.9) as figure:
        panels = figure.subplots(1, 2)
        for axes, points, words in zip(
            panels, (times, others), ("time of a window", "probability or distance"), strict=True
        ):
            for name, own in points.items():
                _draw(axes, own, names.index(name))
            _line(axes, [p for own in points.values() for p in own])
            axes.set(xlabel=f"{words}, theory", ylabel="measured")
        panels[1].set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        for number, name in enumerate(names):
            colour, _, mark = SERIES[number % len(SERIES)]
            panels[0].plot([], [], mark, color=colour, markerfacecolor="white", label=name)
        panels[0].set_title("bars: joint 95 %; line: equality", color=QUIET, fontsize=6.5)
        figure.legend(loc="outside right upper", handlelength=1)
    return figure


def _draw(axes: Axes, points: Sequence[Point], number: int) -> None:
    colour, _, mark = SERIES[number % len(SERIES)]
    for theory, measured, lower, upper in points:
        axes.plot([theory, theory], [lower, upper], color=colour, linewidth=0.9)
        at = (lower + upper) / 2 if measured is None else measured
        axes.plot([theory], [at], mark, color=colour, markerfacecolor="white", zorder=3)


def _line(axes: Axes, points: Sequence[Point]) -> None:
    """Draw equality; times over several powers of ten get logarithmic axes."""
    if not points:
        axes.text(0.5, 0.5, "nothing", transform=axes.transAxes, ha="center", color=QUIET)
        return
    ends = [value for theory, _, low, high in points for value in (theory, low, high)]
    low, high = min(ends), max(ends)
    if min(p[0] for p in points) > 0 and high / max(min(p[0] for p in points), 1e-9) > 100:
        axes.set(xscale="symlog", yscale="symlog")
    axes.plot([min(low, 0), high], [min(low, 0), high], color="0.6", linewidth=0.7, zorder=0)
