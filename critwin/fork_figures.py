"""Forks beside truncation: the same originals measured by both."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from critwin.curve import Curve, read_curves
from critwin.drawing import BLUE, DOUBLE, ORANGE, QUIET, drawable, drawing, percent
from critwin.errors import RecordsError
from critwin.records import RunDirectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORKS, GRID = BLUE, ORANGE


def forks_beside_grid(forks: RunDirectory, grid: RunDirectory, *, panels: int = 3) -> Figure:
    """Draw own-label curves of two runs over the same originals into one figure.

    Args:
        forks: A finished run by forks.
        grid: A finished run by truncation that studied the same originals.
        panels: Originals drawn, side by side: those that the grid changes most between neighbours.

    Returns:
        Double-column figure; band and error bars are pointwise 95 % intervals. Each panel says how
        many draws and tokens either protocol took for its original, the pilot of forks included.

    Raises:
        RecordsError: A table is missing or damaged, or the runs share no original.
    """
    by_forks, by_grid = _own(forks), _own(grid)
    shared = sorted(
        by_forks.keys() & by_grid.keys(), key=lambda name: (-_largest_step(by_grid[name]), name)
    )
    if not shared:
        raise RecordsError(f"{forks.path} and {grid.path} share no original")
    spent_forks, spent_grid = _spent(forks), _spent(grid)
    with drawing(DOUBLE, 2.0) as figure:
        every = figure.subplots(1, min(panels, len(shared)), sharey=True, squeeze=False)[0]
        for axes, name in zip(every, shared, strict=False):
            _draw(axes, by_forks[name], by_grid[name])
            for protocol, spent, handle in zip(
                ("forks", "resamples"),
                (spent_forks[name], spent_grid[name]),
                (axes.lines[0], axes.containers[0]),
                strict=True,
            ):
                handle.set_label(f"{spent.draws:,} {protocol}, {spent.tokens:,} tokens")
            axes.legend(loc="best", handlelength=1.2, fontsize=5.5)
        every[0].set_ylabel("resamples that agree")
    return figure


class _Spent(NamedTuple):
    draws: int
    tokens: int


def _spent(run: RunDirectory) -> dict[str, _Spent]:
    """Count the draws of each original and their tokens."""
    tokens = run.read("resamples").to_pandas().groupby("original_id")["tokens_generated"]
    spent = {str(name): _Spent(len(own), int(own.sum())) for name, own in tokens}
    ids = run.read("originals")["original_id"].to_pylist()
    return {name: spent.get(name, _Spent(0, 0)) for name in ids}


def _own(run: RunDirectory) -> dict[str, Curve]:
    curves = read_curves(run.read("curves").to_pandas())
    return {curve.original_id: curve for curve in curves if curve.own}


def _largest_step(curve: Curve) -> float:
    return float(np.abs(np.diff(curve.agreement[:-1])).max(initial=0.0))


def _draw(axes: Axes, forks: Curve, grid: Curve) -> None:
    axes.fill_between(forks.position, forks.lower, forks.upper, color=FORKS, alpha=0.2, linewidth=0)
    axes.plot(forks.position, forks.agreement, color=FORKS)
    drawn = grid.trials > 0
    middle = grid.agreement[drawn]
    ends = np.stack([middle - grid.lower[drawn], grid.upper[drawn] - middle])
    axes.errorbar(
        grid.position[drawn],
        middle,
        yerr=np.maximum(ends, 0),
        fmt="s",
        color=GRID,
        elinewidth=0.8,
        capsize=1.5,
        markersize=3,
        clip_on=False,
    )
    axes.set(xlim=(-1, forks.length), ylim=(-0.02, 1.02), xlabel="tokens kept")
    axes.yaxis.set_major_formatter(percent)
    axes.set_title(
        drawable(f"{forks.original_id}: {forks.label}"), color=QUIET, fontsize=6.5, parse_math=False
    )
