"""Theory of noised classes over what was measured on a diffusion model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from critwin.statistics import Interval
from critwin.theory.posteriors import NoisedMixture, population, rest_of
from critwin.theory.times import WindowTimes
from critwin.theory.total_variation import stay, total_variation
from experiments.exact.comparison import JOINT
from experiments.exact.figures import Line, Panel, side_by_side
from experiments.exact.measuring import Measured
from experiments.exact.verdicts import of_bracket

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LATEST = 3.0
"""Where the time axis ends: next to nothing of a picture is left there."""


def theory_figure(
    measured: Measured,
    theory: NoisedMixture,
    window: WindowTimes,
    *,
    after: Sequence[int],
    before: Sequence[int],
    epsilon: float,
) -> Figure:
    """Draw how often labels stay, and distances, lines over measured points.

    Args:
        measured: What was measured.
        theory: The noised classes.
        window: Their times, shaded where there is a plateau.
        after: Components of S_after.
        before: Components of S_before.
        epsilon: Of Definition 4.
    """
    weights = theory.mixture_weights

    def staying(members: Sequence[int]) -> Line:
        def share(place: int) -> Interval:
            left = measured.leak(members, place, level=JOINT)
            ends = 1 - left.upper, 1 - left.lower
            return Interval(1 - left.estimate, *ends, left.n, left.clusters)

        return Line(_named(members), lambda t: stay(theory.posteriors(t), members), share)

    def apart(one: Sequence[int], other: Sequence[int], name: str) -> Line:
        sets = population(weights, one), population(weights, other)
        return Line(
            f"{_named(one)}, {name}",
            lambda t: total_variation(theory.posteriors(t), *sets),
            lambda place: of_bracket(measured.distance(one, other, place), level=JOINT),
        )

    outside = rest_of(weights, before)
    whole = _named(before) if outside else "all"
    stays = [staying(after)]
    distances = [apart(after, rest_of(weights, after), "rest"), apart(after, before, whole)]
    if outside:
        stays.append(staying(before))
        distances.append(apart(before, outside, "rest"))
    return side_by_side(
        [
            Panel("a label drawn again stays", stays),
            Panel("total variation", distances, (epsilon, 1 - epsilon**2)),
        ],
        measured,
        windows=[(window.time_after, window.time_before)],
        axis_name="Ornstein-Uhlenbeck time",
        last=LATEST,
        everywhere=True,
    )


def _named(members: Sequence[int]) -> str:
    return "{" + ", ".join(map(str, members)) + "}"
