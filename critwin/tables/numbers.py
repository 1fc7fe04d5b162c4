"""How a number of a table is written, in every form the same digits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

MISSING = "\N{EN DASH}"
"""Stands where a run has nothing."""


@dataclass(frozen=True)
class Cell:
    """A cell, before it is written in any form.

    Attributes:
        text: What a text cell says; None for numbers.
        value: The number; None where there is none.
        lower: Lower end of its interval.
        upper: Upper end of it.
        digits: Digits after the point.
        missing: What stands for no number.
    """

    text: str | None = None
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    digits: int = 0
    missing: str = MISSING

    @property
    def number(self) -> str:
        """The number without its interval, as all forms show it."""
        return self.missing if self.value is None else fixed(self.value, self.digits)

    @property
    def ends(self) -> tuple[str, str] | None:
        """The ends of the interval, as all forms show them; None where there is no interval."""
        if self.lower is None and self.upper is None:
            return None
        low, high = (
            self.missing if end is None else fixed(end, self.digits)
            for end in (self.lower, self.upper)
        )
        return low, high

    @property
    def shown(self) -> str:
        """The whole cell as plain text."""
        if self.text is not None:
            return self.text
        ends = self.ends
        return self.number if ends is None else f"{self.number} [{ends[0]}, {ends[1]}]"


def fixed(value: float, digits: int) -> str:
    """Write a number with so many digits after the point, and never a zero below zero."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def finite(value: Any) -> float | None:
    """Give a number that can be written, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
