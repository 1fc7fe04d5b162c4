"""The figure of the variance budget: how sharp, how long, at which branch, for which labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from critwin.budget_summary import kinds_of, share
from critwin.budget_tables import AT, NATS, THRESHOLDS, TOKENS
from critwin.drawing import BLUE, DOUBLE, ORANGE, QUIET, drawing, percent
from critwin.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "0.45"


def uncertainty_figure(shares: pd.DataFrame) -> Figure:
    """Draw where uncertainty is spent: J(c), blocks, kinds of branch, right and wrong labels.

    Args:
        shares: The shares table of a run.

    Returns:
        Double-column figure of four panels; bands and bars are 95 % over problems.
    """
    with drawing(DOUBLE, 4.6) as figure:
        (curve, blocks), (kinds, labels) = figure.subplots(2, 2)
        _draw_curve(curve, shares)
        _draw_blocks(blocks, shares)
        _draw_kinds(kinds, shares)
        _draw_labels(labels, shares)
        for axes in (curve, blocks, labels):
            axes.set(ylim=(0, 1.02))
            axes.yaxis.set_major_formatter(percent)
    return figure


def _line(
    axes: Axes,
    x: Sequence[float],
    found: Sequence[Interval | None],
    color: str,
    style: str,
    name: str,
) -> None:
    there = [(at, value) for at, value in zip(x, found, strict=True) if value is not None]
    if not there:
        return
    at = [where for where, _ in there]
    axes.plot(at, [value.estimate for _, value in there], style, color=color, label=name)
    lower, upper = [v.lower for _, v in there], [v.upper for _, v in there]
    axes.fill_between(at, lower, upper, color=color, alpha=0.15, linewidth=0)


def _name_lines(axes: Axes, place: Any, **how: Any) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc=place, **how)
    else:
        axes.text(0.5, 0.5, "nothing", transform=axes.transAxes, ha="center", color=QUIET)


def _draw_curve(axes: Axes, shares: pd.DataFrame) -> None:
    c = THRESHOLDS
    _line(axes, c, [share(shares, threshold=at) for at in c], BLUE, "-", "model")
    exact = [share(shares, source="generator", threshold=at) for at in c]
    if any(value is not None for value in exact):
        there = [value.estimate for value in exact if value is not None]
        axes.plot(c[: len(there)], there, "--", color=GREY, label="generator alone, exact")
    axes.set(xlim=(0, 1), xlabel="jump of a single token, c", ylabel="uncertainty spent above c")
    axes.set_title("J(c); bands: 95 % over problems", color=QUIET, fontsize=6.5)
    _name_lines(axes, "lower left")


def _draw_blocks(axes: Axes, shares: pd.DataFrame) -> None:
    for threshold, color in zip(AT, (ORANGE, BLUE), strict=True):
        for unit, lengths, style in (("tokens", TOKENS, "-o"), ("nats", NATS, "--s")):
            found = [share(shares, threshold=threshold, unit=unit, block=float(n)) for n in lengths]
            _line(axes, lengths, found, color, style, f"{unit}, c = {threshold:g}")
    axes.set_xscale("log")
    ticks = [0.1, 0.3, 1, 4, 16, 64]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set(xlabel="length of a block, tokens or nats", ylabel="spent in blocks above c")
    axes.set_title("J over blocks, mean over their phase", color=QUIET, fontsize=6.5)
    _name_lines(axes, "lower right", ncols=2, fontsize=6)


def _draw_kinds(axes: Axes, shares: pd.DataFrame) -> None:
    names = kinds_of(shares)
    if not names:
        axes.text(
            0.5, 0.5, "no planted branches", transform=axes.transAxes, ha="center", color=QUIET
        )
        axes.set_axis_off()
        return
    at = np.arange(len(names))[::-1]
    for kind, y in zip(names, at, strict=True):
        model, exact = share(shares, kind=kind), share(shares, source="generator", kind=kind)
        if model is not None:
            axes.barh(
                y + 0.18, model.estimate, 0.34, color=BLUE, label="model" if y == at[0] else None
            )
            axes.plot([model.lower, model.upper], [y + 0.18] * 2, color="0.2", linewidth=0.8)
        if exact is not None:
            name = "generator alone" if y == at[0] else None
            axes.barh(y - 0.18, exact.estimate, 0.34, color="0.75", hatch="////", label=name)
    axes.set_yticks(at, names)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(percent)
    axes.set(xlim=(0, None), xlabel="uncertainty spent at tokens of this kind")
    _name_lines(axes, "lower right")


def _draw_labels(axes: Axes, shares: pd.DataFrame) -> None:
    c = THRESHOLDS
    for name, color, style in (("right", BLUE, "-"), ("wrong", ORANGE, "--")):
        found = [share(shares, labels=f"{name} matched", threshold=at) for at in c]
        problems = max((value.clusters for value in found if value is not None), default=0)
        _line(axes, c, found, color, style, f"{name} ({problems} questions)")
    axes.set(xlim=(0, 1), xlabel="jump of a single token, c", ylabel="spent above c")
    axes.set_title("labels as probable within a question", color=QUIET, fontsize=6.5)
    _name_lines(axes, "lower left")
