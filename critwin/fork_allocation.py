"""How many forks in each block: planned before they are drawn, from probabilities and a pilot.

The plan is fixed once drawing begins. Neither does the pilot enter the estimate, because its labels
steered the numbers (four pilot draws pooled at d = .2 give a bias of -.07), nor may drawing go on
until a measured width is small enough.

Source: DESIGN.md, section 6; the square-root rule is Neyman's, Journal of the Royal Statistical
Society 97 (1934), 558-625, with costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from critwin.errors import ParameterError
from critwin.fork_expectation import Expectation
from critwin.fork_forms import Forms, level_forms
from critwin.fork_intervals import linear_form_interval
from critwin.protocol import ForkProtocol

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MOST = 1e7
"""Forks of a block at which a wanted half-width is given up."""

_PLANNED = 24
"""Positions, evenly spaced, at which a half-width is planned: it does not change fast."""

_DOUBT = 0.1
"""Least variance of a label that a plan counts with: a block that looks certain may not be."""

_FIRST, _TRIES, _NEAR = 8.0, 12, 0.02
"""Scale that is tried first, plans tried at most, and how near to the wanted width is enough."""


@dataclass(frozen=True)
class Allocation:
    """The forks to draw in each block, and what they are expected to give.

    Attributes:
        forks: Number of each block, >= 0, shape (blocks,); 0 where there was no choice or it is
            left out.
        half_width: Expected half-width of the finite-sample interval of the level: mean over the
            positions 0..n-1, or the maximum of them.
        over: Whether `half_width` is a `mean` or a `maximum` over positions.
        joint: Whether it is that of intervals that cover at all positions at once.
        tokens: Expected tokens of all forks.
        left_out: Sum over left-out blocks of their mean weight: what they add to the mean width.
        met: Whether the wanted half-width is expected to be reached; true when none was wanted.
    """

    forks: Ints
    half_width: float
    over: Literal["mean", "maximum"]
    joint: bool
    tokens: float
    left_out: float
    met: bool


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is wanted of the forks of each original: a half-width, budgets, or both.

    Attributes:
        half_width: Wanted half-width of the interval, in (0, 1).
        max_forks: Greatest number of forks.
        max_tokens: Greatest number of expected tokens. One or more of the three are given; the
            least that they ask for is drawn.
        over: Whether the half-width is the mean or the maximum over positions 0..n-1.
        joint: Whether it is that of intervals that cover at all positions at once.
        level: Coverage of the interval, in (0, 1).
    """

    half_width: float | None = None
    max_forks: int | None = None
    max_tokens: float | None = None
    over: Literal["mean", "maximum"] = "mean"
    joint: bool = False
    level: float = 0.95

    @classmethod
    def of(cls, protocol: ForkProtocol) -> Self:
        """Give what a protocol asks for."""
        return cls(
            half_width=protocol.half_width,
            max_forks=protocol.max_forks,
            max_tokens=protocol.max_tokens,
            over=protocol.over,
            joint=protocol.joint,
        )

    def __post_init__(self) -> None:
        if self.half_width is None and self.max_forks is None and self.max_tokens is None:
            raise ParameterError("half_width", None, "a half-width, max_forks or max_tokens")
        if self.half_width is not None and not 0 < self.half_width < 1:
            raise ParameterError("half_width", self.half_width, "a number in (0, 1)")
        if self.max_forks is not None and self.max_forks < 0:
            raise ParameterError("max_forks", self.max_forks, "a whole number >= 0")
        if self.max_tokens is not None and self.max_tokens < 0:
            raise ParameterError("max_tokens", self.max_tokens, "a number >= 0")


