"""The figure of a benchmark of window rules: what is found, and how often nothing is."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from critwin.drawing import BLUE, DOUBLE, GREEN, ORANGE, PINK, QUIET, SKY, drawing, percent, save
from experiments.detecting.beside import CALIBRATED
from experiments.detecting.summary import rates

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = {
    "confident_jump": (BLUE, "o", 2.0),
    "hierarchy": (SKY, "s", 1.0),
    "scale": (GREEN, "^", 1.0),
    "change_point": (ORANGE, "D", 1.0),
    "paper_jump": ("0.55", "v", 1.0),
    "paper_jump_01": ("0.25", "x", 1.0),
    "step": (PINK, "P", 1.0),
}
"""Colour, mark and width of each rule's line; a calibrated baseline's is dashed."""

DRAWN = (
    *("confident_jump", "change_point", "paper_jump", "step"),
    *("change_point_height_calibrated", "paper_jump_calibrated", "step_calibrated"),
)
"""The rules whose lines are drawn: the tables have all."""


def detection_figure(cells: pd.DataFrame) -> Figure:
    """Draw what each rule finds, and its false alarms on the curve where it has most."""
    # aimed forks have no number of draws per position: their column is half empty, so it is last
    spread = {str(kind) for kind in cells.loc[cells["equal"] == "draws", "kind"]}
    kinds = sorted(dict.fromkeys(cells["kind"]), key=lambda kind: kind not in spread)
    with drawing(DOUBLE, 5.6) as figure:
        axes = figure.subplots(4, len(kinds), sharey="row", squeeze=False)
        for equal, (column, kind) in product(("draws", "tokens"), enumerate(kinds)):
            row = 0 if equal == "draws" else 2
            own = cells[(cells["kind"] == kind) & (cells["equal"] == equal)]
            if own.empty:
                axes[row, column].set_axis_off()
                axes[row + 1, column].set_axis_off()
                continue
            _panel(axes[row, column], own, "within")
            _panel(axes[row + 1, column], own, "alarmed_worst")
            axes[row, column].set_title(kind)
            axes[row, column].tick_params(labelbottom=False)
            words = "draws per position" if equal == "draws" else "tokens generated"
            axes[row + 1, column].set_xlabel(words)
            axes[row + 1, column].axhline(0.05, color=QUIET, linewidth=0.7, linestyle=":")
        for row in range(4):
            axes[row, 0].set_ylabel("found" if row % 2 == 0 else "false, worst curve")
        handles, names = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=4)
    return figure


def write_figures(cells: pd.DataFrame, folder: Path) -> None:
    """Write the figure as PDF and PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    save(detection_figure(cells), folder / "detection")


def _panel(axes: Axes, cells: pd.DataFrame, value: str) -> None:
    sizes = sorted({int(size) for size in cells["size"]})
    for rule in DRAWN:
        colour, mark, width = LINES[rule.removesuffix(CALIBRATED).removesuffix("_height")]
        own = cells[cells["rule"] == rule]
        points = {size: rates(own[own["size"] == size])[value] for size in sizes}
        shown = {size: point for size, point in points.items() if point is not None}
        order = 3 if rule == "confident_jump" else 2
        axes.plot(
            list(shown),
            list(shown.values()),
            color=colour,
            marker=mark,
            linewidth=width,
            linestyle="--" if rule.endswith(CALIBRATED) else "-",
            markersize=4,
            label=rule.replace("_", " "),
            zorder=order,
            clip_on=False,
        )
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(sizes, [f"{s // 1000}k" if s >= 1000 else str(s) for s in sizes])
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(percent)
