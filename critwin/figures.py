"""Figures of a run: vector PDF and PNG, readable in print and without colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from critwin.curve import Curve
from critwin.drawing import DOUBLE, LINE_HEIGHT, QUIET, SINGLE, TextBlock, drawable, drawing, save
from critwin.records import RunDirectory
from critwin.statistics import Interval, clustered_share
from critwin.summary import nominal_fractions, own_rises, window_cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class _Group:
    """How right or wrong answers are drawn: colour, line, marker and hatch all differ."""

    name: str
    correct: bool
    color: str
    line: str
    marker: str
    hatch: str


GROUPS = (
    _Group("right", True, "#0072B2", "-", "o", ""),
    _Group("wrong", False, "#C24E00", "--", "s", "/////"),
)
WINDOW = "#F6CF71"


def mean_curves(curves: Sequence[Curve], originals: pd.DataFrame) -> Figure:
    """Draw mean own-label agreement over the share kept, for right and wrong originals.

    Args:
        curves: Curves of a run; own labels are drawn, each resample weighing the same.
        originals: Columns original_id, problem_id, correct of the originals table.

    Returns:
        Single-column figure; bands are 95 % intervals over problems at each fraction.
    """
    own = {curve.original_id: curve for curve in curves if curve.own}
    fractions = nominal_fractions(curves) or tuple(tenth / 10 for tenth in range(10))
    with drawing(SINGLE, 2.5) as figure:
        axes = figure.add_subplot()
        drawn = []
        for group in GROUPS:
            members = _members(originals, group, own)
            if len(members):
                means = [_mean_at(fraction, members, own) for fraction in fractions]
                _draw_mean(axes, group, fractions, means)
                drawn.append((group, members, means))
        heights = [float(np.mean([mean.estimate for mean in means])) for _, _, means in drawn]
        for (group, members, means), height in zip(drawn, heights, strict=True):
            _name_mean(axes, group, members, fractions, means, above=height == max(heights))
        axes.set(xlim=(0, 1.01), ylim=(0, 1.01), xticks=np.linspace(0, 1, 6))
        axes.set_xlabel("share of the answer that is kept")
        axes.set_ylabel("resamples that agree with it")
        axes.yaxis.set_major_formatter(_percent)
        axes.set_title("mean; bands: 95 % over problems", color=QUIET, fontsize=6.5)
        if drawn:
            _tell_unscored(
                axes, [own[i] for _, members, _ in drawn for i in members["original_id"]]
            )
        else:
            _say_nothing(axes)
    return figure


def window_positions(
    windows: pd.DataFrame, curves: Sequence[Curve], originals: pd.DataFrame
) -> Figure:
    """Draw the share of right and of wrong originals with a window in each cell of the grid.

    Args:
        windows: The windows table; rises of own labels are drawn.
        curves: Curves of the run, for the cells.
        originals: The originals table.

    Returns:
        Single-column figure; bars reach over their cells, error bars are 95 % over problems.
    """
    own = {curve.original_id: curve for curve in curves if curve.own}
    rising = own_rises(windows, originals)
    edges, cell = window_cells(rising, curves)
    with drawing(SINGLE, 2.4) as figure:
        axes = figure.add_subplot()
        top, compared = 0.0, _compared(cell, len(edges) - 1)
        for number in set(range(len(edges) - 1)) - set(compared):
            axes.axvspan(edges[number], edges[number + 1], color="0.93", linewidth=0, zorder=0)
        for shift, group in zip((0.32, 0.68), GROUPS, strict=True):
            members = _members(originals, group, own)
            if len(members):
                shares = [_share_with(rising[cell == number], members) for number in compared]
                count = int(rising["original_id"].isin(members["original_id"]).sum())
                name = f"{group.name}: {count} windows in {len(members)} answers"
                left = [edges[number] for number in compared]
                width = [edges[number + 1] - edges[number] for number in compared]
                _draw_shares(axes, group, left, width, shares, shift=shift, name=name)
                top = max(top, *(share.upper for share in shares))
        axes.set(xlim=(0, 1), ylim=(0, 1.3 * top or 1.0), xticks=edges)
        axes.set_xticklabels(_thinned(edges))
        axes.grid(visible=False, axis="x")
        axes.set_xlabel("share of the answer that is kept")
        axes.set_ylabel("answers with a window there")
        axes.yaxis.set_major_formatter(_percent)
        note = "error bars: 95 % over problems; grey: not compared"
        axes.set_title(note, color=QUIET, fontsize=6.5)
        if top:
            axes.legend(loc="upper left", handlelength=1.6, borderaxespad=0.1)
        else:
            _say_nothing(axes)
    return figure


def trajectory(original: Mapping[str, Any], curve: Curve, windows: pd.DataFrame) -> Figure:
    """Draw one original: its curve with interval, its windows shaded, its text under the axis.

    Args:
        original: A row of the originals table.
        curve: The curve of its own label.
        windows: Rows of the windows table that belong to it.

    Returns:
        Double-column figure; the band is the pointwise 95 % interval of each value. Small numbers
        in the text are the positions at which it was cut.
    """
    ends = windows[["position_start", "position_end"]]
    spans = [(int(start), int(end)) for start, end in ends.to_numpy()]
    tokens, width = [str(token) for token in original["tokens"]], DOUBLE - 0.12
    text = TextBlock.of(tokens, around=spans[0][0] if spans else 0, width=width)
    block = text.lines * LINE_HEIGHT
    height = block + 2.25
    with drawing(DOUBLE, height, constrained=False) as figure:
        below = figure.add_axes((0.06 / DOUBLE, 0.04 / height, width / DOUBLE, block / height))
        text.draw(below, marked=spans, color=WINDOW, cuts=[int(p) for p in curve.position[1:-1]])
        left, bottom = 0.62, block + 0.5
        axes = figure.add_axes(
            (
                left / DOUBLE,
                bottom / height,
                (width - left) / DOUBLE,
                (height - bottom - 0.34) / height,
            )
        )
        _draw_curve(axes, curve)
        for window in windows.to_dict("records"):
            _draw_window(axes, window, curve.length)
        verdict = {True: "right", False: "wrong"}.get(original["correct"], "no verdict")
        title = f"answer {drawable(str(original['label']))}: {verdict}"
        axes.set_title(title, parse_math=False, pad=12)
        note = f"band: pointwise 95 %, {int(curve.trials.max())} resamples per cut; [ ]: joint 95 %"
        axes.set_title(note, loc="right", color=QUIET, fontsize=6.5, pad=12)
        axes.set_xlabel("tokens kept")
        axes.set_ylabel("resamples that agree")
    return figure


def write_figures(run: Path) -> list[Path]:
    """Write the figures of a run whose curves and windows stand into its `figures/`.

    The same records give the same bytes. Besides the two figures over all originals, the original
    with the largest jump gets one of its own.

    Args:
        run: The run directory.

    Returns:
        The files written, a PDF and a PNG of each figure.

    Raises:
        RecordsError: A table is missing or damaged.
    """
    directory = RunDirectory(run)
    originals = directory.read("originals").to_pandas()
    windows = directory.read("windows").to_pandas()
    curves = read_curves(directory.read("curves").to_pandas())
    figures = {
        "mean_curves": mean_curves(curves, originals),
        "window_positions": window_positions(windows, curves, originals),
    }
    rising = own_rises(windows, originals)
    if len(rising):
        largest = rising.sort_values(["jump", "original_id"], ascending=[False, True]).iloc[0]
        chosen = str(largest["original_id"])
        figures["trajectory"] = trajectory(
            originals[originals["original_id"] == chosen].iloc[0].to_dict(),
            next(c for c in curves if c.own and c.original_id == chosen),
            rising[rising["original_id"] == chosen],
        )
    folder = run / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    return [path for name, figure in figures.items() for path in save(figure, folder / name)]


def read_curves(table: pd.DataFrame) -> list[Curve]:
    """Turn the curves table back into curves."""
    return [
        Curve(
            original_id=str(rows["original_id"].iloc[0]),
            label=str(rows["label"].iloc[0]),
            own=bool(rows["own"].iloc[0]),
            estimator=rows["estimator"].iloc[0],
            length=int(rows["position"].iloc[-1]),
            position=rows["position"].to_numpy(np.int64),
            agreement=rows["agreement"].to_numpy(np.float64),
            lower=rows["lower"].to_numpy(np.float64),
            upper=rows["upper"].to_numpy(np.float64),
            trials=rows["trials"].to_numpy(np.int64),
            unscored=rows["unscored"].to_numpy(np.float64),
        )
        for _, rows in table.groupby(["original_id", "estimator", "label"], sort=False)
    ]


def _members(originals: pd.DataFrame, group: _Group, own: Mapping[str, Curve]) -> pd.DataFrame:
    verdicts = originals["correct"].astype(object)
    of_group = verdicts.map(lambda value: value is group.correct).astype(bool)
    return originals[of_group & originals["original_id"].isin(own)]


def _mean_at(fraction: float, members: pd.DataFrame, own: Mapping[str, Curve]) -> Interval:
    rows = []
    for original_id, problem_id in zip(members["original_id"], members["problem_id"], strict=True):
        curve = own[original_id]
        at = max(int(np.searchsorted(curve.kept, fraction + 1e-9, side="right")) - 1, 0)
        trials = max(float(curve.trials[at]), 1.0)
        rows.append((problem_id, curve.agreement[at] * trials, trials))
    frame = pd.DataFrame(rows, columns=["problem_id", "hits", "trials"])
    sums = frame.groupby("problem_id").sum()
    share = clustered_share(sums["hits"], sums["trials"])
    assert share is not None
    return share


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


def _name_mean(
    axes: Axes,
    group: _Group,
    members: pd.DataFrame,
    fractions: Sequence[float],
    means: Sequence[Interval],
    *,
    above: bool,
) -> None:
    at = len(fractions) // 2
    axes.annotate(
        f"{group.name}: {len(members)} answers,\n{members['problem_id'].nunique()} problems",
        (fractions[at], means[at].upper if above else means[at].lower),
        xytext=(0, 3) if above else (4, -4),
        textcoords="offset points",
        ha="center" if above else "left",
        va="bottom" if above else "top",
        color=group.color,
        fontsize=7,
    )


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


def _tell_unscored(axes: Axes, curves: Sequence[Curve]) -> None:
    trials = sum(int(curve.trials.sum()) for curve in curves)
    unscored = sum(float(curve.unscored @ curve.trials) for curve in curves) / max(trials, 1)
    text = f"{100 * unscored:.1f} % of resamples unscored: they count against"
    axes.text(0.99, 0.03, text, transform=axes.transAxes, ha="right", color=QUIET, fontsize=6)


def _draw_curve(axes: Axes, curve: Curve) -> None:
    color = GROUPS[0].color
    axes.fill_between(curve.position, curve.lower, curve.upper, color=color, alpha=0.2, linewidth=0)
    axes.plot(curve.position, curve.agreement, color=color, marker="o", clip_on=False)
    axes.set(xlim=(0, curve.length), ylim=(0, 1.01))
    axes.yaxis.set_major_formatter(_percent)


def _draw_window(axes: Axes, window: Mapping[Any, Any], length: int) -> None:
    start, end = window["position_start"], window["position_end"]
    axes.axvspan(start, end, color=WINDOW, linewidth=0, zorder=0)
    middle = (start + end) / 2
    side = "left" if middle < 0.15 * length else "right" if middle > 0.85 * length else "center"
    axes.text(
        {"left": start, "center": middle, "right": end}[side],
        1.03,
        f"window {window['jump']:+.2f} [{window['jump_lower']:.2f}, {window['jump_upper']:.2f}]",
        ha=side,
        va="bottom",
    )


def _percent(value: float, _: float) -> str:
    return f"{100 * value:.0f} %"


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
