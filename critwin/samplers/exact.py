"""Exact samplers: mixtures whose noised laws and posteriors are known, and drawn from all at once.

A sample is a value together with the component that it came from: the component is what the theory
calls theta, and drawing it again with the value is what the label leak counts.
"""

from __future__ import annotations

import hashlib
import json
import os
from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from critwin.prompt import Prompt
from critwin.sampler import Level, Sampler
from critwin.seeds import fold_in, uniforms
from critwin.theory.posteriors import Axis, Floats, Posteriors

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Values = npt.NDArray[Any]

CHUNK = 1 << 17
"""Numbers that are computed together (they fit a cache); what they are does not depend on it."""

MONTE_CARLO = 20_000
"""Observations behind a number of the theory that has no closed form."""


class Draw:
    """A sample: a value and its component.

    Attributes:
        component: Number of the component, in [0, K).
        value: Shape (D,).
    """

    __slots__ = ("component", "value")

    def __init__(self, component: int, value: Values) -> None:
        self.component, self.value = component, value

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Draw)
            and self.component == other.component
            and np.array_equal(self.value, other.value)
        )

    def __hash__(self) -> int:
        return hash((self.component, self.value.tobytes()))

    def __repr__(self) -> str:
        return f"Draw({self.component}, {self.value.tolist()})"


class Observation:
    """What is left of a sample.

    Attributes:
        level: What is kept, in the sampler's unit; 0 for nothing.
        data: What is seen, shape (D,).
        whole: The sample itself where all of it is kept, else None.
    """

    __slots__ = ("data", "level", "whole")

    def __init__(self, level: Level, data: Values, whole: Draw | None = None) -> None:
        self.level, self.data, self.whole = level, data, whole

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Observation)
            and self.level == other.level
            and self.whole == other.whole
            and np.array_equal(self.data, other.data)
        )

    def __hash__(self) -> int:
        return hash((self.level, self.data.tobytes()))


