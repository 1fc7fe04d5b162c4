"""Masked diffusion of a finite distribution: each index is masked with probability t.

Source: Li, Karan, Chen (2025), arXiv:2502.00921, Example 3 (random masking); permuted masking as in
their discussion of hierarchies (Example 7): a random order in which indices are revealed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import comb
from typing import Literal

import numpy as np

from critwin.errors import ParameterError
from critwin.sampler import Level
from critwin.samplers.exact import Draw, ExactSampler, Ints, Values, Words, invert
from critwin.seeds import uniforms
from critwin.theory.posteriors import Axis, Floats, Posteriors, check_weights

MASK = -1
"""Stands for an index that is not seen."""

GROUPS = 14
"""Most groups of alike indices over whose subsets a law is summed; beyond, it is sampled."""


@dataclass(frozen=True, kw_only=True)
class MaskedStrings(ExactSampler):
    """Components are laws on the same M strings of d symbols.

    Attributes:
        strings: M different texts of d characters each, d >= 1.
        laws: For each component the probability of each string, (K, M).
        weights: K numbers > 0 that add up to 1; None for equal ones.
        masking: `independent`: each index is masked with probability t, the time; level k of
            `levels` has t = 1 - k / levels. `permuted`: exactly the first k indices of a random
            order are seen at level k; the time is the number that is masked, 0..d.
        levels: Levels of independent masking, >= 1; None for d.
    """

    strings: tuple[str, ...] = ("0000000000", "1111111111")
    laws: tuple[tuple[float, ...], ...] = ((1.0, 0.0), (0.0, 1.0))
    weights: tuple[float, ...] | None = None
    masking: Literal["independent", "permuted"] = "independent"
    levels: int | None = None

    def __post_init__(self) -> None:
        lengths = {len(s) for s in self.strings}
        if len(lengths) != 1 or 0 in lengths or len(set(self.strings)) != len(self.strings):
            allowed = "a list of different texts, equally long, not empty"
            raise ParameterError("strings", list(self.strings), allowed)
        for law in self.laws:
            if len(law) != len(self.strings) or min(law) < 0 or not np.isclose(sum(law), 1.0):
                allowed = f"lists of {len(self.strings)} probabilities that add up to 1"
                raise ParameterError("laws", list(law), allowed)
        if not self.laws:
            raise ParameterError("laws", [], "one law or more")
        if self.weights is not None:
            if len(self.weights) != len(self.laws):
                raise ParameterError("weights", list(self.weights), f"{len(self.laws)} numbers")
            check_weights("weights", self.weights)
        if self.masking not in ("independent", "permuted"):
            raise ParameterError("masking", self.masking, "independent or permuted")
        if self.levels is not None and (self.masking == "permuted" or self.levels < 1):
            allowed = "null, or a whole number >= 1 where masking is independent"
            raise ParameterError("levels", self.levels, allowed)

    @cached_property
    def mixture_weights(self) -> Floats:
        """Weights of the components."""
        k = len(self.laws)
        return np.full(k, 1 / k) if self.weights is None else check_weights("weights", self.weights)

    @property
    def axis(self) -> Axis:
        """Probability of a mask, or number of masks."""
        if self.masking == "independent":
            return Axis(0.0, 1.0)
        return Axis(0.0, float(self.length), whole=True)

    @property
    def length(self) -> int:
        """Indices of a string, d."""
        return len(self.strings[0])

    @property
    def last_level(self) -> int:
        """Everything is seen."""
        return self.levels or self.length

    @property
    def nothing(self) -> Values:
        """All indices masked."""
        return np.full(self.length, MASK)

    def time(self, level: Level) -> float:
        """Give the probability of a mask, or the number of masks."""
        if self.masking == "permuted":
            return float(self.length - level)
        return 1 - level / self.last_level

    def text(self, x: Draw) -> str:
        """Write the string."""
        return "".join(self._symbols[v] for v in x.value.tolist())

    def forget(self, values: Values, level: Ints, seeds: Words) -> Values:
        """Mask indices, each by its own random number."""
        u = uniforms(seeds[:, None], np.arange(self.length, dtype=np.uint64))
        if self.masking == "independent":
            hidden = u < 1 - level[:, None] / self.last_level
        else:
            hidden = u.argsort(axis=1).argsort(axis=1) >= level[:, None]
        return np.where(hidden, MASK, values)

    def component_posterior(self, data: Values, level: Ints) -> Floats:
        """Give P(component | symbols seen)."""
        joint = self._consistent(data) @ self._laws.T * self.mixture_weights
        posterior: Floats = joint / joint.sum(axis=1, keepdims=True)
        return posterior

    def fill(self, component: Ints, data: Values, level: Ints, seeds: Words) -> Values:
        """Draw one of the strings that agree with what is seen."""
        mass = self._consistent(data) * self._laws[component]
        chosen = invert(np.cumsum(mass, axis=1), uniforms(seeds, np.uint64(1)))
        return self._table[chosen]

    def posteriors(self, time: float) -> Posteriors:
        """By enumeration of what can be seen; indices at which the strings split alike are one."""
        if self._groups is None:
            level = self.last_level - time if self.masking == "permuted" else 0
            return (
                self._sampled(time)
                if level == 0 and time < self.axis.high
                else (self.sampled_posteriors(int(level)))
            )
        columns, sizes = self._groups
        mass, posterior = [], []
        for seen in product((False, True), repeat=len(sizes)):
            chance = self._chance(np.array(seen), sizes, time)
            if chance > 0:
                _, kind = np.unique(columns[:, list(seen)], axis=0, return_inverse=True)
                laws = np.zeros((len(self.laws), kind.max() + 1))
                np.add.at(laws.T, kind.ravel(), self._laws.T)
                at = Posteriors.of_laws(laws, self.mixture_weights)
                mass.append(chance * at.mass)
                posterior.append(at.posterior)
        return Posteriors(np.concatenate(mass), np.concatenate(posterior), self.mixture_weights)

    def _chance(self, seen: Values, sizes: Ints, time: float) -> float:
        """Give the probability that of just these groups at least one index is seen."""
        if self.masking == "independent":
            masked = time**sizes
            return float(np.prod(np.where(seen, 1 - masked, masked)))
        kept = self.length - round(time)
        ways = np.ones(1)
        for size in sizes[seen].tolist():
            ways = np.convolve(ways, [0, *(comb(size, j) for j in range(1, size + 1))])
        return float(ways[kept] / comb(self.length, kept)) if kept < len(ways) else 0.0

    def _sampled(self, time: float, *, draws: int = 20_000) -> Posteriors:
        """Give the law at any probability of a mask from the same random numbers at each call."""
        values = self._values_for_theory(draws)
        words = np.arange(draws, dtype=np.uint64)[:, None] + np.uint64(1 << 40)
        hidden = uniforms(words, np.arange(self.length, dtype=np.uint64)) < time
        data = np.where(hidden, MASK, values)
        posterior = self.component_posterior(data, np.ones(draws, np.int64))
        return Posteriors(np.full(draws, 1 / draws), posterior, self.mixture_weights, draws)

    @cached_property
    def _symbols(self) -> str:
        return "".join(sorted(set("".join(self.strings))))

    @cached_property
    def _table(self) -> Ints:
        """Symbol of each string at each index, shape (M, d)."""
        return np.array([[self._symbols.index(c) for c in s] for s in self.strings])

    @cached_property
    def _laws(self) -> Floats:
        laws = np.array(self.laws, np.float64)
        return np.asarray(laws / laws.sum(axis=1, keepdims=True))

    @cached_property
    def _groups(self) -> tuple[Ints, Ints] | None:
        """Give the different ways in which an index splits the strings, (M, G), and their sizes."""
        splits = np.array([np.unique(c, return_inverse=True)[1] for c in self._table.T])
        first = np.array([[list(row).index(v) for v in row] for row in splits])
        ways, sizes = np.unique(first, axis=0, return_counts=True)
        telling = (ways != 0).any(axis=1) | (self.masking == "permuted")
        if telling.sum() > GROUPS:
            return None
        return ways[telling].T, sizes[telling]

    def _consistent(self, data: Values) -> Floats:
        """Tell which strings agree with what is seen, shape (N, M)."""
        agrees = np.ones((len(data), len(self.strings)), bool)
        for at in range(self.length):
            column = data[:, at, None]
            agrees &= (column == MASK) | (column == self._table[:, at])
        return agrees.astype(np.float64)
