"""Windows that are certain: changes above a threshold over a short stretch, certified jointly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from critwin.certification import Search, search
from critwin.changes import Sought, Unit, Width
from critwin.curve import MeasuredCurve
from critwin.errors import ParameterError
from critwin.feature import UNSCORED
from critwin.protocol import ForkProtocol, Fractions, Protocol
from critwin.window import Findings, Window, WindowRule


@dataclass(frozen=True, kw_only=True)
class ConfidentJump(WindowRule):
    """Calls each change above `threshold` over at most `max_width` a window, if it is certain.

    With 95 % confidence for an original all of this holds at once: every window meets such a
    change, which lies within its place; its jump lies within its interval, though the place was
    chosen; and where the verdict is `none` there is no such change at all.

    A window is the shortest stretch that is certified; on a grid also the middle of several
    stretches, of which one is. Two of them are told apart only where they do not fit into one
    stretch of the width.

    Attributes:
        threshold: A change must be strictly above it, in (0, 1).
        max_width: Over at most this, > 0. A single token, and neighbours among the positions of a
            grid, are always near enough.
        unit: What the width is in: tokens, nats of the block's surprisal, or fraction of the
            original.
    """

    threshold: float = 0.5
    max_width: float = 10.0
    unit: Unit = "tokens"

    fractions: ClassVar[tuple[float, ...]] = ()  # type: ignore[misc]

    def __post_init__(self) -> None:
        check_threshold("threshold", self.threshold)
        check_width(self.max_width, self.unit)
        object.__setattr__(self, "threshold", float(self.threshold))
        object.__setattr__(self, "max_width", float(self.max_width))

    @property
    def sought(self) -> Sought:
        """What forks can be aimed at."""
        return Sought(self.threshold, Width(self.max_width, self.unit))

    def check(self, protocol: Protocol) -> None:
        """Refuse nats where no path is known, and a fraction below every step of a grid."""
        check_unit(self.unit, protocol)
        if isinstance(protocol, Fractions) and self.unit == "fraction":
            cuts = np.array([*protocol.shown_fractions(), 1.0])
            least = float(np.diff(cuts).min())
            if self.max_width < least - 1e-9:
                raise ParameterError(
                    "window.max_width",
                    self.max_width,
                    f"at least the least step between the fractions visited, {least:.3g}",
                )

    def find(self, curve: MeasuredCurve) -> list[Window]:
        """Give the windows of a curve, by position."""
        return self.search(curve).windows

    def judge(self, curves: Sequence[MeasuredCurve]) -> Findings:
        """Give windows and verdicts of the own label."""
        own = [curve for curve in curves if curve.own and curve.label != UNSCORED]
        found = [self.search(curve) for curve in own]
        return Findings(
            [w for f in found for w in f.windows], [v for f in found for v in f.verdicts]
        )

    def search(self, curve: MeasuredCurve) -> Findings:
        """Search the curve of any label for rises and falls."""
        width = Width(self.max_width, self.unit)
        return search(curve, Search("confident_jump", self.threshold, width))


def check_threshold(name: str, value: float) -> None:
    """Refuse anything but a number in (0, 1)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise ParameterError(name, value, "a number in (0, 1)")


def check_width(size: float, unit: str) -> None:
    """Refuse a width that is none."""
    if unit not in ("tokens", "nats", "fraction"):
        raise ParameterError("unit", unit, "tokens, nats or fraction")
    number = isinstance(size, int | float) and not isinstance(size, bool)
    most = 1.0 if unit == "fraction" else np.inf
    if not number or not 0 < size <= most or np.isinf(size):
        allowed = (
            "a number in (0, 1], as unit is fraction" if unit == "fraction" else "a number > 0"
        )
        raise ParameterError("max_width", size, allowed)


def check_unit(unit: str, protocol: Protocol) -> None:
    """Refuse nats where no path is known."""
    if unit == "nats" and not isinstance(protocol, ForkProtocol):
        raise ParameterError(
            "window.unit", unit, "tokens or fraction; nats are known where sampler=forks"
        )
