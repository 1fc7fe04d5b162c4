"""Where windows fall: the share of an answer that is kept at them, for each problem set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from critwin.drawing import QUIET, SERIES, SINGLE, drawable, drawing, percent
from critwin.statistics import clopper_pearson

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Places:
    """Windows of a problem set by where they fall.

    Attributes:
        name: Of the problem set.
        edges: Shares kept between which windows were counted, shape (C + 1,), increasing.
        counts: Windows of scored answers in each cell, shape (C,).
    """

    name: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]


def window_places(sets: Sequence[Places]) -> Figure:
    """Draw the share of windows in each cell, per tenth of the answer, a row for each problem set.

    Args:
        sets: One or more; cells may differ between them, as rules compare different cuts.

    Returns:
        Single-column figure; error bars are exact 95 % intervals that take windows as independent.
    """
    with drawing(SINGLE, 0.55 + 0.95 * len(sets)) as figure:
        every = figure.subplots(len(sets), 1, sharex=True, squeeze=False)[:, 0]
        for number, (axes, places) in enumerate(zip(every, sets, strict=True)):
            _draw(axes, places, SERIES[number % len(SERIES)][0])
        every[0].set_title("windows per tenth of the answer; bars: 95 %", color=QUIET, fontsize=6.5)
        every[-1].set_xlabel("share of the answer that is kept")
        every[-1].set_xlim(0, 1)
    return figure


def _draw(axes: Axes, places: Places, colour: str) -> None:
    edges, counts = np.array(places.edges), np.array(places.counts)
    total, tenths = int(counts.sum()), np.diff(edges) * 10
    axes.set_ylabel(drawable(places.name), fontsize=6.5, parse_math=False)
    axes.yaxis.set_major_formatter(percent)
    told: dict[str, Any] = {"transform": axes.transAxes, "fontsize": 6, "color": QUIET}
    axes.text(0.995, 1.02, f"{total} windows", ha="right", va="bottom", **told)
    if not total:
        return
    lower, upper = clopper_pearson(counts, np.full(len(counts), total))
    share, middle = counts / total / tenths, (edges[:-1] + edges[1:]) / 2
    axes.stairs(share, edges, fill=True, facecolor=colour, alpha=0.35)
    axes.stairs(share, edges, color=colour, linewidth=1.1)
    ends = [share - lower / tenths, upper / tenths - share]
    axes.errorbar(middle, share, yerr=ends, fmt="none", ecolor="0.25", elinewidth=0.7, capsize=1.2)
    axes.set_ylim(0, 1.05 * float((upper / tenths).max()))
    axes.grid(visible=False, axis="x")
