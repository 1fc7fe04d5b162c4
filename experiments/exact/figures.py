"""Theory curves over measured points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from critwin.drawing import BLUE, DOUBLE, GREEN, ORANGE, PURPLE, QUIET, drawing, save
from critwin.statistics import Interval
from critwin.theory.posteriors import Estimate
from experiments.exact.measuring import Measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = (BLUE, ORANGE, GREEN, PURPLE)
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D")


@dataclass(frozen=True)
class Line:
    """A quantity over time.

    Attributes:
        name: For the legend.
        theory: Its value at a time of the theory.
        measured: Its measured interval at a visited level, by place; None where another line of
            the panel has the same points.
    """

    name: str
    theory: Callable[[float], Estimate]
    measured: Callable[[int], Interval] | None


@dataclass(frozen=True)
class Panel:
    """Lines on one pair of axes.

    Attributes:
        label: Of the vertical axis.
        lines: What is drawn.
        thresholds: Horizontal lines.
    """

    label: str
    lines: Sequence[Line]
    thresholds: Sequence[float] = ()


def side_by_side(
    panels: Sequence[Panel],
    measured: Measured,
    *,
    windows: Sequence[tuple[float | None, float | None]],
    axis_name: str,
    last: float,
    everywhere: bool,
) -> Figure:
    """Draw panels side by side.

    Args:
        panels: What is drawn.
        measured: Where points stand.
        windows: T_after and T_before of each window, shaded.
        axis_name: Of the horizontal axis, the theory's time.
        last: Where the axis ends.
        everywhere: Whether theory is cheap enough to be drawn between the levels visited.
    """
    shown = [p for p in range(len(measured.times)) if measured.times[p] <= last * (1 + 1e-9)]
    at = measured.times[shown]
    fine = np.linspace(0, last, 161) if everywhere else np.sort(at)
    with drawing(DOUBLE, 2.6) as figure:
        every = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, panel in zip(every, panels, strict=True):
            for window in windows:
                _shade(axes, window, last)
            for threshold in panel.thresholds:
                axes.axhline(threshold, color=QUIET, linewidth=0.6, linestyle=":")
            for number, line in enumerate(panel.lines):
                _draw(axes, line, fine, shown, at, number)
            axes.set(xlim=(0, last), ylim=(-0.02, 1.03), ylabel=panel.label)
            axes.set_xlabel(axis_name)
            axes.legend(
                loc="best", handlelength=2.2, frameon=True, framealpha=0.85, edgecolor="none"
            )
        title = "lines: theory; points: measured, joint 95 %; shaded: [T_after, T_before]"
        every[0].set_title(title, color=QUIET, fontsize=6.5)
    return figure


def write(figure: Figure, run: Path, name: str = "windows") -> None:
    """Save a figure into a run's `figures/`."""
    folder = run / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    save(figure, folder / name)


def _draw(
    axes: Axes, line: Line, fine: np.ndarray, shown: Sequence[int], at: np.ndarray, number: int
) -> None:
    color, kind = COLORS[number % 4], LINES[number % 4]
    values = [line.theory(float(t)).value for t in fine]
    axes.plot(fine, values, color=color, linestyle=kind, label=line.name, zorder=2)
    if line.measured is None:
        return
    found = [line.measured(place) for place in shown]
    middle = np.array([f.estimate for f in found])
    below = np.maximum(middle - [f.lower for f in found], 0)
    above = np.maximum([f.upper for f in found] - middle, 0)
    axes.errorbar(
        at,
        middle,
        yerr=[below, above],
        fmt=MARKERS[number % 4],
        color=color,
        markerfacecolor="white",
        markersize=3,
        elinewidth=0.7,
        capsize=1.2,
        linestyle="none",
        zorder=3,
    )


def _shade(axes: Axes, window: tuple[float | None, float | None], last: float) -> None:
    after, before = window
    if after is not None and before is not None:
        axes.axvspan(after, min(before, last), color="0.92", linewidth=0, zorder=0)
