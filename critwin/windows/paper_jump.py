"""The paper's rule: a jump between neighbouring fractions, in a curve that never drops far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from critwin.curve import MeasuredCurve
from critwin.errors import ParameterError
from critwin.protocol import PAPER_FRACTIONS, Protocol, check_fractions
from critwin.window import Window, WindowRule


@dataclass(frozen=True, kw_only=True)
class PaperJump(WindowRule):
    """Calls each rise above `threshold` between neighbouring fractions a window.

    Only the curve's values at `fractions` are looked at: neither the value with nothing kept nor
    the last step to the whole generation. Of a curve at every token it is the value at the token
    where the fraction cuts. Differences are taken in floating point as the authors'
    code does, so .2 to .7 (a difference of .4999...) is no window at threshold .5.

    Attributes:
        threshold: A rise must be strictly above it, in [0, 1).
        dip: A curve with a step below it has no windows at all, in [-1, 0].
        fractions: Fractions kept whose neighbouring pairs are compared.

    Source:
        Li, Karan, Chen (2025), arXiv:2502.00921, Section 6.2; `cw_condition(diffs, cw=.5, mon=-.3)`
        in the authors' code. The first figure of their README uses threshold .1.
    """

    threshold: float = 0.5
    dip: float = -0.3
    fractions: tuple[float, ...] = PAPER_FRACTIONS

    def __post_init__(self) -> None:
        check_fractions("fractions", self.fractions)
        object.__setattr__(self, "fractions", tuple(float(f) for f in self.fractions))
        if len(self.fractions) < 2:
            raise ParameterError("fractions", self.fractions, "two fractions or more")
        if isinstance(self.threshold, bool) or not 0 <= self.threshold < 1:
            raise ParameterError("threshold", self.threshold, "a number in [0, 1)")
        object.__setattr__(self, "threshold", float(self.threshold))
        if isinstance(self.dip, bool) or not -1 <= self.dip <= 0:
            raise ParameterError("dip", self.dip, "a number in [-1, 0]")
        object.__setattr__(self, "dip", float(self.dip))

    def check(self, protocol: Protocol) -> None:
        """Refuse a protocol that does not visit the rule's fractions."""
        missing = protocol.missing(self.fractions)
        if missing:
            visited = list(protocol.shown_fractions())
            raise ParameterError(
                "window.fractions",
                list(self.fractions),
                f"fractions that sampler.fractions visits, {visited}; missing: {missing}",
            )

    def find(self, curve: MeasuredCurve) -> list[Window]:
        """Give the windows of a curve, by position."""
        cuts, steps = self.steps(curve)
        jumps = np.flatnonzero(steps > self.threshold)
        if len(jumps) == 0:
            return []
        lower, upper = curve.differences(cuts[:-1], cuts[1:], joint=True)
        windows = []
        for i in jumps:
            begin, end = int(cuts[i]), int(cuts[i + 1])
            windows.append(
                Window(
                    original_id=curve.original_id,
                    label=curve.label,
                    rule="paper_jump",
                    direction="rise",
                    position_start=begin,
                    position_end=end,
                    place_lower=begin,
                    place_upper=end,
                    jump=float(steps[i]),
                    jump_lower=float(lower[i]),
                    jump_upper=float(upper[i]),
                    length=curve.length,
                )
            )
        return windows

    def steps(self, curve: MeasuredCurve) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Give the positions compared and the changes between them; none where a dip forbids it."""
        at = np.searchsorted(curve.kept, np.array(self.fractions) + 1e-9, side="right") - 1
        steps = np.diff(curve.agreement[at])
        if at[0] < 0 or (steps < self.dip).any():
            return np.zeros(0, np.int64), np.zeros(0)
        return curve.position[at], steps
