"""Figures of a run: vector PDF and PNG, readable in print and without colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from critwin.curve import Curve, read_curves
from critwin.drawing import BLUE, ORANGE, QUIET, SINGLE, drawing, percent, save
from critwin.plateau_figure import plateaus, with_plateaus
from critwin.records import RunDirectory
from critwin.statistics import Interval, clustered_share
from critwin.summary import own_rises, window_cells
from critwin.trajectory import trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class _Group:
    """How right or wrong answers are drawn: colour, line, marker and hatch all differ."""

    name: str
    correct: bool | None
    color: str
    line: str
    marker: str
    hatch: str


GROUPS = (
    _Group("right", True, BLUE, "-", "o", ""),
    _Group("wrong", False, ORANGE, "--", "s", "/////"),
)

ALL = _Group("all", None, BLUE, "-", "o", "")
"""What is drawn where no original is right or wrong."""

# Room that a name of two lines takes in a single-column figure, in units of the axes.
_NAME_WIDTH, _NAME_HEIGHT = 0.46, 0.14


def mean_curves(
    curves: Sequence[Curve], originals: pd.DataFrame, visited: Sequence[float]
) -> Figure:
    """Draw mean own-label agreement over the share kept, for right and wrong originals.

    Args:
        curves: Curves of a run; own labels are drawn, each original weighing the same.
        originals: Columns original_id, problem_id, correct of the originals table.
        visited: Fractions kept at which means are drawn.

    Returns:
        Single-column figure; bands are 95 % intervals over problems at each fraction.
    """
    with drawing(SINGLE, 2.5) as figure:
        draw_means(figure.add_subplot(), curves, originals, visited)
    return figure


def draw_means(
    axes: Axes, curves: Sequence[Curve], originals: pd.DataFrame, visited: Sequence[float]
) -> None:
    """Draw what `mean_curves` draws on axes of one's own."""
    own = {curve.original_id: curve for curve in curves if curve.own}
    drawn = []
    for group in _groups(originals):
        members = _members(originals, group, own)
        if len(members):
            means = [_mean_at(fraction, members, own) for fraction in visited]
            _draw_mean(axes, group, visited, means)
            drawn.append((group, members, means))
    _name_means(axes, visited, drawn)
    axes.set(xlim=(0, 1.01), ylim=(0, 1.01), xticks=np.linspace(0, 1, 6))
    axes.set_xlabel("share of the answer that is kept")
    axes.set_ylabel("resamples that agree with it")
    axes.yaxis.set_major_formatter(percent)
    axes.set_title("mean; bands: 95 % over problems", color=QUIET, fontsize=6.5)
    if drawn:
        of = [own[i] for _, members, _ in drawn for i in members["original_id"]]
        _tell_unscored(axes, of, visited)
    else:
        _say_nothing(axes)


def window_positions(
    windows: pd.DataFrame,
    curves: Sequence[Curve],
    originals: pd.DataFrame,
    compared: Sequence[float],
) -> Figure:
    """Draw the share of right and of wrong originals with a window in each cell of the grid.

    Args:
        windows: The windows table; rises of own labels are drawn.
        curves: Curves of the run, for the cells.
        originals: The originals table.
        compared: Fractions kept whose neighbouring pairs the window rule compared.

    Returns:
        Single-column figure; bars reach over their cells, error bars are 95 % over problems.
    """
    own = {curve.original_id: curve for curve in curves if curve.own}
    rising = own_rises(windows, originals)
    edges, cell = window_cells(rising, curves, compared)
    with drawing(SINGLE, 2.4) as figure:
        axes = figure.add_subplot()
        top, compared = 0.0, _compared(cell, len(edges) - 1)
        for number in set(range(len(edges) - 1)) - set(compared):
            axes.axvspan(edges[number], edges[number + 1], color="0.93", linewidth=0, zorder=0)
        for shift, group in zip((0.32, 0.68), _groups(originals), strict=False):
            members = _members(originals, group, own)
            if len(members):
                shares = [_share_with(rising[cell == number], members) for number in compared]
                count = int(rising["original_id"].isin(members["original_id"]).sum())
                name = f"{group.name}: {count} windows in {len(members)} answers"
                left = [edges[number] for number in compared]
                width = [edges[number + 1] - edges[number] for number in compared]
                _draw_shares(axes, group, left, width, shares, shift=shift, name=name)
                top = max([top, *(share.upper for share in shares)])
        axes.set(xlim=(0, 1), ylim=(0, 1.3 * top or 1.0), xticks=edges)
        axes.set_xticklabels(_thinned(edges))
        axes.set_yticks([tick for tick in axes.get_yticks() if tick <= 1])
        axes.grid(visible=False, axis="x")
        axes.set_xlabel("share of the answer that is kept")
        axes.set_ylabel("answers with a window there")
        axes.yaxis.set_major_formatter(percent)
        note = "error bars: 95 % over problems; grey: not compared"
        axes.set_title(note, color=QUIET, fontsize=6.5)
        if top:
            axes.legend(loc="upper left", handlelength=1.6, borderaxespad=0.1)
        else:
            _say_nothing(axes)
    return figure


