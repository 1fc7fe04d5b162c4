"""The figure of one original: its curve, its windows, and its text under the axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from critwin.curve import Curve
from critwin.drawing import BLUE, DOUBLE, MONOSPACE, QUIET, YELLOW, drawable, drawing, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVE, WINDOW = BLUE, YELLOW

_TEXT_SIZE = 7.0
_ADVANCE = 0.60205  # width of every character of DejaVu Sans Mono, in units of its size
LINE_HEIGHT = 0.19
"""Height of one line of a text block, in inches."""


def trajectory(original: Mapping[str, Any], curve: Curve, windows: pd.DataFrame) -> Figure:
    """Draw one original: its curve with interval, its windows shaded, its text under the axis.

    Args:
        original: A row of the originals table.
        curve: The curve of its own label.
        windows: Rows of the windows table that belong to it.

    Returns:
        Double-column figure; the band is the pointwise 95 % interval of each value. Small numbers
        in the text are the positions at which it was cut, or every tenth one where the curve has a
        value everywhere.
    """
    ends = windows[["position_start", "position_end"]]
    spans = [(int(start), int(end)) for start, end in ends.to_numpy()]
    tokens, width = [str(token) for token in original["tokens"]], DOUBLE - 0.12
    text = TextBlock.of(tokens, around=spans[0][0] if spans else 0, width=width)
    block = text.lines * LINE_HEIGHT
    height = block + 2.25
    with drawing(DOUBLE, height, constrained=False) as figure:
        below = figure.add_axes((0.06 / DOUBLE, 0.04 / height, width / DOUBLE, block / height))
        cuts = [int(p) for p in curve.position[10 if curve.everywhere else 1 : -1]]
        text.draw(below, marked=spans, color=WINDOW, cuts=cuts[:: 10 if curve.everywhere else 1])
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
        draws = "forks" if curve.estimator == "forks" else "resamples per cut"
        note = f"band: pointwise 95 %, {int(curve.trials.max())} {draws}; [ ]: joint 95 %"
        axes.set_title(note, loc="right", color=QUIET, fontsize=6.5, pad=12)
        axes.set_xlabel("tokens kept")
        axes.set_ylabel("resamples that agree")
    return figure


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
                family=MONOSPACE,
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


def _draw_curve(axes: Axes, curve: Curve) -> None:
    axes.fill_between(curve.position, curve.lower, curve.upper, color=CURVE, alpha=0.2, linewidth=0)
    marker = "" if curve.everywhere else "o"
    axes.plot(curve.position, curve.agreement, color=CURVE, marker=marker, clip_on=False)
    axes.set(xlim=(0, curve.length), ylim=(0, 1.01))
    axes.yaxis.set_major_formatter(percent)


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
