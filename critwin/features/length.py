"""How long a text is, in classes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from critwin.errors import ParameterError
from critwin.feature import Feature
from critwin.problem import Problem


@dataclass(frozen=True, kw_only=True)
class Length(Feature):
    """Labels a text by the class that its length falls into: `<=50`, `51-200`, `>200`.

    Attributes:
        bounds: Largest lengths of the classes but the last one, increasing whole numbers >= 0.
        unit: What is counted.
    """

    bounds: tuple[int, ...] = (50, 200)
    unit: Literal["words", "characters", "lines"] = "words"

    def __post_init__(self) -> None:
        whole = isinstance(self.bounds, tuple) and all(
            type(b) is int and b >= 0 for b in self.bounds
        )
        if not whole or not self.bounds or any(a >= b for a, b in pairwise(self.bounds)):
            allowed = "a non-empty list of increasing whole numbers >= 0"
            raise ParameterError("bounds", self.bounds, allowed)
        if self.unit not in ("words", "characters", "lines"):
            raise ParameterError("unit", self.unit, "words, characters or lines")

    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        """Give the class of each text; no text is unscored, an empty one has length 0."""
        return [self._label(text) for text in texts]

    def truth(self, problem: Problem) -> str | None:
        """Give nothing: no length is right."""
        return None

    def _label(self, text: str) -> str:
        counts = {
            "words": len(text.split()),
            "characters": len(text),
            "lines": len([line for line in text.split("\n") if line.strip()]),
        }
        at = bisect_left(self.bounds, counts[self.unit])
        if at == len(self.bounds):
            return f">{self.bounds[-1]}"
        if at == 0:
            return f"<={self.bounds[0]}"
        low, high = self.bounds[at - 1] + 1, self.bounds[at]
        return str(high) if low == high else f"{low}-{high}"