def write_figures(run: Path, *, visited: Sequence[float], compared: Sequence[float]) -> list[Path]:
    """Write the figures of a run whose curves and windows stand into its `figures/`.

    The same records give the same bytes. Besides the two figures over all originals, the original
    with the largest jump gets one of its own, and so does that with the most plateaus where the
    rule told which labels are alive on them.

    Args:
        run: The run directory.
        visited: Fractions kept at which means are drawn.
        compared: Fractions kept whose neighbouring pairs the window rule compared.

    Returns:
        The files written, a PDF and a PNG of each figure.

    Raises:
        RecordsError: A table is missing or damaged.
    """
    directory = RunDirectory(run)
    originals = directory.read("originals").to_pandas()
    windows = directory.read("windows").to_pandas()
    every = directory.read("curves").to_pandas()
    curves = read_curves(every[every["own"]])
    figures = {
        "mean_curves": mean_curves(curves, originals, visited),
        "window_positions": window_positions(windows, curves, originals, compared),
    }
    figures |= chosen_originals(originals, every, windows)
    folder = run / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    return [path for name, figure in figures.items() for path in save(figure, folder / name)]


def chosen_originals(
    originals: pd.DataFrame, curves: pd.DataFrame, windows: pd.DataFrame
) -> dict[str, Figure]:
    """Draw the original with the largest jump, and that with the most plateaus.

    Args:
        originals: The originals table.
        curves: The curves table.
        windows: The windows table.

    Returns:
        `trajectory` and `plateaus`, as far as there is something to draw.
    """
    figures = {}
    rising = own_rises(windows, originals)
    if len(rising):
        largest = rising.sort_values(["jump", "original_id"], ascending=[False, True]).iloc[0]
        chosen = str(largest["original_id"])
        own = curves[curves["own"] & (curves["original_id"] == chosen)]
        row = originals[originals["original_id"] == chosen].iloc[0]
        figures["trajectory"] = trajectory(
            {str(name): value for name, value in row.items()},
            next(c for c in read_curves(own) if c.own),
            rising[rising["original_id"] == chosen],
        )
    stepped = with_plateaus(windows)
    if stepped is not None:
        steps = windows[(windows["original_id"] == stepped) & windows["alive_before"].notna()]
        of = curves[curves["original_id"] == stepped]
        figures["plateaus"] = plateaus(read_curves(of), steps)
    return figures


def _groups(originals: pd.DataFrame) -> tuple[_Group, ...]:
    """Right and wrong; all in one where nothing says which is which."""
    return GROUPS if originals["correct"].notna().any() else (ALL,)


def _members(originals: pd.DataFrame, group: _Group, own: Mapping[str, Curve]) -> pd.DataFrame:
    verdicts = originals["correct"].astype(object)
    of_group = verdicts.map(lambda v: group.correct is None or v is group.correct).astype(bool)
    return originals[of_group & originals["original_id"].isin(own)]


def _mean_at(fraction: float, members: pd.DataFrame, own: Mapping[str, Curve]) -> Interval:
    agreement = members["original_id"].map(
        lambda name: own[name].agreement[_last_within(own[name], fraction)]
    )
    per_problem = agreement.astype(float).groupby(members["problem_id"])
    share = clustered_share(per_problem.sum(), per_problem.size())
    assert share is not None
    return share


def _last_within(curve: Curve, fraction: float) -> int:
    """Give the entry of the last position that keeps no more than a fraction."""
    return max(int(np.searchsorted(curve.kept, fraction + 1e-9, side="right")) - 1, 0)


def _compared(cell: pd.Series[int], cells: int) -> list[int]:
    """Give the cells to draw: those next to nothing and all only where they hold a window.

    The paper's rule compares neither nothing kept nor everything kept with its neighbour.
    """
    held = set(cell)
    return [number for number in range(cells) if 0 < number < cells - 1 or number in held]


def _share_with(windows: pd.DataFrame, members: pd.DataFrame) -> Interval:
    hit = members["original_id"].isin(windows["original_id"]).groupby(members["problem_id"])
    share = clustered_share(hit.sum(), hit.size())
    assert share is not None
    return share


