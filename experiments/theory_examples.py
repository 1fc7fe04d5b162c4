"""The examples of the calculator: each says its mixture, its sets and the paper's formulas."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

from critwin.errors import ParameterError
from critwin.samplers import gaussian_mixture, markov_mixture, random_hierarchy, random_walk
from critwin.samplers.masked_strings import MaskedStrings
from critwin.samplers.sparse_regression import SparseRegression as Regression
from critwin.theory import examples
from critwin.theory.examples import PaperTimes
from critwin.theory.posteriors import NoisedMixture
from critwin.theory.random_hierarchy import Annealed
from experiments.theory import Theory

UNIFORM: Literal["uniform"] = "uniform"


@dataclass(frozen=True, kw_only=True)
class GaussianPair(Theory):
    """N(-mu, I) and N(mu, I), one within both; `mu` is a length, in any dimension."""

    mu: float = 4.0

    unit: ClassVar[str] = "Ornstein-Uhlenbeck time"

    @cached_property
    def mixture(self) -> NoisedMixture:
        """The pair on the line through its means."""
        if not 0 < self.mu < math.inf:
            raise ParameterError("mu", self.mu, "a number > 0")
        return gaussian_mixture.GaussianMixture(means=((-self.mu,), (self.mu,)))

    def sets(self) -> tuple[list[int], list[int]]:
        """Give the upper one and both."""
        return [1], [0, 1]

    def paper(self) -> PaperTimes:
        """Give Example 1."""
        return examples.gaussian_pair(self.mu, self.epsilon)

    def closed_form(self) -> tuple[float | None, float | None]:
        """Give both times."""
        return examples.gaussian_pair_exact(self.mu, self.epsilon)

    def more(self) -> dict[str, Any]:
        """Add the speciation time 1/2 ln(1 + mu^2) and the probability to stay at `time`."""
        stays = None
        if self.time is not None:
            stays = examples.gaussian_pair_stay(self.mu * math.exp(-self.time))
        return {"stay": stays, "speciation_time": examples.speciation_time(1 + self.mu**2)}


@dataclass(frozen=True, kw_only=True)
class GaussianMixture(Theory):
    """Unit Gaussians at `means` (numbers, or lists of numbers) with `weights`."""

    means: tuple[float, ...] | tuple[tuple[float, ...], ...] = (-15.0, -9.0, 9.0, 15.0)
    weights: Literal["uniform"] | tuple[float, ...] = UNIFORM
    after: tuple[int, ...] = (0,)
    before: tuple[int, ...] = (0, 1)

    unit: ClassVar[str] = "Ornstein-Uhlenbeck time"

    @cached_property
    def mixture(self) -> gaussian_mixture.GaussianMixture:
        """The mixture."""
        rows = tuple(tuple(m) if isinstance(m, tuple | list) else (m,) for m in self.means)
        weights = None if self.weights == UNIFORM else tuple(float(w) for w in self.weights)
        return gaussian_mixture.GaussianMixture(means=rows, weights=weights)

    def sets(self) -> tuple[list[int], list[int]]:
        """Give what the keys say."""
        return list(self.after), list(self.before)

    def paper(self) -> PaperTimes:
        """Give Example 2 where it applies."""
        means = np.array(self.mixture.means)
        if len(self.after) == 1 and len(self.before) == len(means):
            return examples.gaussians(means, self.after[0], self.epsilon)
        note = "Example 2 is about one component within all: no formula of the paper for these sets"
        return PaperTimes(None, None, None, (note,))


@dataclass(frozen=True, kw_only=True)
class MaskedDiracs(Theory):
    """Two strings that differ at `distance` indices, each index masked with probability t."""

    distance: int = 10

    unit: ClassVar[str] = "probability of a mask"

    @cached_property
    def mixture(self) -> NoisedMixture:
        """The indices at which they differ."""
        if type(self.distance) is not int or self.distance < 1:
            raise ParameterError("distance", self.distance, "a whole number >= 1")
        return MaskedStrings(strings=("0" * self.distance, "1" * self.distance))

    def sets(self) -> tuple[list[int], list[int]]:
        """Give one and both."""
        return [0], [0, 1]

    def paper(self) -> PaperTimes:
        """Give Example 3."""
        return examples.masked_diracs(self.distance, self.epsilon)

    def closed_form(self) -> tuple[float | None, float | None]:
        """Give both times."""
        return examples.masked_diracs_exact(self.distance, self.epsilon)

    def more(self) -> dict[str, Any]:
        """Add the probability that the string switches, at `time`."""
        return {"switch": None if self.time is None else self.time**self.distance / 2}


@dataclass(frozen=True, kw_only=True)
class TwoModes(Theory):
    """Two modes identical for `branch` of `length` tokens, then alike with a probability."""

    length: int = 40
    branch: int = 20
    alike: float = 0.3

    unit: ClassVar[str] = "tokens removed"

    @cached_property
    def mixture(self) -> NoisedMixture:
        """The modes."""
        return markov_mixture.TwoModes(length=self.length, branch=self.branch, alike=self.alike)

    def sets(self) -> tuple[list[int], list[int]]:
        """Give the mode that wanders off, and both."""
        return [1], [0, 1]

    def paper(self) -> PaperTimes:
        """Give Example 4."""
        return examples.two_modes(self.length, self.branch, self.alike, self.epsilon)


@dataclass(frozen=True, kw_only=True)
class RandomWalk(Theory):
    """A walk of `length` steps with drift up or down, between ends at -barrier and +barrier."""

    drift: float = 0.05
    length: int = 2000
    barrier: int | None = None

    unit: ClassVar[str] = "steps removed"

    @cached_property
    def mixture(self) -> random_walk.RandomWalk:
        """The walk."""
        return random_walk.RandomWalk(drift=self.drift, length=self.length, barrier=self.barrier)

    def sets(self) -> tuple[list[int], list[int]]:
        """Give the strong mode and both."""
        return [0], [0, 1]

    def paper(self) -> PaperTimes:
        """Give Example 5."""
        return examples.random_walk(self.length, self.drift, self.barrier, self.epsilon)

    def more(self) -> dict[str, Any]:
        """Add the gambler's ruin."""
        reached = None if self.barrier is None else self.mixture.hits_upper_end()
        return {"hits_upper_end": reached}


