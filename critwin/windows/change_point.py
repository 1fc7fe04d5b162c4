"""Change points of a curve by PELT with a binomial likelihood: the baseline that others use."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from critwin.curve import MeasuredCurve
from critwin.errors import ParameterError
from critwin.pair_search import rough_errors
from critwin.protocol import Protocol
from critwin.window import Window, WindowRule
from critwin.windows.confident_jump import check_threshold

Floats = npt.NDArray[np.float64]

MOST = 10_000.0
"""Draws that a value without error counts as."""


@dataclass(frozen=True, kw_only=True)
class ChangePoint(WindowRule):
    """Cuts a curve into pieces of constant probability; a window where the pieces differ enough.

    The number of pieces is chosen by a penalty, so nothing is promised about false windows, and a
    slow drift is cut into steps. The jump is that of the two positions at the cut, with an interval
    that is joint over all neighbouring positions, so it may be looked at although it was chosen.

    A curve by forks has no counts of its own at a position: each value is taken as counted from
    as many draws as give its standard error. Neighbours share forks, so it looks surer than it is.

    Attributes:
        threshold: The means of two neighbouring pieces must differ by more than it, in (0, 1).
        penalty: Price of a piece, in log-likelihood per log of the number of positions, > 0.

    Source:
        Killick, Fearnhead, Eckley (2012), Journal of the American Statistical Association 107,
        1590-1598 (PELT); Truong, Oudre, Vayatis (2020), Signal Processing 167, 107299 (ruptures).
    """

    threshold: float = 0.2
    penalty: float = 1.5

    fractions: ClassVar[tuple[float, ...]] = ()  # type: ignore[misc]

    def __post_init__(self) -> None:
        check_threshold("threshold", self.threshold)
        object.__setattr__(self, "threshold", float(self.threshold))
        if isinstance(self.penalty, bool) or not 0 < self.penalty < np.inf:
            raise ParameterError("penalty", self.penalty, "a number > 0")
        object.__setattr__(self, "penalty", float(self.penalty))

    def check(self, protocol: Protocol) -> None:
        """Accept every protocol."""

    def find(self, curve: MeasuredCurve) -> list[Window]:
        """Give a window at each cut between pieces that differ enough."""
        hits, trials = counts_of(curve)
        cuts = segments(hits, trials, self.penalty)
        edges = [0, *cuts, len(hits)]
        means = [hits[a:b].sum() / trials[a:b].sum() for a, b in pairwise(edges)]
        at = [
            cut
            for cut, before, after in zip(cuts, means[:-1], means[1:], strict=True)
            if abs(after - before) > self.threshold
        ]
        if not at:
            return []
        lower, upper = curve.differences(curve.position[:-1], curve.position[1:], joint=True)
        return [
            self._window(
                curve,
                i,
                means[cuts.index(i) + 1] - means[cuts.index(i)],
                (float(lower[i - 1]), float(upper[i - 1])),
            )
            for i in at
        ]

    def _window(
        self, curve: MeasuredCurve, cut: int, change: float, ends: tuple[float, float]
    ) -> Window:
        start, end = int(curve.position[cut - 1]), int(curve.position[cut])
        return Window(
            original_id=curve.original_id,
            label=curve.label,
            rule="change_point",
            direction="rise" if change > 0 else "fall",
            position_start=start,
            position_end=end,
            place_lower=start,
            place_upper=end,
            jump=float(curve.agreement[cut] - curve.agreement[cut - 1]),
            jump_lower=ends[0],
            jump_upper=ends[1],
            length=curve.length,
        )


def counts_of(curve: MeasuredCurve) -> tuple[Floats, Floats]:
    """Give hits and draws at each position, or what a fork curve amounts to."""
    p = curve.agreement
    if curve.estimator == "grid":
        trials = np.where(curve.trials > 0, curve.trials, MOST).astype(np.float64)
    else:
        error = np.maximum(rough_errors(curve), 1e-9)
        trials = np.clip(np.maximum(p * (1 - p), 0.01) / error**2, 1, MOST)
    return p * trials, trials


def segments(hits: Floats, trials: Floats, penalty: float) -> list[int]:
    """Give the positions, by number, at which pieces begin, without the first one.

    Args:
        hits: Successes at each of L positions.
        trials: Draws there.
        penalty: As in `ChangePoint`.
    """
    import ruptures
    from ruptures.base import BaseCost

    class Binomial(BaseCost):  # type: ignore[misc]
        model, min_size = "binomial", 1

        def fit(self, signal: Any) -> Binomial:
            self.signal = signal
            self.sums = np.vstack([np.zeros(2), np.cumsum(signal, axis=0)])
            return self

        def error(self, start: int, end: int) -> float:
            k, n = (self.sums[end] - self.sums[start]).tolist()
            return _deviance(k, n)

    if len(hits) < 2:
        return []
    search = ruptures.Pelt(custom_cost=Binomial(), min_size=1, jump=1)
    ends = search.fit_predict(np.stack([hits, trials], axis=1), pen=penalty * np.log(len(hits)))
    return [int(end) for end in ends[:-1]]


def _deviance(hits: float, trials: float) -> float:
    """Give minus the greatest log-likelihood of one probability."""
    cost = 0.0
    for count in (hits, trials - hits):
        if count > 1e-12:
            cost -= count * np.log(count / trials)
    return float(cost)
