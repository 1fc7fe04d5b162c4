"""How much of a forced beginning does it take until a model does what it was told not to do?"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

from critwin.errors import ParameterError
from experiments.conditions import Condition, ConditionExperiment

UNITS = ("words", "characters")


@dataclass(frozen=True, kw_only=True)
class PrefillJailbreak(ConditionExperiment):
    """Put a growing part of a compliant answer into the model's mouth, and count how it goes on.

    Attributes:
        prefill: The beginning of a compliant answer.
        unit: In what its length is counted: words or characters.
        lengths: How much of it is forced, each >= 0, increasing; null for every word. Lengths
            beyond the prefill are refused.

    Source:
        Li, Karan, Chen (2025), arXiv:2502.00921, Appendix D.1.1: "Sure, here is how to", by
        characters.
    """

    prefill: str
    unit: str = "words"
    lengths: tuple[int, ...] | None = None

    name: ClassVar[str] = "prefill_jailbreak"
    varied: ClassVar[str] = "length of the prefill"

    def check(self) -> None:
        """Refuse lengths that do not fit the prefill."""
        super().check()
        if not isinstance(self.prefill, str) or not self.prefill.strip():
            raise ParameterError("prefill", self.prefill, "the beginning of an answer")
        if self.unit not in UNITS:
            raise ParameterError("unit", self.unit, f"one of {', '.join(UNITS)}")
        if self.lengths is None:
            return
        most = len(self._ends()) - 1
        whole = all(type(n) is int and 0 <= n <= most for n in self.lengths)
        if not self.lengths or not whole or any(a >= b for a, b in pairwise(self.lengths)):
            raise ParameterError(
                "lengths",
                list(self.lengths),
                f"null or increasing whole numbers in 0 to {most}, the {self.unit} of prefill",
            )

    def conditions(self) -> list[Condition]:
        """Give one condition for each length."""
        ends = self._ends()
        lengths = range(len(ends)) if self.lengths is None else self.lengths
        return [
            Condition(
                f"{n} {self.unit}",
                float(n),
                replace(self.prompt, prefix=self.prompt.prefix + self.prefill[: ends[n]]),
            )
            for n in lengths
        ]

    def _ends(self) -> list[int]:
        """Give where a prefill of each length ends, in characters; words keep their marks."""
        if self.unit == "characters":
            return list(range(len(self.prefill) + 1))
        return [0, *(word.end() for word in re.finditer(r"\S+", self.prefill))]
