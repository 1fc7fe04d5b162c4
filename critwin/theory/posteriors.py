"""The law of P(component | Y_t): all that distances between noised sub-populations depend on.

Every quantity of the theory is an expectation over Y_t ~ p_t of a function of the posterior: the
density of a sub-population u against p_t is sum_theta u_theta P(theta | Y_t) / w_theta. So closed
forms, quadrature, enumeration and Monte Carlo differ only in how this law is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from critwin.errors import ParameterError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number of the theory.

    Attributes:
        value: The number.
        lower: Lower end of its 95 % interval; `value` itself where it was not sampled.
        upper: Upper end of it.
        draws: Observations that it was sampled from; None for closed forms, enumeration and
            quadrature, whose error is that of rounding or of the grid.
    """

    value: float
    lower: float
    upper: float
    draws: int | None = None

    @classmethod
    def exact(cls, value: float) -> Estimate:
        """Give a number that was not sampled."""
        return cls(value, value, value)


@dataclass(frozen=True)
class Posteriors:
    """The law of the posterior of the component at one time.

    Attributes:
        mass: Probability of each value of Y_t (or node, or draw), >= 0, sum 1, shape (M,).
        posterior: P(component | y) for each of them, shape (M, K).
        weights: Weights w of the components, > 0, sum 1, shape (K,).
        draws: M where the values were drawn from p_t; None where they are all there are.
    """

    mass: Floats
    posterior: Floats
    weights: Floats
    draws: int | None = None

    @classmethod
    def of_laws(cls, laws: npt.ArrayLike, weights: npt.ArrayLike) -> Posteriors:
        """Make it of the probability of each value of Y_t under each component.

        Args:
            laws: Probabilities (or densities times node widths), shape (K, M).
            weights: Shape (K,).
        """
        w, p = np.asarray(weights, np.float64), np.asarray(laws, np.float64)
        joint = (w[:, None] * p).T
        mass = joint.sum(axis=1)
        seen = mass > 0
        return cls(mass[seen], joint[seen] / mass[seen, None], w)

    def ratio(self, population: Floats) -> Floats:
        """Give the density of a sub-population against p_t at each value, shape (M,)."""
        ratio: Floats = self.posterior @ (population / self.weights)
        return ratio

    def expectation(self, values: Floats, *, span: float, level: float = 0.95) -> Estimate:
        """Give the mean of a function of Y_t ~ p_t.

        Args:
            values: The function at each value of Y_t, in [0, span], shape (M,).
            span: Greatest value that the function can take.
            level: Coverage of the interval, in (0, 1).

        Source:
            Maurer, Pontil (2009), "Empirical Bernstein bounds", Theorem 4, on both sides: it holds
            for every number of draws, also where none of them met the event.
        """
        mean = float(self.mass @ values)
        if self.draws is None:
            return Estimate.exact(mean)
        n, spread = self.draws, math.log(4 / (1 - level))
        variance = float(values.var(ddof=1)) if n > 1 else span**2
        margin = math.sqrt(2 * variance * spread / n) + 7 * span * spread / (3 * max(n - 1, 1))
        return Estimate(mean, max(mean - margin, 0.0), min(mean + margin, span), n)


@dataclass(frozen=True)
class Axis:
    """The times at which a process is observed: [low, high], or the whole numbers in it.

    Attributes:
        low: Time at which everything is known, >= 0.
        high: Time at which nothing is known; may be infinite.
        whole: Whether only whole numbers are times, as for tokens removed.
    """

    low: float
    high: float
    whole: bool = False


class NoisedMixture(Protocol):
    """A mixture whose components are observed with noise: what the theory is computed from."""

    @property
    def mixture_weights(self) -> Floats:
        """Weights of the components, > 0, sum 1, shape (K,)."""

    @property
    def axis(self) -> Axis:
        """The times of the process."""

    def posteriors(self, time: float) -> Posteriors:
        """Give the law of the posterior at a time of the axis."""


def population(weights: npt.ArrayLike, members: Sequence[int], *, name: str = "members") -> Floats:
    """Give the sub-population of some components: the mixture's weights, renormalised.

    Args:
        weights: Weights of the mixture, shape (K,).
        members: Numbers of components, in [0, K), all different, at least one.
        name: What the members are called in a message.

    Raises:
        ParameterError: They are not that.
    """
    w = np.asarray(weights, np.float64)
    allowed = f"a list of different components, at least one, each in 0..{len(w) - 1}"
    inside = all(type(i) is int and 0 <= i < len(w) for i in members)
    if not members or not inside or len(set(members)) != len(members):
        raise ParameterError(name, list(members), allowed)
    own: Floats = np.zeros(len(w))
    own[list(members)] = w[list(members)]
    return np.asarray(own / own.sum())


def rest_of(weights: npt.ArrayLike, members: Sequence[int]) -> list[int]:
    """Give the components outside `members`."""
    inside = set(members)
    return [i for i in range(len(np.asarray(weights))) if i not in inside]


def check_weights(name: str, weights: npt.ArrayLike) -> Floats:
    """Give weights as an array that sums to 1.

    Raises:
        ParameterError: They are not positive numbers that add up to 1.
    """
    w = np.asarray(weights, np.float64)
    if w.ndim != 1 or len(w) == 0 or not (w > 0).all() or not math.isclose(w.sum(), 1.0):
        raise ParameterError(name, np.asarray(weights).tolist(), "numbers > 0 that add up to 1")
    return np.asarray(w / w.sum())
