"""Figures of a benchmark: the ratios with their spread, and where the time goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from critwin.drawing import BLUE, DOUBLE, ORANGE, QUIET, SKY, YELLOW, drawing, percent, save
from experiments.benchmarking.tables import METHODS, RATIOS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = BLUE
PARTS = {
    "the model": (BLUE, ""),
    "around the model": (YELLOW, ""),
    "paths": (SKY, "////"),
    "forks": (BLUE, ""),
    "labels": (ORANGE, "...."),
    "planning": (YELLOW, "xxxx"),
    "intervals": ("0.6", "\\\\\\\\"),
}
"""Colour and hatch of each part of a method's time."""


def ratio_figure(summary: Mapping[str, Any]) -> Figure:
    """Draw each ratio of the summary with its least and greatest, on a logarithmic axis."""
    shown = [name for name in reversed(RATIOS) if "share" not in name and summary[name] is not None]
    with drawing(DOUBLE, 0.28 * len(shown) + 0.75) as figure:
        axes = figure.add_subplot()
        for at, name in enumerate(shown):
            middle, low, high = (summary[f"{name}{end}"] for end in ("", "_min", "_max"))
            axes.plot([low, high], [at, at], color=INK, linewidth=3, alpha=0.35)
            axes.plot([middle], [at], color=INK, marker="o")
            axes.annotate(
                f"{middle:.3g}", (high, at), (5, 0), textcoords="offset points", va="center"
            )
        axes.set_yticks(range(len(shown)), [RATIOS[name] for name in shown])
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.set_xscale("log")
        axes.set_xlim(0.8, 2 * max(summary[f"{name}_max"] for name in shown))
        axes.set_xlabel("ratio")
        rounds = len(summary["rounds"])
        note = f"point: median; bar: least and greatest of {rounds} rounds"
        axes.set_title(note, color=QUIET, fontsize=6.5)
    return figure


def time_figure(summary: Mapping[str, Any]) -> Figure:
    """Draw the share of its time that each method spends in each part of its work."""
    bars = _bars(summary)
    with drawing(DOUBLE, 0.32 * len(bars) + 0.95) as figure:
        axes = figure.add_subplot()
        for at, shares in enumerate(bars.values()):
            left = 0.0
            for part, share in shares.items():
                colour, hatch = PARTS[part]
                axes.barh(
                    at, share, left=left, height=0.62, color=colour, hatch=hatch, edgecolor="white"
                )
                left += share
        for part in (p for p in PARTS if any(p in shares for shares in bars.values())):
            colour, hatch = PARTS[part]
            axes.barh(0, 0, color=colour, hatch=hatch, edgecolor="white", label=part)
        axes.set_yticks(range(len(bars)), list(bars))
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(percent)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("share of the time")
        figure.legend(loc="outside upper center", ncols=len(PARTS), handlelength=1.4)
    return figure


def write_figures(summary: Mapping[str, Any], folder: Path) -> None:
    """Write the figures of a summary as PDF and PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    save(ratio_figure(summary), folder / "ratios")
    save(time_figure(summary), folder / "time")


def _bars(summary: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Give the shares of each method's time, by part."""
    bars = {}
    for name, words in METHODS.items():
        method = summary["methods"][name]
        if method is not None and method["forward_share"] is not None:
            inside = method["forward_share"]
            bars[words] = {"the model": inside, "around the model": 1 - inside}
    for found in summary["precision"].values():
        stages = {name: spread["median"] for name, spread in found["forks"]["stages"].items()}
        total = sum(stages.values())
        wanted = f"{found['wanted']:.2f}".removeprefix("0")
        bars[f"D  forks, half-width {wanted}"] = {
            part: stages[part] / total for part in PARTS if part in stages
        }
    return bars
