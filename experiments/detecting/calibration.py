"""Baselines at an equal level of false windows: their thresholds chosen where the truth is known.

A rule that fires on nothing cannot be compared by what it finds with one that does not. So each
baseline is shown a second time, with the smallest threshold at which it fires in at most 5 % of the
trajectories of each original without a window, for each kind of data and budget apart. A mean over
originals would not do: a level that is kept on easy ones and not on others is not kept. The
trajectories come from the same simulators as those of the comparison, from seeds of their own. On
real data nobody knows which trajectories are without a window, so this form is a yardstick, not a
rule that could be used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from critwin.changes import Sought
from critwin.curve import MeasuredCurve
from critwin.seeds import fold_in
from critwin.window import WindowRule
from critwin.windows.change_point import ChangePoint, counts_of
from critwin.windows.paper_jump import PaperJump
from experiments.detecting.draws import Budget, draw
from experiments.detecting.rules import UsualStep
from experiments.detecting.sources import Source

Floats = npt.NDArray[np.float64]
T = TypeVar("T")

LEVEL = 0.05
"""Share of the trajectories of an original without a window in which a rule may fire."""

PENALTIES = (*(0.25 * 2 ** (i / 2) for i in range(17)), *(2.0**i for i in range(7, 19)))
"""Penalties of PELT that are tried, .25 to 262,144; the default is 1.5. At the largest nothing is
cut: where many draws show a slow drift, only a penalty that hides windows too hides the drift."""

CALIBRATION = pa.schema(
    [
        ("kind", pa.string()),  # forks, every token, fractions, aimed forks
        ("equal", pa.string()),  # draws, tokens
        ("size", pa.int64()),
        ("rule", pa.string()),  # step, change_point, change_point_height, paper_jump
        ("value", pa.float64()),  # the threshold, or the penalty of change_point
        ("alarmed", pa.int64()),  # trajectories of the calibration in which it still fires
        ("trajectories", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Calibrated:
    """Settings of the baselines at one budget.

    Attributes:
        step: Threshold of a step between neighbours.
        change_point: Penalty of PELT.
        change_point_height: How much pieces must differ, at the default penalty.
        paper_jump: Threshold of the paper's rule.
    """

    step: float
    change_point: float
    change_point_height: float
    paper_jump: float

    def rules(self, threshold: float) -> Mapping[str, WindowRule]:
        """Give the baselines with these settings, by name."""
        return {
            "step_calibrated": UsualStep(threshold=self.step),
            "change_point_calibrated": ChangePoint(threshold=threshold, penalty=self.change_point),
            "change_point_height_calibrated": ChangePoint(threshold=self.change_point_height),
            "paper_jump_calibrated": PaperJump(threshold=self.paper_jump),
        }


def calibrate(
    empty: Sequence[Source], budget: Budget, *, sought: Sought, trajectories: int, seed: int
) -> list[dict[str, Any]]:
    """Choose the baselines' settings at one budget.

    Args:
        empty: Originals without a window.
        budget: What is drawn of each.
        sought: Pieces of `change_point` must differ by more than its threshold, and forks may be
            aimed at it.
        trajectories: So many of each original, >= 1.
        seed: Whatever else is drawn from it, these are other draws.

    Returns:
        Rows of the calibration table, one for each baseline.
    """
    curves = [
        [draw(source, budget, _rng(seed, source, r), sought).curves[0] for r in range(trajectories)]
        for source in empty
        if budget.draws(source)
    ]

    def each(measure: Callable[[MeasuredCurve], T]) -> list[list[T]]:
        return [[measure(curve) for curve in own] for own in curves]

    penalties = np.array(PENALTIES)
    made = {
        "step": _least(each(_largest_step), most=2.0),
        "change_point": _first(penalties, each(partial(_fires, penalties, sought.threshold))),
        "change_point_height": _least(each(_largest_rise_of_pieces)),
        "paper_jump": _least(each(_largest_paper_jump)),
    }
    described = {"kind": budget.kind, "equal": budget.equal, "size": budget.size}
    described |= {"trajectories": len(curves) * trajectories}
    return [
        {**described, "rule": rule, "value": value, "alarmed": alarmed}
        for rule, (value, alarmed) in made.items()
    ]


def _rng(seed: int, source: Source, trajectory: int) -> np.random.Generator:
    return np.random.default_rng(fold_in(seed, "calibration", source.name, trajectory))


def read_calibration(table: pa.Table) -> dict[Budget, Calibrated]:
    """Give the settings of each budget."""
    values: dict[Budget, dict[str, float]] = {}
    for row in table.to_pylist():
        budget = Budget(row["kind"], row["equal"], row["size"])
        values.setdefault(budget, {})[row["rule"]] = row["value"]
    return {budget: Calibrated(**settings) for budget, settings in values.items()}


def _least(largest: Sequence[Sequence[float]], *, most: float = 1 - 1e-6) -> tuple[float, int]:
    """Give the smallest threshold that few enough exceed of each original, at most `most`.

    With a single draw every step is 0 or 1: a threshold above 1 is what never fires.

    Returns:
        The threshold, and how many still exceed it.
    """
    if not largest:  # a budget that pays for no draws: the smallest there is
        return 1e-6, 0
    down = -np.sort(-np.array(largest), axis=1)
    # steps are shares of counts: what is equal to the one allowed may not fire either
    least = float(down[:, allowed(down.shape[1])].max())
    value = min(max(least, 0.0) + 1e-6, most)
    return value, int((down >= value).sum())


def _first(settings: Floats, fires: Sequence[Sequence[Sequence[bool]]]) -> tuple[float, int]:
    """Give the smallest setting at which few enough of each fire; where none does, the quietest."""
    if not fires:
        return float(settings[0]), 0
    alarmed = np.array(fires).sum(axis=1)
    few = np.flatnonzero((alarmed <= allowed(len(fires[0]))).all(axis=0))
    at = int(few[0]) if len(few) else int(alarmed.max(axis=0).argmin())
    return float(settings[at]), int(alarmed[:, at].sum())


def allowed(trajectories: int) -> int:
    """Give in how many of so many a rule may fire, so that others do with a chance of `LEVEL`.

    What k of n exceed another one exceeds with a chance of (k + 1) / (n + 1); of few trajectories
    none may, and the chance is 1 / (n + 1).
    """
    return max(int(LEVEL * (trajectories + 1) + 1e-9) - 1, 0)


def _largest_step(curve: MeasuredCurve) -> float:
    return float(np.diff(curve.agreement).max())


def _largest_paper_jump(curve: MeasuredCurve) -> float:
    """Give the largest rise that the paper's rule looks at; 0 where a dip forbids windows."""
    return float(PaperJump().steps(curve)[1].max(initial=0.0))


