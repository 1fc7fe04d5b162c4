"""Sparse regression in context: y = <x, theta> + noise for a sparse theta, or nothing but noise.

Source: Li, Karan, Chen (2025), arXiv:2502.00921, Theorems 5 and 6 (all or nothing).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from critwin.errors import ParameterError
from critwin.sampler import Level
from critwin.samplers.exact import Draw, ExactSampler, Ints, Values, Words, softmax
from critwin.seeds import normals
from critwin.theory.posteriors import Axis, Floats, Posteriors

MOST_SUPPORTS = 20_000
"""Most supports that are enumerated."""


@dataclass(frozen=True, kw_only=True)
class SparseRegression(ExactSampler):
    """Components are the C(s, k) supports, weight 1/2 together, and last NULL, weight 1/2.

    An example is x ~ N(0, I_s) with y ~ N(<x, 1_support>, sigma2), under NULL y ~ N(0, k + sigma2).
    The posterior is enumerated over all supports, so there is no error but rounding. The level is
    the number of examples seen, the time the number removed.

    Attributes:
        features: s, >= 2.
        sparsity: k, in [1, s); at most 20 000 supports.
        sigma2: Variance of the noise, > 0.
        length: Examples N + 2, >= 3.
    """

    features: int = 16
    sparsity: int = 3
    sigma2: float = 0.3
    length: int = 22

    def __post_init__(self) -> None:
        if type(self.features) is not int or self.features < 2:
            raise ParameterError("features", self.features, "a whole number >= 2")
        if type(self.sparsity) is not int or not 1 <= self.sparsity < self.features:
            allowed = f"a whole number in [1, features {self.features})"
            raise ParameterError("sparsity", self.sparsity, allowed)
        count = math.comb(self.features, self.sparsity)
        if count > MOST_SUPPORTS:
            allowed = (
                f"one with at most {MOST_SUPPORTS} supports; {self.features} features: {count}"
            )
            raise ParameterError("sparsity", self.sparsity, allowed)
        if not 0 < self.sigma2 < math.inf:
            raise ParameterError("sigma2", self.sigma2, "a number > 0")
        if type(self.length) is not int or self.length < 3:
            raise ParameterError("length", self.length, "a whole number >= 3")

    @cached_property
    def supports(self) -> Floats:
        """Indicator of each support, shape (C, s)."""
        chosen = list(combinations(range(self.features), self.sparsity))
        table = np.zeros((len(chosen), self.features))
        table[np.arange(len(chosen))[:, None], chosen] = 1
        return table

    @cached_property
    def mixture_weights(self) -> Floats:
        """Half of the weight on the supports, half on NULL."""
        count = len(self.supports)
        return np.append(np.full(count, 0.5 / count), 0.5)

    @property
    def signal(self) -> list[int]:
        """Components that are supports."""
        return list(range(len(self.supports)))

    @property
    def axis(self) -> Axis:
        """Examples removed."""
        return Axis(0.0, float(self.length), whole=True)

    @property
    def last_level(self) -> int:
        """All examples."""
        return self.length

    @property
    def nothing(self) -> Values:
        """No example seen."""
        return np.zeros(self.length * (self.features + 1))

    def time(self, level: Level) -> float:
        """Give the examples removed."""
        return float(self.length - level)

    def text(self, x: Draw) -> str:
        """Write the answers y."""
        return " ".join(f"{v:.2f}" for v in x.value[self.features :: self.features + 1])

    def forget(self, values: Values, level: Ints, seeds: Words) -> Values:
        """Keep the first examples; truncation needs no randomness."""
        return np.where(self._seen(level), values, 0.0)

    def component_posterior(self, data: Values, level: Ints) -> Floats:
        """Give P(support or NULL | examples), all supports enumerated."""
        x, y = self._split(data)
        seen = np.arange(self.length) < level[:, None]
        logits = np.tile(np.log(self.mixture_weights), (len(data), 1))
        for at in range(int(level.max()) if len(level) else 0):
            off = y[:, at, None] - x[:, at] @ self.supports.T
            logits[:, :-1] -= np.where(seen[:, at, None], 0.5 * off**2 / self.sigma2, 0.0)
        spread = self.sparsity + self.sigma2
        constant = 0.5 * math.log(self.sigma2 / spread)  # of the signal against NULL, per example
        null = (constant - 0.5 * y**2 / spread) * seen
        logits[:, -1] += null.sum(axis=1)
        return softmax(logits)

    def fill(self, component: Ints, data: Values, level: Ints, seeds: Words) -> Values:
        """Draw the examples that are not seen."""
        shape = (len(data), self.length, self.features + 1)
        steps = np.arange(1, shape[1] * shape[2] + 1, dtype=np.uint64)
        z = normals(seeds[:, None], steps).reshape(shape)
        is_null = component == len(self.supports)
        theta = self.supports[np.minimum(component, len(self.supports) - 1)]
        mean = np.einsum("nts,ns->nt", z[:, :, :-1], theta)
        noise = z[:, :, -1]
        signal = mean + math.sqrt(self.sigma2) * noise
        null = math.sqrt(self.sparsity + self.sigma2) * noise
        z[:, :, -1] = np.where(is_null[:, None], null, signal)
        return np.where(self._seen(level), data, z.reshape(len(data), -1))

    def posteriors(self, time: float) -> Posteriors:
        """From draws, the same ones at each call; the posterior of each is enumerated."""
        count = len(self.supports) + 1
        return self.sampled_posteriors(self.length - round(time), draws=_draws(count))

    def _seen(self, level: Ints) -> Values:
        example = np.arange(self.length * (self.features + 1)) // (self.features + 1)
        return example < level[:, None]

    def _split(self, data: Values) -> tuple[Values, Values]:
        table = data.reshape(len(data), self.length, self.features + 1)
        return table[:, :, :-1], table[:, :, -1]


def _draws(components: int) -> int:
    """Give how many observations a number is sampled from: fewer where there are many supports."""
    return int(min(8000, max(1000, 2_000_000 // components)))
