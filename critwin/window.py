"""Windows: intervals of levels in which agreement jumps; a rule says what counts."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, TypeAlias

import pyarrow as pa

from critwin.changes import Sought
from critwin.curve import MeasuredCurve
from critwin.feature import UNSCORED
from critwin.protocol import Protocol
from critwin.records import VERDICTS, WINDOWS

Direction: TypeAlias = Literal["rise", "fall"]


@dataclass(frozen=True)
class Window:
    """A stretch [position_start, position_end] of a curve that a rule calls a window.

    It owns the tokens position_start + 1 .. position_end (counted from 1).

    Attributes:
        original_id: The original it was found in.
        label: The label whose probability jumps.
        rule: Name of the rule that found it.
        direction: Whether the probability rises or falls from start to end.
        position_start: Tokens kept at the less-kept end.
        position_end: Tokens kept at the more-kept end, > position_start.
        place_lower: Least position at which the jump may begin.
        place_upper: Greatest position at which it may end.
        jump: Change of the probability from start to end, in [-1, 1].
        jump_lower: Lower end of its 95 % interval, joint over all jumps that the rule compared.
        jump_upper: Upper end of it.
        length: Tokens of the original.
        alive_before: Labels still alive on the plateau before the window, most probable first;
            None for rules that do not look at them.
        alive_after: Labels still alive on the plateau after it.
    """

    original_id: str
    label: str
    rule: str
    direction: Direction
    position_start: int
    position_end: int
    place_lower: int
    place_upper: int
    jump: float
    jump_lower: float
    jump_upper: float
    length: int
    alive_before: tuple[str, ...] | None = None
    alive_after: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The shortest stretch that carries a rise above c, l*(c) = min{e - s : p_e - p_s > c}.

    None stands for infinity: no stretch carries one.

    Attributes:
        estimate: Of the estimated curve.
        lower: No shorter stretch can carry such a rise.
        upper: The shortest stretch that certainly carries one.
    """

    estimate: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a rule can say about one label of one original and one direction, with confidence.

    Everything in it and in the windows beside it holds at once with 95 % confidence.

    Attributes:
        original_id: The original.
        label: The label.
        rule: Name of the rule.
        direction: Whether it is about rises or falls.
        threshold: Changes strictly above it are asked for.
        max_width: Over at most this width; infinite for any.
        unit: What the width is in.
        verdict: `window`: some change is certainly above the threshold; `none`: certainly none is;
            `undecided`: the draws do not tell, or positions were left out.
        windows: Windows that were certified.
        change: Largest change of the estimated curve, in [0, 1].
        change_lower: The largest change is at least this.
        change_upper: No change over a stretch that was looked at is larger.
        pairs: Pairs of positions that the intervals are joint over.
        left_out: Pairs that cannot change by more than the threshold, by their surprisal.
        everywhere: Whether every position was looked at.
        scale: l*(threshold) in `tokens`, `fraction` and `nats`, for a rule that asks for it.
        paper: Chance that the paper's rule fires on this curve, by name of the column.
    """

    original_id: str
    label: str
    rule: str
    direction: Direction
    threshold: float
    max_width: float
    unit: str
    verdict: Literal["window", "none", "undecided"]
    windows: int
    change: float
    change_lower: float
    change_upper: float
    pairs: int
    left_out: int
    everywhere: bool
    scale: Mapping[str, Scale] | None = None
    paper: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Findings:
    """What a rule found in one original.

    Attributes:
        windows: The windows, by position.
        verdicts: What it can say with confidence; empty for a rule that promises nothing.
    """

    windows: list[Window]
    verdicts: list[Verdict]


class WindowRule(ABC):
    """Finds windows in a curve. Subclasses are frozen dataclasses, one file each in `windows/`.

    Attributes:
        fractions: Fractions kept whose neighbouring pairs are compared; empty for a rule that
            looks at all positions.
    """

    fractions: tuple[float, ...]

    @property
    def sought(self) -> Sought | None:
        """What forks can be aimed at; None for a rule that certifies no windows."""
        return None

    @abstractmethod
    def check(self, protocol: Protocol) -> None:
        """Refuse a protocol that does not visit what the rule looks at.

        Raises:
            ParameterError: The rule contradicts the protocol; the message says how.
        """

    @abstractmethod
    def find(self, curve: MeasuredCurve) -> list[Window]:
        """Give the windows of a curve, by position; an empty list is an answer, not an error."""

    def judge(self, curves: Sequence[MeasuredCurve]) -> Findings:
        """Give what the rule finds in one original, and what it can say with confidence.

        Args:
            curves: The curves of all labels of the original, one estimator; a rule about its own
                label looks at that one, and finds nothing where it could not be read.
        """
        own = [curve for curve in curves if curve.own and curve.label != UNSCORED]
        return Findings([window for curve in own for window in self.find(curve)], [])


def find_all(curves: Sequence[MeasuredCurve], rule: WindowRule) -> Findings:
    """Ask a rule about every original, by all the curves of it.

    Args:
        curves: Curves of originals, those of one original and estimator in one piece.
        rule: What counts as a window.
    """
    windows: list[Window] = []
    verdicts: list[Verdict] = []
    for _, own in groupby(curves, key=lambda curve: (curve.original_id, curve.estimator)):
        found = rule.judge(list(own))
        windows += found.windows
        verdicts += found.verdicts
    return Findings(windows, verdicts)


def windows_table(windows: Sequence[Window], tokens: Mapping[str, Sequence[str]]) -> pa.Table:
    """Put windows into the windows table.

    Args:
        windows: The windows found.
        tokens: Text of each token of each original, by original_id.
    """
    rows = [
        {
            "original_id": w.original_id,
            "label": w.label,
            "rule": w.rule,
            "direction": w.direction,
            "position_start": w.position_start,
            "position_end": w.position_end,
            "place_lower": w.place_lower,
            "place_upper": w.place_upper,
            "t_start": 1 - w.position_start / w.length,
            "t_end": 1 - w.position_end / w.length,
            "jump": w.jump,
            "jump_lower": w.jump_lower,
            "jump_upper": w.jump_upper,
            "tokens": w.position_end - w.position_start,
            "text": "".join(tokens[w.original_id][w.position_start : w.position_end]),
            "time_before": None,
            "time_after": None,
            "plateau": None,
            "alive_before": w.alive_before,
            "alive_after": w.alive_after,
        }
        for w in windows
    ]
    return pa.Table.from_pylist(rows, schema=WINDOWS)


def verdicts_table(verdicts: Sequence[Verdict]) -> pa.Table:
    """Put verdicts into the verdicts table."""
    return pa.Table.from_pylist([_verdict_row(v) for v in verdicts], schema=VERDICTS)


def _verdict_row(v: Verdict) -> dict[str, object]:
    names = [name for name in VERDICTS.names if hasattr(v, name)]
    row = {name: getattr(v, name) for name in names}
    row["max_width"] = v.max_width if math.isfinite(v.max_width) else None
    for unit, scale in (v.scale or {}).items():
        row[f"scale_{unit}"] = scale.estimate
        row[f"scale_{unit}_lower"], row[f"scale_{unit}_upper"] = scale.lower, scale.upper
    return row | dict(v.paper or {})