def _fires(penalties: Floats, threshold: float, curve: MeasuredCurve) -> list[bool]:
    """Tell at which penalties two neighbouring pieces differ by more than a threshold, upwards."""
    return [rise > threshold for rise in _rises_of_pieces(curve, penalties)]


def _largest_rise_of_pieces(curve: MeasuredCurve) -> float:
    return _rises_of_pieces(curve, np.array([ChangePoint().penalty]))[0]


def _rises_of_pieces(curve: MeasuredCurve, penalties: Floats) -> list[float]:
    """Give the largest rise from a piece to the next at each penalty."""
    hits, trials = counts_of(curve)
    rises = []
    for cuts in best_cuts(hits, trials, penalties):
        edges = [0, *cuts, len(hits)]
        means = [hits[a:b].sum() / trials[a:b].sum() for a, b in pairwise(edges)]
        rises.append(float(np.diff(means).max(initial=0.0)))
    return rises


def best_cuts(hits: Floats, trials: Floats, penalties: Floats) -> list[list[int]]:
    """Cut a curve as PELT does, at many penalties at once: exact search over all cuts.

    Args:
        hits: Successes at each of L positions.
        trials: Draws there.
        penalties: As in `ChangePoint`, shape (P,).

    Returns:
        For each penalty the positions, by number, at which pieces begin, without the first one.
    """
    count = len(hits)
    k, n = (np.concatenate([[0.0], np.cumsum(v)]) for v in (hits, trials))
    price = penalties * np.log(count)
    least = np.zeros((count + 1, len(penalties)))
    least[0] = -price
    back = np.zeros((count + 1, len(penalties)), np.int64)
    for end in range(1, count + 1):
        total = least[:end] + _deviances(k[end] - k[:end], n[end] - n[:end])[:, None]
        back[end] = total.argmin(axis=0)
        least[end] = total.min(axis=0) + price
    return [_traced(back[:, i]) for i in range(len(penalties))]


def _deviances(hits: Floats, trials: Floats) -> Floats:
    from scipy.special import xlogy

    missed = np.maximum(trials - hits, 0.0)
    cost: Floats = xlogy(trials, trials) - xlogy(hits, hits) - xlogy(missed, missed)
    return cost


def _traced(back: npt.NDArray[np.int64]) -> list[int]:
    cuts = []
    end = int(back[-1])
    while end > 0:
        cuts.append(end)
        end = int(back[end])
    return cuts[::-1]
