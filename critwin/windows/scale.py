"""The scale of a window: the shortest stretch that carries a rise, without a grid or a width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from critwin.certification import BATCHES, HOPE, Search, verdict_of, window_of
from critwin.changes import Changes, Width
from critwin.curve import MeasuredCurve
from critwin.feature import UNSCORED
from critwin.pair_search import changes
from critwin.paper_chance import paper_chances
from critwin.protocol import Protocol
from critwin.window import Findings, Scale, Window, WindowRule
from critwin.windows.confident_jump import check_threshold

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ShortestRise(WindowRule):
    """Measures l*(c) = min{e - s : p_e - p_s > c}: how short a stretch carries a rise above c.

    It needs neither a grid nor a width, so its distribution over originals can be compared between
    protocols and models. The interval comes from intervals of all pairs of positions at once: the
    shortest that is certainly above c bounds it from above, the shortest that may be from below.
    The certified stretch is given as a window. Beside it stands the chance that the paper's rule
    fires on the same curve, at 25 and 100 resamples, and over shifts of its fractions.

    Attributes:
        threshold: c, in (0, 1).
    """

    threshold: float = 0.5

    fractions: ClassVar[tuple[float, ...]] = ()  # type: ignore[misc]

    def __post_init__(self) -> None:
        check_threshold("threshold", self.threshold)
        object.__setattr__(self, "threshold", float(self.threshold))

    def check(self, protocol: Protocol) -> None:
        """Accept every protocol."""

    def find(self, curve: MeasuredCurve) -> list[Window]:
        """Give the shortest certified stretch."""
        return self.search(curve).windows

    def judge(self, curves: Sequence[MeasuredCurve]) -> Findings:
        """Give window and verdict of the own label."""
        own = [curve for curve in curves if curve.own and curve.label != UNSCORED]
        found = [self.search(curve) for curve in own]
        return Findings(
            [w for f in found for w in f.windows], [v for f in found for v in f.verdicts]
        )

    def search(self, curve: MeasuredCurve) -> Findings:
        """Measure the scale of a curve of any label."""
        found = changes(curve, width=Width(), above=self.threshold)
        known = len(found) > 0 and np.isfinite(found.nats).all()
        sizes = {"tokens": found.longest.astype(np.float64)}
        sizes |= {"fraction": sizes["tokens"] / curve.length}
        sizes |= {"nats": found.nats} if known else {}
        # over a block of surprisal -log P no probability changes by more than 1 - P
        least = {"tokens": 1.0, "fraction": 1 / curve.length, "nats": -math.log1p(-self.threshold)}
        measured, chosen = {}, None
        for unit, size in sizes.items():
            scale, at = shortest(found, size, self.threshold)
            if not found.everywhere:  # between the positions that were visited it may be shorter
                scale = replace(scale, lower=least[unit])
            measured[unit] = scale
            chosen = at if unit == "tokens" else chosen
        asked = Search("scale", self.threshold, Width())
        windows = [] if chosen is None else [window_of(curve, found, chosen, asked, "rise")]
        verdict = verdict_of(curve, found, len(windows), asked, "rise")
        return Findings(windows, [replace(verdict, scale=measured, paper=paper_chances(curve))])


def shortest(found: Changes, size: Floats, threshold: float) -> tuple[Scale, int | None]:
    """Measure the least size of a pair that rises above a threshold.

    Args:
        found: The changes; sharpened where that may matter.
        size: Size of each pair, and of the longest stretch of each mean.
        threshold: c.

    Returns:
        The scale, and the number of the certified pair that bounds it from above.
    """
    rises = (found.change > threshold) & ~found.pooled
    estimate = float(size[rises].min()) if rises.any() else None
    hoped = found.change - HOPE * found.normal_quantile * found.error
    tried = np.flatnonzero((hoped > threshold) & (found.upper > threshold))
    order, chosen = tried[np.lexsort((-hoped[tried], size[tried]))], None
    while len(order) and chosen is None:
        first, order = order[: found.batch], order[found.batch :]
        found.sharpen(first)
        sure = first[found.lower[first] > threshold]
        if len(sure):
            best = sure[size[sure] == size[sure].min()]
            chosen = int(best[found.lower[best].argmax()])
    upper = None if chosen is None else float(size[chosen])
    may = np.flatnonzero((found.upper > threshold) & ~found.pooled)
    may = may[np.argsort(size[may], kind="stable")]
    lower = None
    for _ in range(BATCHES):
        if not len(may) or lower is not None:
            break
        first, may = may[: found.batch], may[found.batch :]
        found.sharpen(first[~rises[first]])  # an estimate above c cannot be ruled out
        still = first[found.upper[first] > threshold]
        lower = float(size[still].min()) if len(still) else None
    if lower is None and len(may):  # the cheap bounds have the last word
        lower = float(size[may[0]])
    return Scale(estimate=estimate, lower=lower, upper=upper), chosen