@dataclass(frozen=True, kw_only=True)
class InContext(Theory):
    """Worked examples of one of `tasks` tasks, answered wrongly with probability `noise`."""

    tasks: int = 2
    inputs: int = 2
    examples: int = 20
    noise: float = 0.2

    unit: ClassVar[str] = "tokens removed"

    @cached_property
    def mixture(self) -> markov_mixture.InContext:
        """The tasks."""
        return markov_mixture.InContext(
            tasks=self.tasks, inputs=self.inputs, examples=self.examples, noise=self.noise
        )

    def sets(self) -> tuple[list[int], list[int]]:
        """Give one task and all."""
        return [0], list(range(self.tasks))

    def paper(self) -> PaperTimes:
        """Give Examples 6 and 11."""
        return examples.in_context(self.examples, self.mixture.delta, self.epsilon)

    def more(self) -> dict[str, Any]:
        """Add delta and the affinity after all examples that pairs of tasks bound."""
        w = self.mixture.mixture_weights.tolist()
        bound = examples.in_context_affinity(w, 0, self.mixture.delta, self.examples)
        return {"delta": self.mixture.delta, "affinity_bound": bound}


@dataclass(frozen=True, kw_only=True)
class AllOrNothing(Theory):
    """Sparse regression: `sparsity` of `features` are on, noise variance `sigma2`, against NULL."""

    features: int = 16
    sparsity: int = 3
    sigma2: float = 0.3
    length: int = 22
    delta: float = 0.5

    unit: ClassVar[str] = "examples removed"

    @cached_property
    def mixture(self) -> Regression:
        """The regression."""
        return Regression(
            features=self.features, sparsity=self.sparsity, sigma2=self.sigma2, length=self.length
        )

    def sets(self) -> tuple[list[int], list[int]]:
        """Give the signal, and signal and NULL."""
        signal = self.mixture.signal
        return signal, [*signal, len(signal)]

    def paper(self) -> PaperTimes:
        """Give Theorem 6."""
        return examples.all_or_nothing(
            self.length, self.features, self.sparsity, self.sigma2, self.delta
        )


@dataclass(frozen=True, kw_only=True)
class DiscourseVector(Theory):
    """Two discourse vectors of strength `alpha` whose directions have inner product `inner`."""

    alpha: float = 1e6
    inner: float = 0.0

    unit: ClassVar[str] = "Ornstein-Uhlenbeck time"

    @cached_property
    def mixture(self) -> NoisedMixture:
        """The two topics."""
        return gaussian_mixture.DiscourseVectors(alpha=self.alpha, inner=self.inner)

    def sets(self) -> tuple[list[int], list[int]]:
        """Give one and both."""
        return [0], [0, 1]

    def paper(self) -> PaperTimes:
        """Give Theorem 9."""
        return examples.discourse_vector(self.alpha, self.inner, self.epsilon)


@dataclass(frozen=True, kw_only=True)
class RandomHierarchy(Theory):
    """The random hierarchy model: v `symbols`, m `rules` each, s `branching`, L `depth`."""

    symbols: int = 8
    rules: int = 4
    branching: int = 2
    depth: int = 4

    unit: ClassVar[str] = "probability of a mask"

    @cached_property
    def mixture(self) -> NoisedMixture:
        """The model under masking, with rules of seed 0."""
        return random_hierarchy.RandomHierarchy(
            symbols=self.symbols, rules=self.rules, branching=self.branching, depth=self.depth
        )

    def sets(self) -> tuple[list[int], list[int]]:
        """Give one symbol of the root and all."""
        return [0], list(range(self.symbols))

    def paper(self) -> PaperTimes:
        """Give the annealed theory; the paper has no formula."""
        a = Annealed(self.symbols, self.rules, self.branching)
        note = "the paper names this model as future work: no formula; annealed: Sclocchi et al."
        extra = {
            "slope_at_one": a.slope_at_one,
            "slope_at_chance": a.slope_at_chance,
            "unstable_point": a.unstable_point,
            "transition": a.transition,
        }
        return PaperTimes(None, None, None, (note,), extra)
