"""Accuracy of answers by their largest jump: the paper's bar figure, with error bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from critwin.drawing import (
    BLUE,
    DOUBLE,
    ORANGE,
    QUIET,
    SINGLE,
    SKY,
    YELLOW,
    drawable,
    drawing,
    percent,
)
from critwin.statistics import Interval, clustered_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EDGES = (0.0, 0.1, 0.3, 0.5, 1.0)
"""Bins of the largest rise: at most .1, at most .3, at most .5, more (a window of the paper's)."""

BARS = ((BLUE, ""), (SKY, "////"), (YELLOW, "...."), (ORANGE, "xxxx"))
"""Colour and hatch of each bin's bar."""


@dataclass(frozen=True)
class Answers:
    """The answers of a run.

    Attributes:
        name: Of the run, as the axis has it.
        table: Columns problem_id, correct (bool) and rise (largest rise of the own label's
            curve, in [0, 1]); a row per scored answer with a reference answer.
    """

    name: str
    table: pd.DataFrame


def largest_rises(curves: pd.DataFrame) -> pd.Series[float]:
    """Give the largest rise of each original's own label between neighbouring visited levels.

    Of a curve with a value at every token it is the rise over any stretch of 10 tokens, as a grid
    would have it between cuts that close.

    Args:
        curves: The curves table; of the step to everything kept, which nobody measured, no account
            is taken.

    Returns:
        Rises >= 0 by original_id.
    """
    own = curves[curves["own"].astype(bool) & (curves["kept"] < 1)]
    own = own.sort_values(["original_id", "position"])
    found: dict[str, float] = {}
    for name, rows in own.groupby("original_id", sort=True):
        values = rows["agreement"].to_numpy(np.float64)
        far = STRIDE if (rows["estimator"] == "forks").all() else 1
        steps = [values[k:] - values[:-k] for k in range(1, min(far, len(values) - 1) + 1)]
        found[str(name)] = max((float(step.max()) for step in steps if len(step)), default=0.0)
    return pd.Series(found, dtype=float).clip(lower=0.0)


STRIDE = 10
"""Tokens over which the rise of a curve with a value at every token is taken."""


def accuracy_by_jump(runs: Sequence[Answers]) -> Figure:
    """Draw the accuracy of answers in bins of their largest jump, a group of bars for each run.

    Args:
        runs: One or more.

    Returns:
        Figure, double-column for more than two runs; error bars are 95 % over problems, numbers are
        answers in the bin.
    """
    with drawing(DOUBLE if len(runs) > 2 else SINGLE, 2.5) as figure:
        axes = figure.add_subplot()
        for number in range(len(EDGES) - 1):
            found = [_share(run.table, number) for run in runs]
            _bars(axes, found, number)
        axes.set_xticks(
            range(len(runs)), ["\n".join(map(drawable, run.name.split("\n"))) for run in runs]
        )
        for tick in axes.get_xticklabels():
            tick.set_parse_math(False)
            tick.set_fontsize(6 if len(runs) > 3 else 7)
        axes.set(ylim=(0, 1.12), ylabel="accuracy", xlim=(-0.6, len(runs) - 0.4))
        axes.set_yticks(np.linspace(0, 1, 6))
        axes.yaxis.set_major_formatter(percent)
        axes.grid(visible=False, axis="x")
        figure.legend(loc="outside upper right", ncols=4, handlelength=1.5, columnspacing=1.0)
        note = "by largest rise; error bars: 95 % over problems; numbers: answers"
        axes.set_title(note, color=QUIET, fontsize=6.5)
    return figure


def _share(table: pd.DataFrame, number: int) -> Interval | None:
    low, high = list(pairwise(EDGES))[number]
    above = table["rise"] > low if number else table["rise"] >= 0
    inside = table[above & (table["rise"] <= high)]
    groups = inside["correct"].astype(float).groupby(inside["problem_id"])
    return clustered_share(groups.sum(), groups.size()) if len(inside) else None


def _bars(axes: Axes, found: Sequence[Interval | None], number: int) -> None:
    bins = len(EDGES) - 1
    low, high = list(pairwise(EDGES))[number]
    name = f"> {low:g}" if number == bins - 1 else f"≤ {high:g}"
    colour, hatch = BARS[number]
    width = 0.8 / bins
    for place, share in enumerate(found):
        if share is None:
            continue
        at = place + (number - (bins - 1) / 2) * width
        axes.bar(at, share.estimate, 0.92 * width, color=colour, hatch=hatch, edgecolor="white")
        axes.plot([at, at], [share.lower, share.upper], color="0.2", linewidth=0.8)
        top = max(share.upper, share.estimate) + 0.015
        axes.text(at, top, str(share.n), ha="center", fontsize=5.5, color=QUIET)
    axes.bar([0], [0], color=colour, hatch=hatch, edgecolor="white", label=name)