def _draw_mean(
    axes: Axes, group: _Group, fractions: Sequence[float], means: Sequence[Interval]
) -> None:
    estimates = [mean.estimate for mean in means]
    axes.fill_between(
        fractions,
        [mean.lower for mean in means],
        [mean.upper for mean in means],
        color=group.color,
        alpha=0.16,
        linewidth=0,
    )
    axes.plot(
        fractions,
        estimates,
        color=group.color,
        linestyle=group.line,
        marker=group.marker,
        clip_on=False,
        zorder=3,
    )
    # Everything kept agrees by definition: the last step is not measured.
    axes.plot(
        [fractions[-1], 1], [estimates[-1], 1], color=group.color, linestyle=":", linewidth=0.9
    )


def _name_means(
    axes: Axes,
    fractions: Sequence[float],
    drawn: Sequence[tuple[_Group, pd.DataFrame, Sequence[Interval]]],
) -> None:
    """Write each name beside its line, where no line runs; in a legend where there is no room."""
    along = np.linspace(0, 1, 101)
    ends = [[*(mean.estimate for mean in means), 1.0] for _, _, means in drawn]
    taken = [np.interp(along, [*fractions, 1.0], line) for line in ends]
    for (group, members, _), line in zip(drawn, tuple(taken), strict=True):
        place = _free_place(line, taken, along)
        if place is None:
            names = [f"{one.name}: {len(of)} answers" for one, of, _ in drawn]
            handles = [handle for handle in axes.lines if handle.get_marker() != "None"]
            axes.legend(handles, names, loc="center right")
            return
        taken.append(np.where(np.abs(along - place[0]) < _NAME_WIDTH / 2, place[1], np.nan))
        axes.text(
            *place,
            f"{group.name}: {len(members)} answers,\n{members['problem_id'].nunique()} problems",
            ha="center",
            va="center",
            color=group.color,
            fontsize=7,
        )


def _free_place(
    line: npt.NDArray[np.float64],
    taken: Sequence[npt.NDArray[np.float64]],
    along: npt.NDArray[np.float64],
) -> tuple[float, float] | None:
    """Find the middle of a free box for a name, as near to `line` as can be.

    Args:
        line: Height of the line to be named, shape (101,), at each of `along`.
        taken: Heights of everything that must not be covered, nan where there is nothing.
        along: Places from 0 to 1.
    """
    found = []
    for x in np.arange(0.26, 0.75, 0.04):
        inside = np.abs(along - x) < _NAME_WIDTH / 2
        for y in np.arange(0.18, 0.92, 0.02):
            gaps = [np.abs(other[inside] - y) for other in taken]
            if not any((gap < _NAME_HEIGHT / 2 + 0.04).any() for gap in gaps):
                found.append((np.abs(line[inside] - y).mean(), float(x), float(y)))
    return min(found)[1:] if found else None


def _draw_shares(
    axes: Axes,
    group: _Group,
    left: Sequence[float],
    width: Sequence[float],
    shares: Sequence[Interval],
    *,
    shift: float,
    name: str,
) -> None:
    estimates = np.array([share.estimate for share in shares])
    lower = estimates - [share.lower for share in shares]
    upper = np.array([share.upper for share in shares]) - estimates
    middle = np.array(left) + shift * np.array(width)
    axes.bar(
        middle,
        estimates,
        0.36 * np.array(width),
        label=name,
        facecolor=group.color if not group.hatch else "white",
        edgecolor=group.color,
        hatch=group.hatch,
        linewidth=0.8,
    )
    axes.errorbar(
        middle,
        estimates,
        yerr=[lower, upper],
        fmt="none",
        ecolor="0.3",
        elinewidth=0.8,
        capsize=1.5,
    )


def _tell_unscored(axes: Axes, curves: Sequence[Curve], visited: Sequence[float]) -> None:
    unscored = np.mean([c.unscored[_last_within(c, f)] for c in curves for f in visited])
    text = f"{100 * unscored:.1f} % of resamples unscored: they count against"
    axes.text(0.99, 0.03, text, transform=axes.transAxes, ha="right", color=QUIET, fontsize=6)


def _thinned(edges: Sequence[float]) -> list[str]:
    """Label the edges that have room: two labels stand at least .08 apart."""
    labels, last = [], -1.0
    for edge in edges:
        shown = edge - last >= 0.08
        labels.append(f"{edge:g}" if shown else "")
        last = edge if shown else last
    return labels


def _say_nothing(axes: Axes) -> None:
    axes.text(
        0.5,
        0.5,
        "no scored answer with a truth",
        transform=axes.transAxes,
        ha="center",
        color=QUIET,
    )
