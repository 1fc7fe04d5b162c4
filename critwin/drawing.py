"""How figures are drawn: one style, two widths, and blocks of text laid out token by token.

matplotlib is imported inside the functions, and pyplot never: nothing global is touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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

QUIET = "0.35"
"""Grey of notes and labels that are not data."""

_MONOSPACE, _TEXT_SIZE = "DejaVu Sans Mono", 7.0
_ADVANCE = 0.60205  # width of every character of DejaVu Sans Mono, in units of its size
LINE_HEIGHT = 0.19
"""Height of one line of a text block, in inches."""


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

    path = font_manager.findfont(_MONOSPACE, fallback_to_default=False)
    return frozenset(font_manager.get_font(path).get_charmap())


@dataclass(frozen=True)
class TextBlock:
    """Tokens set in lines of a monospaced font, some stretches of them marked.

    Attributes:
        pieces: Line, column, text and number of each token shown.
        lines: Number of lines.
        columns: Characters that fit into a line.
    """

    pieces: tuple[tuple[int, int, str, int], ...]
    lines: int
    columns: int

    @classmethod
    def of(cls, tokens: Sequence[str], *, around: int, width: float, at_most: int = 8) -> TextBlock:
        """Lay out tokens.

        Args:
            tokens: Text of each token, length n.
            around: A token, from 0, that has to be shown where not all fit.
            width: Width of the lines, in inches.
            at_most: Lines at most.
        """
        columns = int(72 * width / (_ADVANCE * _TEXT_SIZE))
        texts = [drawable(token) for token in tokens]
        first = _first_shown(texts, around, columns * at_most)
        line, column, pieces = 0, 0, []
        if first:
            pieces.append((0, 0, "…", -1))
            column = 1
        for number in range(first, len(texts)):
            text = texts[number]
            if column + len(text) > columns and column:
                line, column, text = line + 1, 0, text.lstrip(" ")
            if line == at_most:
                last = pieces.pop()
                pieces.append((last[0], last[1], "…", -1))
                break
            pieces.append((line, column, text[:columns], number))
            column += len(text)
        return cls(tuple(pieces), pieces[-1][0] + 1 if pieces else 1, columns)

    def draw(
        self, axes: Axes, *, marked: Sequence[tuple[int, int]], color: str, cuts: Sequence[int]
    ) -> None:
        """Draw the block over the whole of `axes`.

        Args:
            axes: Axes of the block's width and of `lines` times `LINE_HEIGHT` inches.
            marked: Windows (start, end) whose tokens start + 1 .. end get a background.
            color: The background.
            cuts: Positions in tokens kept, shown as a small mark before the next token.
        """
        from matplotlib.patches import Rectangle

        axes.set(xlim=(0, self.columns), ylim=(self.lines, 0))
        axes.axis("off")
        for line, column, text, number in self.pieces:
            inside = any(start <= number < end for start, end in marked)
            if inside:
                axes.add_patch(
                    Rectangle((column, line + 0.3), len(text), 0.66, color=color, linewidth=0)
                )
            axes.text(
                column,
                line + 0.64,
                text,
                family=_MONOSPACE,
                size=_TEXT_SIZE,
                va="center_baseline",
                color="black" if inside else "0.25",
                parse_math=False,
            )
            if number in cuts:
                axes.plot(
                    [column + 0.1] * 2, [line + 0.26, line + 1.0], color="0.45", linewidth=0.6
                )
                axes.text(column + 0.4, line + 0.3, str(number), size=4.5, color=QUIET)


def _first_shown(texts: Sequence[str], around: int, room: int) -> int:
    """Give the first token to show so that `around` stands in the middle of the room."""
    if sum(map(len, texts)) <= 0.95 * room:
        return 0
    first, before = around, 0
    while first > 0 and before + len(texts[first - 1]) < room // 3:
        first -= 1
        before += len(texts[first])
    return first
