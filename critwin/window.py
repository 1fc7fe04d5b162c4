"""Windows: intervals of levels in which agreement jumps; a rule says what counts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from critwin.curve import MeasuredCurve
from critwin.protocol import Protocol
from critwin.records import WINDOWS


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
    """

    original_id: str
    label: str
    rule: str
    direction: Literal["rise", "fall"]
    position_start: int
    position_end: int
    place_lower: int
    place_upper: int
    jump: float
    jump_lower: float
    jump_upper: float
    length: int


class WindowRule(ABC):
    """Finds windows in a curve. Subclasses are frozen dataclasses, one file each in `windows/`.

    Attributes:
        fractions: Fractions kept whose neighbouring pairs are compared; empty for a rule that
            looks at all positions.
    """

    fractions: tuple[float, ...]

    @abstractmethod
    def check(self, protocol: Protocol) -> None:
        """Refuse a protocol that does not visit what the rule looks at.

        Raises:
            ParameterError: The rule contradicts the protocol; the message says how.
        """

    @abstractmethod
    def find(self, curve: MeasuredCurve) -> list[Window]:
        """Give the windows of a curve, by position; an empty list is an answer, not an error."""


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
        }
        for w in windows
    ]
    return pa.Table.from_pylist(rows, schema=WINDOWS)