def allocate(expected: Sequence[Expectation], wish: Wish) -> list[Allocation]:
    """Share forks out so that N_b is proportional to sqrt(v_b sum_s w_sb^2 / c_b).

    v_b is the expected variance of the label in block b, w_sb its weight at position s and c_b the
    expected tokens of a fork. A half-width is planned with the interval that will be reported, at
    the expected hits, not with a normal band.

    Args:
        expected: What is expected of the forks of each original; all are planned together.
        wish: What is wanted of each.
    """
    rays = [_Ray.of(own) for own in expected]
    scales = np.array([ray.affordable(wish) for ray in rays])
    if wish.half_width is not None:
        scales = _reach(expected, rays, scales, wish, wish.half_width)
    return allocated(
        expected, [ray.at(scale) for ray, scale in zip(rays, scales, strict=True)], wish
    )


def allocated(
    expected: Sequence[Expectation], forks: Sequence[Ints], wish: Wish
) -> list[Allocation]:
    """Say what numbers of forks are expected to give.

    Args:
        expected: What is expected of the forks of each original.
        forks: Forks of its blocks.
        wish: What is wanted of them.
    """
    rays = [_Ray.of(own) for own in expected]
    return [
        Allocation(
            forks=own,
            half_width=float(width),
            over=wish.over,
            joint=wish.joint,
            tokens=float(own @ ray.cost),
            left_out=float(ray.mean_weight[own == 0].sum()),
            met=wish.half_width is None or bool(width <= wish.half_width),
        )
        for own, ray, width in zip(
            forks, rays, expected_half_widths(expected, forks, wish), strict=True
        )
    ]


def expected_half_widths(
    expected: Sequence[Expectation], forks: Sequence[npt.ArrayLike], wish: Wish
) -> Floats:
    """Give the half-width that the intervals of section 6 have at the expected hits, per original.

    Taken over 24 of the positions 0..n-1 where there are more.

    Args:
        expected: What is expected of each original.
        forks: Forks of its blocks.
        wish: Says which half-width it is.
    """
    parts = [_Planned.of(own, numbers) for own, numbers in zip(expected, forks, strict=True)]
    if not parts:
        return np.zeros(0)
    columns = max(part.weights.shape[1] for part in parts)
    w, k, n = (
        np.concatenate([_wide(getattr(part, name), columns) for part in parts])
        for name in ("weights", "hits", "trials")
    )
    sizes = [len(part.weights) for part in parts]
    choices = [max(int((own.probability < 1).sum()), 1) if wish.joint else 1 for own in expected]
    lower, upper = linear_form_interval(
        w, k, n, level=wish.level, comparisons=np.repeat(choices, sizes)
    )
    constant = np.concatenate([part.constant for part in parts])
    half = (np.clip(constant + upper, 0, 1) - np.clip(constant + lower, 0, 1)) / 2
    split = np.split(half, np.cumsum(sizes)[:-1])
    take = np.mean if wish.over == "mean" else np.max
    return np.array([float(take(own)) if len(own) else 0.0 for own in split])


@dataclass(frozen=True)
class _Planned:
    """The forms of one original's planned positions with what is expected of them."""

    weights: Floats
    hits: Floats
    trials: Floats
    constant: Floats

    @classmethod
    def of(cls, expected: Expectation, forks: npt.ArrayLike) -> _Planned:
        forms = _forms(expected, _PLANNED)
        per_token = expected.trials(forks)
        trials, hits = forms.totals(per_token), forms.totals(per_token * expected.value)
        return cls(forms.weights, np.minimum(hits, trials), trials, forms.constant * expected.end)


def _forms(expected: Expectation, positions: int) -> Forms:
    n = len(expected.probability)
    # the middles of so many equal stretches: their mean is that over all positions
    at = ((np.arange(min(positions, n)) + 0.5) * (n / max(min(positions, n), 1))).astype(np.int64)
    return level_forms(expected.probability, expected.blocks, at)


def _wide(values: Floats, columns: int) -> Floats:
    return np.pad(values, ((0, 0), (0, columns - values.shape[1])))