class ExactSampler(Sampler[Draw, Observation]):
    """A mixture with a closed-form posterior. Subclasses are frozen dataclasses.

    Levels are 0..`levels`; `time(level)` is the theory's time, which falls from the axis' end to
    its beginning. What a subclass computes, it computes for arrays of N items.
    """

    exact: ClassVar[bool] = True

    satisfies: ClassVar[frozenset[str]] = frozenset(
        {"theorem_2", "detailed_balance", "monotone_leak", "leak_is_measured", "sharper_bounds"}
    )
    """Statements that hold for this sampler; tests/theorems holds it to each of them."""

    @property
    @abstractmethod
    def mixture_weights(self) -> Floats:
        """Weights of the components, > 0, sum 1, shape (K,)."""

    @property
    @abstractmethod
    def axis(self) -> Axis:
        """Times of the process."""

    @property
    @abstractmethod
    def last_level(self) -> int:
        """The level that keeps everything, >= 1."""

    @property
    @abstractmethod
    def nothing(self) -> Values:
        """What is seen at level 0, shape (D,)."""

    @abstractmethod
    def time(self, level: Level) -> float:
        """Give the theory's time of a level; it falls as the level rises."""

    @abstractmethod
    def forget(self, values: Values, level: Ints, seeds: Words) -> Values:
        """Give what is seen of values at levels in [1, last_level), shape (N, D)."""

    @abstractmethod
    def component_posterior(self, data: Values, level: Ints) -> Floats:
        """Give P(component | what is seen), shape (N, K); at level 0 it is the prior."""

    @abstractmethod
    def fill(self, component: Ints, data: Values, level: Ints, seeds: Words) -> Values:
        """Draw values given their component and what is seen of them, shape (N, D).

        Random numbers of a draw are those of its seed at steps >= 1.
        """

    @abstractmethod
    def posteriors(self, time: float) -> Posteriors:
        """Give the law of the posterior at a time of the axis."""

    def text(self, x: Draw) -> str:
        """Write a sample for display."""
        return " ".join(f"{v:.3g}" for v in x.value.tolist())

    def start(self, prompts: Sequence[Prompt]) -> list[Observation]:
        """Give the observation that keeps nothing for each prompt; there is no condition."""
        return [Observation(0, self.nothing) for _ in prompts]

    def snap(self, x: Draw, t: float) -> Level:
        """Give the level at which the share `t` of the levels is forgotten, rounded down."""
        if not 0 <= t <= 1:
            raise ValueError(f"t is {t!r}; allowed: [0, 1]")
        return int((1 - t) * self.last_level + 1e-9)

    def level_at(self, time: float) -> Level:
        """Give the highest level whose time is at least `time`: no more is known than then."""
        low, high = 0, self.last_level
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.time(middle) >= time - 1e-9 else (low, middle - 1)
        return low

    def observe(
        self, x: Sequence[Draw], level: Sequence[Level], *, seeds: Sequence[int]
    ) -> list[Observation]:
        """Forget all of each sample but its level."""
        levels = np.asarray(level, np.int64)
        if len(levels) and levels.min() < 0:
            raise ValueError(f"level is {levels.min()}; allowed: >= 0")
        end = self.last_level
        partly = np.flatnonzero((levels > 0) & (levels < end))
        seen = [
            Observation(0, self.nothing) if s == 0 else Observation(end, g.value, g)
            for g, s in zip(x, levels.tolist(), strict=True)
        ]
        if len(partly):
            values = np.stack([x[i].value for i in partly.tolist()])
            words = np.asarray(seeds, np.uint64)[partly]
            data = self.forget(values, levels[partly], words)
            for i, row in zip(partly.tolist(), data, strict=True):
                seen[i] = Observation(int(levels[i]), row)
        return seen

    def resample(
        self, y: Sequence[Observation], *, seeds: Sequence[Sequence[int]]
    ) -> list[list[Draw]]:
        """Draw component and value given each observation, all draws in large batches."""
        open_ = [i for i, seen in enumerate(y) if seen.whole is None]
        found: list[list[Draw]] = [
            [] if seen.whole is None else [seen.whole] * len(own)
            for seen, own in zip(y, seeds, strict=True)
        ]
        if not open_:
            return found
        counts = np.array([len(seeds[i]) for i in open_])
        row = np.repeat(np.arange(len(open_)), counts)
        words = np.concatenate([np.asarray(seeds[i], np.uint64) for i in open_])
        data = np.stack([y[i].data for i in open_])
        level = np.array([y[i].level for i in open_], np.int64)
        component, values = self.resample_rows(data, level, row, words)
        draws = list(map(Draw, component.tolist(), values))
        ends = np.cumsum(counts).tolist()
        for i, end, count in zip(open_, ends, counts.tolist(), strict=True):
            found[i] = draws[end - count : end]
        return found

    def resample_rows(
        self, data: Values, level: Ints, row: Ints, seeds: Words
    ) -> tuple[Ints, Values]:
        """Draw from observations given as arrays: what `resample` does, without its lists.

        Args:
            data: What is seen, shape (N, D).
            level: Levels, all below `last_level`, shape (N,).
            row: Which observation each draw belongs to, shape (R,).
            seeds: One per draw, shape (R,).

        Returns:
            Components, shape (R,), and values, shape (R, D).
        """
        cumulative = np.cumsum(self.component_posterior(data, level), axis=1)

        rows = _rows(data)

        def some(begin: int) -> tuple[Ints, Values]:
            at = row[begin : begin + rows]
            own = seeds[begin : begin + rows]
            component = invert(cumulative[at], uniforms(own, np.uint64(0)))
            return component, self.fill(component, data[at], level[at], own)

        parts = _in_threads(some, range(0, max(len(row), 1), rows))
        return (
            np.concatenate([component for component, _ in parts]),
            np.concatenate([values for _, values in parts]),
        )

    def draw_from(self, component: Ints, seeds: Words) -> Values:
        """Draw values of given components, X ~ p^theta, shape (N, D)."""
        level = np.zeros(len(component), np.int64)
        data = np.broadcast_to(self.nothing, (len(component), len(self.nothing)))
        rows = _rows(data)

        def some(begin: int) -> Values:
            at = slice(begin, begin + rows)
            return self.fill(component[at], data[at], level[at], seeds[at])

        return np.concatenate(_in_threads(some, range(0, max(len(component), 1), rows)))

    def draw_population(self, population: Floats, count: int, *, seed: int) -> list[Draw]:
        """Draw samples of a sub-population given by weights over the components."""
        seeds = np.array([fold_in(seed, "original", i) for i in range(count)], np.uint64)
        component = invert(
            np.broadcast_to(np.cumsum(population), (count, len(population))),
            uniforms(seeds, np.uint64(0)),
        )
        return list(map(Draw, component.tolist(), self.draw_from(component, seeds)))

    def sampled_posteriors(self, level: Level, *, draws: int = MONTE_CARLO) -> Posteriors:
        """Give the law of the posterior at a level from draws, the same at each call."""
        values = self._values_for_theory(draws)
        at = np.full(draws, level, np.int64)
        if level == 0:
            data = np.broadcast_to(self.nothing, (draws, len(self.nothing)))
        else:
            words = np.arange(draws, dtype=np.uint64) + np.uint64(fold_in(0, "theory's masks"))
            data = self.forget(values, at, words)
        return Posteriors(
            np.full(draws, 1 / draws),
            self.component_posterior(data, at),
            self.mixture_weights,
            draws=draws,
        )

    def _values_for_theory(self, draws: int) -> Values:
        words = np.arange(draws, dtype=np.uint64) + np.uint64(fold_in(0, "theory"))
        cumulative = np.broadcast_to(
            np.cumsum(self.mixture_weights), (draws, len(self.mixture_weights))
        )
        return self.draw_from(invert(cumulative, uniforms(words, np.uint64(0))), words)

    def fingerprint(self) -> str:
        """Hash everything that fixes the law: the sampler's own fields."""
        assert is_dataclass(self)
        content = {f.name: getattr(self, f.name) for f in fields(self)}
        text = json.dumps([type(self).__name__, content], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def invert(cumulative: Floats, u: Floats) -> Ints:
    """Draw from rows of cumulative sums, which need not end at 1, by inversion.

    Args:
        cumulative: Shape (N, K).
        u: In [0, 1), shape (N,).
    """
    drawn: Ints = (cumulative[:, :-1] <= (u * cumulative[:, -1])[:, None]).sum(axis=1)
    return drawn


def softmax(logits: Floats) -> Floats:
    """Give exp of each row, normalised; -inf is probability 0."""
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    scaled /= scaled.sum(axis=1, keepdims=True)
    return np.asarray(scaled)


def _rows(data: Values) -> int:
    return max(CHUNK // max(int(data.shape[1]), 1), 1)


def _in_threads(function: Any, begins: range) -> list[Any]:
    """Map over chunks in as many threads as there are cores: numpy works outside Python's lock."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if len(begins) == 1 or cores == 1:
        return [function(begin) for begin in begins]
    with ThreadPoolExecutor(cores) as pool:
        return list(pool.map(function, begins))
