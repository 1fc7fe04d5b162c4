"""The rules that are compared: critwin's own, and the baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from critwin.curve import MeasuredCurve
from critwin.protocol import Protocol
from critwin.window import Window, WindowRule
from critwin.windows.change_point import ChangePoint
from critwin.windows.confident_jump import ConfidentJump
from critwin.windows.hierarchy import Hierarchy
from critwin.windows.paper_jump import PaperJump
from critwin.windows.scale import ShortestRise

USUAL = 0.2
"""Threshold of the rule that others use: a step between neighbours of at least this size."""


@dataclass(frozen=True, kw_only=True)
class UsualStep(WindowRule):
    """The rule that others use: neighbouring positions whose estimates differ by .2 or more.

    Attributes:
        threshold: The step, in (0, 1].
    """

    threshold: float = USUAL
    fractions: tuple[float, ...] = ()

    def check(self, protocol: Protocol) -> None:
        """Accept every protocol."""

    def find(self, curve: MeasuredCurve) -> list[Window]:
        """Give each step; its interval is that of the pair alone, as if it had not been chosen."""
        steps = np.diff(curve.agreement)
        # .7 less .5 is a step of .2, whatever floating point says: counts are compared
        at = np.flatnonzero(np.abs(steps) >= self.threshold - 1e-9)
        if not len(at):
            return []
        lower, upper = curve.differences(curve.position[at], curve.position[at + 1])
        return [
            Window(
                original_id=curve.original_id,
                label=curve.label,
                rule="step",
                direction="rise" if steps[i] > 0 else "fall",
                position_start=int(curve.position[i]),
                position_end=int(curve.position[i + 1]),
                place_lower=int(curve.position[i]),
                place_upper=int(curve.position[i + 1]),
                jump=float(steps[i]),
                jump_lower=float(low),
                jump_upper=float(high),
                length=curve.length,
            )
            for i, low, high in zip(at, lower, upper, strict=True)
        ]


def rules(threshold: float, max_width: float) -> Mapping[str, WindowRule]:
    """Give the rules that are compared, by name: critwin's own first, then the baselines."""
    return {
        "confident_jump": ConfidentJump(threshold=threshold, max_width=max_width),
        "hierarchy": Hierarchy(threshold=threshold, max_width=max_width),
        "scale": ShortestRise(threshold=threshold),
        "change_point": ChangePoint(threshold=threshold),
        "paper_jump": PaperJump(),
        "paper_jump_01": PaperJump(threshold=0.1),
        "step": UsualStep(threshold=threshold),
    }