@dataclass(frozen=True)
class _Ray:
    """Numbers of forks along one ray: proportional to a shape.

    Attributes:
        shape: sqrt(v_b sum_s w_sb^2 / c_b), its largest entry 1, shape (blocks,).
        cost: Expected tokens of a fork of each block.
        mean_weight: Weight of each block, mean over positions 0..n-1.
    """

    shape: Floats
    cost: Floats
    mean_weight: Floats

    @classmethod
    def of(cls, expected: Expectation) -> _Ray:
        weights = _forms(expected, len(expected.probability)).weights
        value, cost = expected.block_value, expected.block_cost
        if not len(weights):
            return cls(np.zeros(len(cost)), cost, np.zeros(len(cost)))
        noise = np.maximum(value * (1 - value), _DOUBT) * (weights**2).sum(axis=0)
        shape = np.sqrt(np.where(cost > 0, noise / np.where(cost > 0, cost, 1.0), 0.0))
        largest = shape.max()
        return cls(shape / largest if largest > 0 else shape, cost, weights.mean(axis=0))

    def at(self, scale: float) -> Ints:
        forks: Ints = np.rint(scale * self.shape).astype(np.int64)
        return forks

    def affordable(self, wish: Wish) -> float:
        """Give the greatest scale that the budgets allow."""

        def holds(forks: Ints) -> bool:
            few = wish.max_forks is None or forks.sum() <= wish.max_forks
            return few and (wish.max_tokens is None or float(forks @ self.cost) <= wish.max_tokens)

        low, high = 0.0, _MOST
        if not self.shape.any() or holds(self.at(high)):
            return high
        while high - low > 1e-4 * high and (self.at(low) != self.at(high)).any():
            middle = (low + high) / 2
            low, high = (middle, high) if holds(self.at(middle)) else (low, middle)
        return low


def _reach(
    expected: Sequence[Expectation], rays: Sequence[_Ray], most: Floats, wish: Wish, wanted: float
) -> Floats:
    """Give for each original about the least scale at which a half-width is reached, or the most.

    The half-width falls about as a power of the scale, so steps are taken on logarithms, inside a
    bracket. All originals take them together; those that are near enough wait.
    """
    searches = [_Search(ray, greatest) for ray, greatest in zip(rays, most, strict=True)]
    for _ in range(_TRIES):
        open_ = [i for i, search in enumerate(searches) if not search.done]
        if not open_:
            break
        forks = [rays[i].at(searches[i].scale) for i in open_]
        widths = expected_half_widths([expected[i] for i in open_], forks, wish)
        for i, width in zip(open_, widths.tolist(), strict=True):
            searches[i].told(width, wanted)
    return np.array([search.found for search in searches])


@dataclass
class _Search:
    """Looks for the scale of one original.

    Attributes:
        ray: Its numbers of forks.
        most: Greatest scale allowed.
        scale: The scale that is tried next.
        low: Greatest scale known to be too small; 0 is tried first.
        high: Least scale known to be enough; infinite where none is known.
        done: Whether to stop.
    """

    ray: _Ray
    most: float
    scale: float = 0.0
    low: float = 0.0
    high: float = np.inf
    done: bool = False

    @property
    def found(self) -> float:
        """The least scale known to be enough, or the greatest allowed."""
        return min(self.high, self.most)

    def told(self, width: float, wanted: float) -> None:
        """Take note of the half-width at the scale that was tried, and choose the next."""
        if width <= wanted:
            self.high = self.scale
        else:
            self.low = self.scale
        enough = (1 - _NEAR) * wanted <= width <= wanted
        self.done = enough or self.high == 0 or self.low >= self.most
        self.done = self.done or (self.ray.at(self.low) == self.ray.at(self.found)).all()
        if self.scale == 0:
            self.scale = min(_FIRST, self.most)
            return
        # widths fall with a power between 1/2 (many forks) and 1 (few) of the forks
        step = self.scale * (width / ((1 - _NEAR / 2) * wanted)) ** 1.5
        if not self.low < step < self.high:
            step = np.sqrt(self.low * self.high) if self.low > 0 else self.high / 2
        self.scale = min(step, self.most)
