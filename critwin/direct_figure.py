"""Direct answers beside resamples, as the paper's Figure 11 shows them, and their calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from critwin.drawing import DOUBLE, QUIET, drawing, percent, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES = (
    ("resampled", "resampled", "#0072B2", "-", "o"),
    ("direct", "asked directly", "#C24E00", "--", "s"),
)


def direct_figure(summary: Mapping[str, Any]) -> Figure:
    """Draw agreement over the share kept, and direct agreement by resampled agreement.

    Args:
        summary: What `summarise_direct` gave.

    Returns:
        Double-column figure; bands and bars are 95 % over problems.
    """
    with drawing(DOUBLE, 2.6) as figure:
        left, right = figure.subplots(1, 2)
        _draw_curves(left, summary["by_fraction"])
        _draw_bins(right, summary["calibration"]["bins"])
    return figure


def write_direct_figure(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write `direct_answer` as PDF and PNG into a run's folder of figures."""
    save(direct_figure(summary), folder / "direct_answer")


def _draw_curves(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    kept = [row["kept"] for row in rows]
    for name, text, color, line, marker in STYLES:
        values = [row[name] for row in rows]
        axes.plot(
            kept,
            [v["estimate"] for v in values],
            color=color,
            linestyle=line,
            marker=marker,
            label=text,
        )
        axes.fill_between(
            kept,
            [v["lower"] for v in values],
            [v["upper"] for v in values],
            color=color,
            alpha=0.15,
            linewidth=0,
        )
    axes.set(xlim=(0, 1.01), ylim=(0, 1.01), xticks=np.linspace(0, 1, 6))
    axes.set_xlabel("share of the answer that is kept")
    axes.set_ylabel("agree with the final answer")
    axes.yaxis.set_major_formatter(percent)
    axes.legend(loc="lower right")
    axes.set_title("mean; bands: 95 % over problems", color=QUIET, fontsize=6.5)


def _draw_bins(axes: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    axes.plot([0, 1], [0, 1], color=QUIET, linestyle=":", linewidth=0.8)
    for one in bins:
        x, y = one["resampled"]["estimate"], one["direct"]
        ends = [[y["estimate"] - y["lower"]], [y["upper"] - y["estimate"]]]
        axes.errorbar([x], [y["estimate"]], yerr=ends, color="#C24E00", marker="s", capsize=2)
        axes.annotate(
            f"{y['n']}",
            (x, y["estimate"]),
            xytext=(4, -8 if y["estimate"] > 0.5 else 4),
            textcoords="offset points",
            fontsize=6.5,
            color=QUIET,
        )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=np.linspace(0, 1, 6))
    axes.set_xlabel("resamples that agree, bins of cuts")
    axes.set_ylabel("direct answers that agree")
    axes.yaxis.set_major_formatter(percent)
    axes.xaxis.set_major_formatter(percent)
    axes.set_title("numbers: cuts; dotted: equal", color=QUIET, fontsize=6.5)
