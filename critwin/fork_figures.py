"""Forks beside truncation: the same originals measured by both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from critwin.curve import Curve, read_curves
from critwin.drawing import DOUBLE, QUIET, drawable, drawing, percent
from critwin.errors import RecordsError
from critwin.records import RunDirectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORKS, GRID = "#0072B2", "#C24E00"


def forks_beside_grid(forks: RunDirectory, grid: RunDirectory, *, panels: int = 3) -> Figure:
    """Draw own-label curves of two runs over the same originals into one figure.

    Args:
        forks: A finished run by forks.
        grid: A finished run by truncation that studied the same originals.
        panels: Originals drawn, side by side: those that the grid changes most between neighbours.

    Returns:
        Double-column figure; band and error bars are pointwise 95 % intervals.

    Raises:
        RecordsError: A table is missing or damaged, or the runs share no original.
    """
    by_forks, by_grid = _own(forks), _own(grid)
    shared = sorted(
        by_forks.keys() & by_grid.keys(), key=lambda name: (-_largest_step(by_grid[name]), name)
    )
    if not shared:
        raise RecordsError(f"{forks.path} and {grid.path} share no original")
    with drawing(DOUBLE, 2.0) as figure:
        every = figure.subplots(1, min(panels, len(shared)), sharey=True, squeeze=False)[0]
        for axes, name in zip(every, shared, strict=False):
            _draw(axes, by_forks[name], by_grid[name])
        every[0].set_ylabel("resamples that agree")
        every[0].legend(loc="best", handlelength=1.6)
    return figure


def _own(run: RunDirectory) -> dict[str, Curve]:
    curves = read_curves(run.read("curves").to_pandas())
    return {curve.original_id: curve for curve in curves if curve.own}


def _largest_step(curve: Curve) -> float:
    return float(np.abs(np.diff(curve.agreement[:-1])).max(initial=0.0))


def _draw(axes: Axes, forks: Curve, grid: Curve) -> None:
    axes.fill_between(forks.position, forks.lower, forks.upper, color=FORKS, alpha=0.2, linewidth=0)
    number = int(forks.trials.max())
    axes.plot(forks.position, forks.agreement, color=FORKS, label=f"{number} forks")
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
        label=f"{int(grid.trials.sum())} resamples",
        clip_on=False,
    )
    axes.set(xlim=(-1, forks.length), ylim=(-0.02, 1.02), xlabel="tokens kept")
    axes.yaxis.set_major_formatter(percent)
    axes.set_title(
        drawable(f"{forks.original_id}: {forks.label}"), color=QUIET, fontsize=6.5, parse_math=False
    )
