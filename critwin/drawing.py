"""How figures are drawn: one style, two widths, the same bytes from the same data.

matplotlib is imported inside the functions, and pyplot never: nothing global is touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SINGLE, DOUBLE = 3.3, 6.9
"""Widths of a single and a double column, in inches."""

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.labelsize": 7.5,
    "axes.titlesize": 7.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "pdf.fonttype": 42,
}

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#C24E00", "#009E73", "#CC79A7"
SKY, OLIVE, YELLOW, PURPLE = "#56B4E9", "#8C6D00", "#F6CF71", "#7B4FA3"
"""Colours that colour-blind readers tell apart, and that differ in grey; never the only sign."""

SERIES: tuple[tuple[str, str, str], ...] = (
    *((BLUE, "-", "o"), (ORANGE, "--", "s"), (GREEN, "-.", "^"), (PURPLE, ":", "D")),
    *((SKY, "-", "v"), (OLIVE, "--", "P"), (PINK, "-.", "X"), ("0.45", ":", "*")),
)
"""Colour, line and mark of the first, second, ... of several things drawn on one pair of axes."""

QUIET = "0.35"
"""Grey of notes and labels that are not data."""

MONOSPACE = "DejaVu Sans Mono"
"""Comes with matplotlib."""


@contextmanager
def drawing(width: float, height: float, *, constrained: bool = True) -> Iterator[Figure]:
    """Give an empty figure of a size in inches, to be drawn on in the project's style.

    Args:
        width: In inches.
        height: In inches.
        constrained: Whether matplotlib places the axes, so that nothing overlaps.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained" if constrained else None)
        FigureCanvasAgg(figure)
        yield figure


def save(figure: Figure, path: Path) -> tuple[Path, Path]:
    """Write a figure as PDF and PNG (200 dots per inch); no date or version is put into them."""
    import matplotlib

    pdf, png = path.with_suffix(".pdf"), path.with_suffix(".png")
    with matplotlib.rc_context(STYLE):
        figure.savefig(pdf, metadata={"CreationDate": None, "Creator": None, "Producer": None})
        figure.savefig(png, dpi=200, metadata={"Software": None})
    return pdf, png


def drawable(text: str) -> str:
    """Replace what the fonts cannot draw: line breaks by an arrow, unknown characters by a box."""
    known = _characters()
    shown = text.replace("\n", "↵").replace("\t", " ")
    return "".join(c if ord(c) in known else "□" for c in shown)


@cache
def _characters() -> frozenset[int]:
    from matplotlib import font_manager

    path = font_manager.findfont(MONOSPACE, fallback_to_default=False)
    return frozenset(font_manager.get_font(path).get_charmap())


def percent(value: float, _: float) -> str:
    """Label a tick of an axis of shares."""
    return f"{100 * value:.0f} %"
