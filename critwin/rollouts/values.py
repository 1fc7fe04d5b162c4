"""Reads single values of a rollout file, and says what is wrong with those that cannot be read."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Reader = Callable[[Any], Any]
"""Gives the value, or raises ValueError with what is allowed."""


def text(value: Any) -> str:
    """Read a name; whole numbers are names too."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("a text")
    return str(value)


def whole(value: Any) -> int:
    """Read a whole number >= 0, also where it is written 3.0."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not number >= 0 or number != math.floor(number) or number > 2**31 - 1:
        raise ValueError("a whole number >= 0")
    return int(number)


def probability(value: Any) -> float:
    """Read a number in [0, 1]."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:
        raise ValueError("a number in [0, 1]")
    return number


def truth(value: Any) -> bool:
    """Read true or false, also where it is written True, FALSE, 1 or 0."""
    if isinstance(value, bool):
        return value
    read = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
    if isinstance(value, str | int | float) and str(value).strip().lower() in read:
        return read[str(value).strip().lower()]
    raise ValueError("true or false")


def missing(value: Any) -> bool:
    """Tell whether a value is none: null, an empty field, a NaN of Parquet."""
    return value is None or (isinstance(value, float) and math.isnan(value))
