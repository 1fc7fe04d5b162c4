"""The random walk with a hidden drift and absorbing ends, observed by its first steps.

Source: Li, Karan, Chen (2025), arXiv:2502.00921, Example 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from critwin.errors import ParameterError
from critwin.sampler import Level
from critwin.samplers.exact import Draw, ExactSampler, Ints, Values, Words, softmax
from critwin.seeds import uniforms
from critwin.theory.posteriors import Axis, Floats, Posteriors

UNSEEN = -(1 << 40)
"""Stands for a position that is not seen."""


@dataclass(frozen=True, kw_only=True)
class RandomWalk(ExactSampler):
    """Component 0 steps up with probability 1/2 + drift, component 1 with 1/2 - drift.

    A sample is the position after each step; a walk that meets an end stays there. The level is
    the number of steps seen, the time the number that is removed.

    Attributes:
        drift: Delta, in (0, 1/2).
        length: Steps T, >= 1.
        barrier: The ends are -barrier and +barrier, >= 1; None for none.
        strong_weight: Weight of component 0, in (0, 1).
    """

    drift: float = 0.1
    length: int = 300
    barrier: int | None = 20
    strong_weight: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.drift < 0.5:
            raise ParameterError("drift", self.drift, "a number in (0, 0.5)")
        if type(self.length) is not int or self.length < 1:
            raise ParameterError("length", self.length, "a whole number >= 1")
        if self.barrier is not None and (type(self.barrier) is not int or self.barrier < 1):
            raise ParameterError("barrier", self.barrier, "null or a whole number >= 1")
        if not 0 < self.strong_weight < 1:
            raise ParameterError("strong_weight", self.strong_weight, "a number in (0, 1)")

    @property
    def mixture_weights(self) -> Floats:
        """Weights of the two drifts."""
        return np.array([self.strong_weight, 1 - self.strong_weight])

    @property
    def axis(self) -> Axis:
        """Steps removed."""
        return Axis(0.0, float(self.length), whole=True)

    @property
    def last_level(self) -> int:
        """All steps."""
        return self.length

    @property
    def nothing(self) -> Values:
        """No position seen."""
        return np.full(self.length, UNSEEN)

    @property
    def log_odds(self) -> float:
        """By how much a step up raises the log odds of component 0."""
        return math.log((0.5 + self.drift) / (0.5 - self.drift))

    def time(self, level: Level) -> float:
        """Give the steps removed."""
        return float(self.length - level)

    def text(self, x: Draw) -> str:
        """Write the steps as + and -, and . once the walk has ended."""
        signs = {1: "+", -1: "-", 0: "."}
        return "".join(signs[int(s)] for s in np.diff(x.value, prepend=0))

    def forget(self, values: Values, level: Ints, seeds: Words) -> Values:
        """Keep the first positions; truncation needs no randomness."""
        return np.where(np.arange(self.length) < level[:, None], values, UNSEEN)

    def component_posterior(self, data: Values, level: Ints) -> Floats:
        """Give P(drift | position): sigmoid(position x log odds) at equal weights."""
        return self.posterior_at(self._position(data, level))

    def posterior_at(self, position: Ints) -> Floats:
        """Give P(component | the walk is at a position), shape (N, 2)."""
        half = 0.5 * self.log_odds * position.astype(np.float64)
        return softmax(np.stack([half, -half], axis=1) + np.log(self.mixture_weights))

    def fill(self, component: Ints, data: Values, level: Ints, seeds: Words) -> Values:
        """Walk on from the last position seen."""
        values = data.copy()
        position = self._position(data, level)
        up = np.where(component == 0, 0.5 + self.drift, 0.5 - self.drift)
        for step in range(int(level.min()) if len(level) else 0, self.length):
            u = uniforms(seeds, np.uint64(step + 1))
            moved = position + np.where(u < up, 1, -1)
            if self.barrier is not None:
                moved = np.where(np.abs(position) >= self.barrier, position, moved)
            position = np.where(step >= level, moved, position)
            values[:, step] = np.where(step >= level, position, values[:, step])
        return values

    def posteriors(self, time: float) -> Posteriors:
        """By the law of the position, which is all that matters: binomial, or step by step."""
        steps = self.length - round(time)
        if self.barrier is None:
            ups = np.arange(steps + 1)
            position = 2 * ups - steps
            laws = np.exp(_log_binomial(steps) + _log_powers(ups, steps, self.drift))
        else:
            position = np.arange(-self.barrier, self.barrier + 1)
            laws = self._absorbed[steps]
        w = self.mixture_weights
        mass = w @ laws
        posterior = self.posterior_at(position)  # accurate where both laws underflow
        return Posteriors(mass[mass > 0], posterior[mass > 0], w)

    def hits_upper_end(self) -> float:
        """Give P(an unending walk of component 0 meets +barrier before -barrier).

        Source:
            Gambler's ruin: 1 / (1 + ((1/2 - drift) / (1/2 + drift))^barrier).
        """
        return 1.0 if self.barrier is None else 1 / (1 + math.exp(-self.log_odds * self.barrier))

    @cached_property
    def _absorbed(self) -> Floats:
        """Law of the position after each number of steps, shape (T + 1, 2, 2 barrier + 1)."""
        assert self.barrier is not None
        laws = np.zeros((self.length + 1, 2, 2 * self.barrier + 1))
        laws[0, :, self.barrier] = 1
        up = np.array([[0.5 + self.drift], [0.5 - self.drift]])
        for step in range(self.length):
            now, then = laws[step], laws[step + 1]
            then[:, 2:] += now[:, 1:-1] * up
            then[:, :-2] += now[:, 1:-1] * (1 - up)
            then[:, [0, -1]] += now[:, [0, -1]]
        return laws

    def _position(self, data: Values, level: Ints) -> Ints:
        last = data[np.arange(len(data)), np.maximum(level - 1, 0)]
        return np.where(level > 0, last, 0)


def _log_binomial(n: int) -> Floats:
    from scipy.special import gammaln

    k = np.arange(n + 1)
    log: Floats = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return log


def _log_powers(ups: Ints, steps: int, drift: float) -> Floats:
    up, down = math.log(0.5 + drift), math.log(0.5 - drift)
    return np.stack([ups * up + (steps - ups) * down, ups * down + (steps - ups) * up])
