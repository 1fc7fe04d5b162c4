"""Several windows in one original as steps between plateaus, each with the labels still alive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from critwin.certification import Search, search
from critwin.changes import Sought, Unit, Width
from critwin.curve import MeasuredCurve
from critwin.feature import UNSCORED
from critwin.protocol import Protocol
from critwin.window import Findings, Window, WindowRule
from critwin.windows.confident_jump import check_threshold, check_unit, check_width


@dataclass(frozen=True, kw_only=True)
class Hierarchy(WindowRule):
    """Calls each step in which some label's probability certainly changes a window.

    A model that makes several choices narrows down step by step what its sample can still be. The
    curves of all labels are searched as by `confident_jump`, jointly: the error is shared out
    among the labels that were seen. Steps that overlap, or fit into one stretch of the width, are
    one, told by its own label's change where that is certain, else by the largest change. Between
    steps lie plateaus; a plateau stands for the labels that are alive on it.

    Attributes:
        threshold: A label's probability must change by more than it, in (0, 1).
        max_width: Over at most this, > 0.
        unit: What the width is in: tokens, nats or fraction.
        floor: A label is alive where its mean probability over a plateau is above it, in (0, 1).

    Source:
        Li, Karan, Chen (2025), arXiv:2502.00921, Section 6.1 and Figure 4; Definition 8 (mixture
        trees).
    """

    threshold: float = 0.2
    max_width: float = 10.0
    unit: Unit = "tokens"
    floor: float = 0.05

    fractions: ClassVar[tuple[float, ...]] = ()  # type: ignore[misc]

    def __post_init__(self) -> None:
        check_threshold("threshold", self.threshold)
        check_threshold("floor", self.floor)
        check_width(self.max_width, self.unit)
        for name in ("threshold", "floor", "max_width"):
            object.__setattr__(self, name, float(getattr(self, name)))

    @property
    def sought(self) -> Sought:
        """What forks can be aimed at."""
        return Sought(self.threshold, Width(self.max_width, self.unit))

    def check(self, protocol: Protocol) -> None:
        """Refuse nats where no path is known."""
        check_unit(self.unit, protocol)

    def find(self, curve: MeasuredCurve) -> list[Window]:
        """Give the steps of one label alone."""
        return self.judge([curve]).windows

    def judge(self, curves: Sequence[MeasuredCurve]) -> Findings:
        """Give the steps of all labels together."""
        own = [curve for curve in curves if curve.own]
        if not own or own[0].label == UNSCORED:
            return Findings([], [])
        # a label that is nowhere above the threshold cannot have changed by more, as far as is seen
        seen = [c for c in curves if c.own or float(c.agreement.max()) > 0]
        level = 1 - 0.05 / len(seen)
        asked = Search("hierarchy", self.threshold, Width(self.max_width, self.unit))
        steps: list[Window] = []
        for curve in seen:
            if float(np.ptp(curve.agreement)) > self.threshold:
                steps += search(curve, asked, level=level).windows
        return Findings(self._described(self._merged(steps, own[0]), seen), [])

    def _merged(self, steps: Sequence[Window], own: MeasuredCurve) -> list[Window]:
        """Keep one window of those that overlap or are near each other."""
        order = sorted(steps, key=lambda w: (w.label != own.label, -abs(w.jump), w.position_start))
        size = {"tokens": self.max_width, "fraction": self.max_width * own.length}
        reach = size.get(self.unit, 0.0)
        kept: list[Window] = []
        for step in order:
            if not any(_together(step, other, reach) for other in kept):
                kept.append(step)
        return sorted(kept, key=lambda w: w.position_start)

    def _described(self, steps: Sequence[Window], curves: Sequence[MeasuredCurve]) -> list[Window]:
        """Add which labels are alive before and after each step."""
        if not steps:
            return []
        edges = [0, *(edge for w in steps for edge in (w.position_start, w.position_end))]
        edges.append(curves[0].length)
        alive = [self._alive(curves, a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]
        return [
            replace(step, alive_before=before, alive_after=after)
            for step, before, after in zip(steps, alive[:-1], alive[1:], strict=True)
        ]

    def _alive(self, curves: Sequence[MeasuredCurve], start: int, end: int) -> tuple[str, ...]:
        means = {}
        for curve in curves:
            at = (curve.position >= start) & (curve.position <= end)
            means[curve.label] = float(curve.agreement[at].mean())
        order = sorted(means, key=lambda label: (-means[label], label))
        return tuple(label for label in order if means[label] > self.floor)


def _together(a: Window, b: Window, reach: float) -> bool:
    overlap = a.position_start < b.position_end and b.position_start < a.position_end
    first, last = min(a.position_start, b.position_start), max(a.position_end, b.position_end)
    return overlap or last - first <= reach
