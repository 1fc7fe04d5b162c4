"""The random hierarchy model under masking, with exact belief propagation.

A root symbol is written out by random rules, level by level, into the leaves of a tree. Each string
of symbols has one parent at most, so belief propagation on the tree is exact. Source: Sclocchi,
Favero, Wyart, arXiv:2402.16991 (PNAS 2025); named as future work by Li, Karan, Chen (2025).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from critwin.errors import ParameterError
from critwin.sampler import Level
from critwin.samplers.exact import Draw, ExactSampler, Ints, Values, Words, invert
from critwin.seeds import fold_in, uniforms
from critwin.theory.posteriors import Axis, Floats, Posteriors

MASK = -1
"""Stands for a leaf that is not seen."""


@dataclass(frozen=True, kw_only=True)
class RandomHierarchy(ExactSampler):
    """Each leaf is masked with probability t; components are the symbols of the root.

    Attributes:
        symbols: v, the symbols of each level, >= 2.
        rules: m, ways to write a symbol out, in [1, v^{s-1}].
        branching: s, symbols that a symbol is written out into, >= 2.
        depth: L, levels of rules, >= 1; there are s^L leaves.
        levels: Levels of masking, >= 1: level k has t = 1 - k / levels; None for s^L.
        rules_seed: Decides the rules.
    """

    symbols: int = 8
    rules: int = 4
    branching: int = 2
    depth: int = 4
    levels: int | None = None
    rules_seed: int = 0

    def __post_init__(self) -> None:
        for name, low in (("symbols", 2), ("branching", 2), ("depth", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < low:
                raise ParameterError(name, value, f"a whole number >= {low}")
        most = self.symbols ** (self.branching - 1)
        if type(self.rules) is not int or not 1 <= self.rules <= most:
            allowed = f"a whole number in [1, {most}], symbols to the power branching - 1"
            raise ParameterError("rules", self.rules, allowed)
        if self.branching**self.depth > 4096:
            raise ParameterError("depth", self.depth, "one with at most 4096 leaves")
        if self.levels is not None and (type(self.levels) is not int or self.levels < 1):
            raise ParameterError("levels", self.levels, "null or a whole number >= 1")

    @property
    def leaves(self) -> int:
        """Leaves of the tree, s^L."""
        return int(self.branching**self.depth)

    @property
    def mixture_weights(self) -> Floats:
        """Equal weights of the root's symbols."""
        return np.full(self.symbols, 1 / self.symbols)

    @property
    def axis(self) -> Axis:
        """Probability of a mask."""
        return Axis(0.0, 1.0)

    @property
    def last_level(self) -> int:
        """All leaves."""
        return self.levels or self.leaves

    @property
    def nothing(self) -> Values:
        """All leaves masked."""
        return np.full(self.leaves, MASK)

    def time(self, level: Level) -> float:
        """Give the probability of a mask."""
        return 1 - level / self.last_level

    def text(self, x: Draw) -> str:
        """Write the leaves."""
        return " ".join(map(str, x.value.tolist()))

    def forget(self, values: Values, level: Ints, seeds: Words) -> Values:
        """Mask leaves, each by its own random number."""
        u = uniforms(seeds[:, None], np.arange(self.leaves, dtype=np.uint64))
        return np.where(u < 1 - level[:, None] / self.last_level, MASK, values)

    def component_posterior(self, data: Values, level: Ints) -> Floats:
        """Give P(root | leaves seen), by one pass of messages up the tree."""
        root = self._messages(data)[-1][:, 0]
        posterior: Floats = root / root.sum(axis=1, keepdims=True)
        return posterior

    def fill(self, component: Ints, data: Values, level: Ints, seeds: Words) -> Values:
        """Draw the rules from the root down, given the messages from below."""
        messages = self._messages(data)
        nodes, step = component[:, None], 1
        for height in range(self.depth, 0, -1):
            rules = self.tables[self.depth - height]  # (v, m, s)
            below = messages[height - 1].reshape(len(data), nodes.shape[1], self.branching, -1)
            written = np.empty((*nodes.shape, self.branching), np.int64)
            for at in range(nodes.shape[1]):
                options = rules[nodes[:, at]]  # (N, m, s)
                mass = np.ones(options.shape[:2])
                for child in range(self.branching):
                    mass *= np.take_along_axis(below[:, at, child], options[:, :, child], axis=1)
                chosen = invert(np.cumsum(mass, axis=1), uniforms(seeds, np.uint64(step)))
                written[:, at] = options[np.arange(len(data)), chosen]
                step += 1
            nodes = written.reshape(len(data), -1)
        return nodes

    def posteriors(self, time: float) -> Posteriors:
        """From draws, the same ones at each call."""
        values, u = self._drawn
        posterior = self.component_posterior(np.where(u < time, MASK, values), np.empty(0, int))
        draws = len(values)
        return Posteriors(np.full(draws, 1 / draws), posterior, self.mixture_weights, draws)

    def ancestors(self, values: Values) -> list[Ints]:
        """Read the symbols of all levels off leaves: from leaves, (N, s^L), to the root, (N, 1).

        Raises:
            ValueError: A string of symbols has no parent: these are no leaves of this model.
        """
        found = [values]
        for height in range(1, self.depth + 1):
            rules = self.tables[self.depth - height]
            powers = self.symbols ** np.arange(self.branching)
            parent = np.full(self.symbols**self.branching, MASK)
            parent[rules @ powers] = np.arange(self.symbols)[:, None]
            strings = found[-1].reshape(len(values), -1, self.branching)
            found.append(parent[strings @ powers])
            if (found[-1] == MASK).any():
                raise ValueError("leaves that no rule writes; allowed: leaves drawn by this model")
        return found

    def node_posteriors(self, data: Values) -> list[Floats]:
        """Give P(symbol | leaves seen) of every node, by messages up the tree and down again.

        Args:
            data: Leaves, MASK where they are not seen, shape (N, s^L).

        Returns:
            For each height from the leaves to the root, shape (N, nodes, v).
        """
        up = self._messages(data)
        down = np.full((len(data), 1, self.symbols), 1 / self.symbols)
        found = [down * up[-1]]
        for height in range(self.depth, 0, -1):
            rules = self.tables[self.depth - height]  # (v, m, s)
            below = up[height - 1].reshape(len(data), -1, self.branching, self.symbols)
            passed = np.empty_like(below)
            for child in range(self.branching):
                weight = np.repeat(down[..., None], self.rules, axis=-1)
                for other in range(self.branching):
                    if other != child:
                        weight *= below[:, :, other][:, :, rules[:, :, other]]
                written = rules[:, :, child].ravel()[:, None] == np.arange(self.symbols)
                passed[:, :, child] = weight.reshape(*weight.shape[:2], -1) @ written
            down = passed.reshape(len(data), -1, self.symbols)
            down /= down.sum(axis=-1, keepdims=True)
            found.append(down * up[height - 1])
        return [mass / mass.sum(axis=-1, keepdims=True) for mass in reversed(found)]

    def node_stays(self, time: float) -> list[Floats]:
        """Give, for draws of what is seen at a time, how often a node's symbol is drawn again.

        Returns:
            For each height from the leaves to the root, the sum of squared posteriors, averaged
            over the nodes of the height, one number per draw.
        """
        values, u = self._drawn
        beliefs = self.node_posteriors(np.where(u < time, MASK, values))
        return [(belief**2).sum(axis=-1).mean(axis=1) for belief in beliefs]

    @cached_property
    def tables(self) -> list[Ints]:
        """Rules of each level from the root down: different strings for all, (v, m, s) each."""
        made = []
        for level in range(self.depth):
            rng = np.random.default_rng(fold_in(self.rules_seed, "rules", level))
            count = self.symbols * self.rules
            chosen = rng.choice(self.symbols**self.branching, size=count, replace=False)
            digits = chosen[:, None] // self.symbols ** np.arange(self.branching) % self.symbols
            made.append(digits.reshape(self.symbols, self.rules, self.branching))
        return made

    def _messages(self, data: Values) -> list[Floats]:
        """Give P(leaves seen below | symbol), scaled, for nodes of every height, leaves first."""
        seen = data[:, :, None] == np.arange(self.symbols)
        up = [np.where(data[:, :, None] == MASK, 1.0, seen)]
        for height in range(1, self.depth + 1):
            rules = self.tables[self.depth - height]
            below = up[-1].reshape(len(data), -1, self.branching, self.symbols)
            product = np.ones((len(data), below.shape[1], *rules.shape[:2]))
            for child in range(self.branching):
                product *= below[:, :, child][:, :, rules[:, :, child]]
            message = product.mean(axis=-1)
            up.append(message / message.max(axis=-1, keepdims=True))
        return up

    @cached_property
    def _drawn(self) -> tuple[Values, Floats]:
        draws = max(2000, min(8000, 1_000_000 // (self.leaves * self.symbols)))
        words = np.arange(draws, dtype=np.uint64)[:, None] + np.uint64(1 << 40)
        u = uniforms(words, np.arange(self.leaves, dtype=np.uint64))
        return self._values_for_theory(draws), u
