"""Figures of runs on pictures: agreement over the reverse steps, and the pictures themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from critwin.drawing import DOUBLE, QUIET, SINGLE, drawing, percent, save
from critwin.feature import UNSCORED
from critwin.picture import PictureSampler
from critwin.picture_records import image_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072B2", "#C24E00", "#009E73", "#7B4FA3", "#8A6D00", "#5B5B5B")
STYLES = (("-", "o"), ("--", "s"), ("-.", "^"), (":", "D"))

AGREES, DIFFERS = "#009E73", "#C24E00"
"""Frames of pictures whose label is that of the original, or another."""


@dataclass(frozen=True)
class MeanLine:
    """Averaged agreement over the levels.

    Attributes:
        name: For the legend.
        means: As `mean_agreement` gives it.
    """

    name: str
    means: pd.DataFrame


def agreement_figure(
    lines: Sequence[MeanLine],
    *,
    last: int,
    classes: Sequence[MeanLine] = (),
    marks: Mapping[str, float] | None = None,
) -> Figure:
    """Draw averaged agreement over the reverse steps that are taken as done.

    Args:
        lines: Averages over all originals.
        last: Reverse steps; there everything is kept, and agreement is 1.
        classes: Averages over the originals of each class, in a second panel; none: one panel.
        marks: Levels to be marked by a vertical line, by name.
    """
    with drawing(DOUBLE if classes else SINGLE, 2.6) as figure:
        every = figure.subplots(1, 2 if classes else 1, squeeze=False, sharey=True)[0]
        _draw_lines(every[0], lines, last)
        if classes:
            _draw_classes(every[1], classes, last)
        for axes in every:
            for name, level in (marks or {}).items():
                axes.axvline(level, color="0.45", linewidth=0.8, linestyle=(0, (4, 2)))
                axes.annotate(
                    name,
                    (level, 0.03),
                    xytext=(3, 0),
                    textcoords="offset points",
                    fontsize=6,
                    color=QUIET,
                    rotation=90,
                    va="bottom",
                )
            axes.set(xlim=(0, last), ylim=(0, 1.02))
            axes.set_xlabel("reverse steps taken as done")
            axes.yaxis.set_major_formatter(percent)
        every[0].set_ylabel("resamples that agree")
        every[0].set_title("mean over originals; bars: 95 %", color=QUIET, fontsize=6.5)
        if classes:
            every[1].set_title("by class of the original", color=QUIET, fontsize=6.5)
    return figure


def _draw_lines(axes: Axes, lines: Sequence[MeanLine], last: int) -> None:
    for number, line in enumerate(lines):
        style, marker = STYLES[number % len(STYLES)]
        color = COLORS[number % len(COLORS)]
        at, middle = _with_end(line.means, last)
        lower, upper = (np.append(line.means[name], 1.0) for name in ("lower", "upper"))
        bars = [np.maximum(middle - lower, 0), np.maximum(upper - middle, 0)]
        axes.errorbar(
            at,
            middle,
            yerr=bars,
            color=color,
            linestyle=style,
            marker=marker,
            markerfacecolor="white",
            elinewidth=0.7,
            capsize=1.2,
            label=line.name,
        )
    axes.legend(loc="lower right")


def _draw_classes(axes: Axes, classes: Sequence[MeanLine], last: int) -> None:
    for number, line in enumerate(classes):
        at, middle = _with_end(line.means, last)
        style = STYLES[number // len(COLORS) % len(STYLES)][0]
        color = COLORS[number % len(COLORS)]
        axes.plot(at, middle, color=color, linestyle=style, linewidth=1, label=line.name)
    axes.legend(loc="lower right", ncols=2, handlelength=1.6, columnspacing=0.8)


def _with_end(means: pd.DataFrame, last: int) -> tuple[np.ndarray, np.ndarray]:
    return np.append(means["position"], last), np.append(means["agreement"], 1.0)


def picture_grid(pictures: pd.DataFrame, sampler: PictureSampler, *, shown: int) -> Figure | None:
    """Draw originals and one resample of each from each level; None where none were kept.

    Args:
        pictures: The pictures table.
        sampler: Gives the timesteps.
        shown: Originals at most, of as many labels as there are.
    """
    kept = pictures[pictures["replicate"].fillna(0) == 0]
    levels = sorted(int(p) for p in kept["position"].dropna().unique())
    if not levels:
        return None
    own = kept[kept["position"].isna()]
    read = own[own["label"] != UNSCORED]
    own = own if read.empty else read
    # one of each label first, in the order of the originals
    rank = own.groupby("label").cumcount()
    chosen = own.assign(rank=rank).sort_values("rank", kind="stable").head(shown)
    names = sorted(chosen["original_id"])
    columns = [*levels, None]
    cell = DOUBLE / (len(columns) + 0.6)
    with drawing(DOUBLE, cell * 1.18 * len(names) + 0.35) as figure:
        every = figure.subplots(len(names), len(columns), squeeze=False)
        for row, name in zip(every, names, strict=True):
            mine = kept[kept["original_id"] == name].set_index("position", drop=False)
            label = mine.loc[mine["position"].isna(), "label"].iloc[0]
            for axes, level in zip(row, columns, strict=True):
                at = mine["position"].isna() if level is None else mine["position"] == level
                found = mine[at].iloc[0]
                _show(axes, found["png"], str(found["label"]), own=found["label"] == label)
        for axes, level in zip(every[0], columns, strict=True):
            text = "original" if level is None else f"{level}\n(t {sampler.timestep(level):.4g})"
            axes.set_title(text, fontsize=6, color=QUIET, loc="center")
        figure.supxlabel(
            "reverse steps taken as done (scheduler's timestep); below: the label, in colour where "
            "it is the original's or another, grey where it cannot be read",
            fontsize=6,
            color=QUIET,
        )
    return figure


def _show(axes: Axes, png: bytes, label: str, *, own: bool) -> None:
    image = image_of(png)
    grey = image.shape[2] == 1
    shown = image[..., 0] if grey else image
    axes.imshow(shown, cmap="gray" if grey else None, vmin=0, vmax=255, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    color = QUIET if label == UNSCORED else AGREES if own else DIFFERS
    for spine in axes.spines.values():
        spine.set(visible=True, color=color, linewidth=1.2, linestyle="-" if own else "--")
    axes.set_xlabel(label if len(label) <= 14 else f"{label[:13]}…", fontsize=6, color=color)
    axes.grid(visible=False)


def write_figure(figure: Figure, run: Path, name: str) -> None:
    """Save a figure into a run's `figures/`."""
    folder = run / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    save(figure, folder / name)
