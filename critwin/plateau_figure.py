"""Plateaus of one original: the curves of its labels, its steps, who is alive between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from critwin.curve import Curve
from critwin.drawing import BLUE, DOUBLE, GREEN, OLIVE, ORANGE, PINK, QUIET, SKY, drawing, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = (
    *((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (PINK, ":")),
    *((SKY, "-"), (OLIVE, "--")),
)
"""Colour and line of the labels, the own one first; more are grey."""

NAMED, CHARACTERS = 4, 14
"""Labels that a plateau names, and characters of each."""


def with_plateaus(windows: pd.DataFrame) -> str | None:
    """Give the original with the most steps between plateaus; None where no rule told any."""
    known = "alive_before" in windows  # runs of an earlier version have no such column
    steps = windows[windows["alive_before"].notna()] if known else windows[:0]
    if not len(steps):
        return None
    counts = steps.groupby("original_id").size()
    return str(counts[counts == counts.max()].index.min())


def plateaus(curves: Sequence[Curve], windows: pd.DataFrame) -> Figure:
    """Draw the labels of an original over the tokens kept, with its steps and plateaus.

    Args:
        curves: The curves of its labels.
        windows: Its steps, with columns alive_before and alive_after; at least one.

    Returns:
        Double-column figure; steps are shaded, and over each plateau stand the labels alive there.
        A step reaches from T_before to T_after of the theory, in tokens removed.
    """
    steps = windows.sort_values("position_start")
    order = sorted(curves, key=lambda c: (not c.own, -float(c.agreement.mean()), c.label))
    length = order[0].length
    with drawing(DOUBLE, 2.7) as figure:
        axes = figure.add_subplot()
        for number, curve in enumerate(order):
            colour, line = LINES[number] if number < len(LINES) else ("0.7", "-")
            axes.plot(
                curve.position,
                curve.agreement,
                color=colour,
                linestyle=line,
                linewidth=1.6 if curve.own else 1.0,
                label=_short(curve.label) if number < len(LINES) else None,
            )
        ends = steps[["position_start", "position_end"]].to_numpy(np.int64).tolist()
        for begin, end in ends:
            axes.axvspan(begin, end, color="0.88", zorder=0)
            _name_times(axes, begin, end, length)
        edges = [0, *(edge for pair in ends for edge in pair), length]
        alive = [*steps["alive_before"], steps["alive_after"].iloc[-1]]
        _name(axes, edges, alive)
        axes.set(xlim=(0, length), ylim=(0, 1.02))
        axes.set_xlabel("tokens kept")
        axes.set_ylabel("resamples with the label")
        axes.yaxis.set_major_formatter(percent)
        for text in axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5)).get_texts():
            text.set_parse_math(False)
    return figure


def _name_times(axes: Axes, begin: int, end: int, length: int) -> None:
    """Write beside a step where the theory's window lies: tokens removed at its ends."""
    axes.text(
        begin - 0.004 * length,
        0.02,
        rf"$T_\mathrm{{before}}$ {length - begin}, $T_\mathrm{{after}}$ {length - end}",
        rotation=90,
        ha="right",
        va="bottom",
        fontsize=6,
        color=QUIET,
        transform=axes.get_xaxis_transform(),
    )


def _name(axes: Axes, edges: Sequence[int], alive: Sequence[Sequence[str]]) -> None:
    """Write over each plateau which labels are alive on it."""
    sides = list(pairwise(edges))[::2]
    for (begin, end), labels in zip(sides, alive, strict=True):
        names = [_short(label) for label in labels][:NAMED]
        names += [f"and {len(labels) - NAMED} more"] if len(labels) > NAMED else []
        text = axes.text(
            (begin + end) / 2,
            1.04,
            "\n".join(names) or "none",
            ha="center",
            va="bottom",
            fontsize=6.5,
            color=QUIET,
            transform=axes.get_xaxis_transform(),
        )
        text.set_parse_math(False)


def _short(label: str) -> str:
    shown = label if label.isprintable() else ascii(label)
    return shown if len(shown) <= CHARACTERS else shown[: CHARACTERS - 1] + "…"
