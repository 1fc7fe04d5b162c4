"""Mixtures of Markov chains, observed by their first tokens; each mode is a chain of its own.

Source: Li, Karan, Chen (2025), arXiv:2502.00921, section 3 (autoregressive models), Example 4 (two
modes that are alike until a branch) and Examples 6 and 11 (in-context learning).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from critwin.errors import ParameterError
from critwin.sampler import Level
from critwin.samplers.exact import Draw, ExactSampler, Ints, Values, Words, invert, softmax
from critwin.seeds import uniforms
from critwin.theory.posteriors import Axis, Floats, Posteriors

UNSEEN = -1
"""Stands for a token that is not seen."""

MOST_STATES = 200_000
"""Most different posteriors that are followed exactly; beyond, the law is sampled."""


class MarkovMixture(ExactSampler):
    """Strings whose tokens follow a chain that depends on the component and on the place.

    The level is the number of tokens seen, the time the number removed. Subclasses say what the
    chains are.
    """

    @property
    @abstractmethod
    def symbols(self) -> tuple[str, ...]:
        """What each of the S tokens reads as."""

    @property
    @abstractmethod
    def tokens(self) -> int:
        """Tokens of a string, T."""

    @property
    @abstractmethod
    def first(self) -> Floats:
        """Law of the first token under each component, shape (K, S)."""

    @abstractmethod
    def transitions(self, place: int) -> Floats:
        """Give the law of token `place` (from 1) after the token before it, shape (K, S, S)."""

    @property
    def axis(self) -> Axis:
        """Tokens removed."""
        return Axis(0.0, float(self.tokens), whole=True)

    @property
    def last_level(self) -> int:
        """All tokens."""
        return self.tokens

    @property
    def nothing(self) -> Values:
        """No token seen."""
        return np.full(self.tokens, UNSEEN)

    def time(self, level: Level) -> float:
        """Give the tokens removed."""
        return float(self.tokens - level)

    def text(self, x: Draw) -> str:
        """Write the tokens."""
        return "".join(self.symbols[v] for v in x.value.tolist())

    def forget(self, values: Values, level: Ints, seeds: Words) -> Values:
        """Keep the first tokens; truncation needs no randomness."""
        return np.where(np.arange(self.tokens) < level[:, None], values, UNSEEN)

    def component_posterior(self, data: Values, level: Ints) -> Floats:
        """Give P(component | first tokens)."""
        log = np.tile(np.log(self.mixture_weights), (len(data), 1))
        for place in range(int(level.max()) if len(level) else 0):
            seen = np.flatnonzero(level > place)
            token = data[seen, place]
            with np.errstate(divide="ignore"):
                if place == 0:
                    log[seen] += np.log(self.first[:, token]).T
                else:
                    log[seen] += np.log(self.transitions(place)[:, data[seen, place - 1], token]).T
        return softmax(log)

    def fill(self, component: Ints, data: Values, level: Ints, seeds: Words) -> Values:
        """Draw the tokens that are not seen, one after the other."""
        values = data.copy()
        for place in range(int(level.min()) if len(level) else 0, self.tokens):
            going = np.flatnonzero(level <= place)
            own = component[going]
            law = (
                self.first[own]
                if place == 0
                else self.transitions(place)[own, values[going, place - 1]]
            )
            u = uniforms(seeds[going], np.uint64(place + 1))
            values[going, place] = invert(np.cumsum(law, axis=1), u)
        return values

    def posteriors(self, time: float) -> Posteriors:
        """By following every different pair of last token and posterior, else from draws."""
        level = self.tokens - round(time)
        laws = self._laws
        if level >= len(laws):
            return self.sampled_posteriors(level)
        mass, log = laws[level]
        return Posteriors(mass, softmax(log), self.mixture_weights)

    @cached_property
    def _laws(self) -> list[tuple[Floats, Floats]]:
        """Give, per level, the mass and the log posterior (but for a constant) of each state."""
        mass, log = np.ones(1), np.log(self.mixture_weights)[None]
        last = np.zeros(1, np.int64)
        laws = [(mass, log)]
        for place in range(self.tokens):
            with np.errstate(divide="ignore"):
                step = np.log(
                    self.first[:, None, :] if place == 0 else self.transitions(place)
                )  # (K, S, S)
            grown = log[:, :, None] + step[:, last].transpose(1, 0, 2)  # (M, K, S)
            total = np.logaddexp.reduce(grown, axis=1) - np.logaddexp.reduce(log, axis=1)[:, None]
            with np.errstate(invalid="ignore"):
                spread = mass[:, None] * np.exp(total)
            row, token = np.nonzero(spread > 0)
            last, mass, log = _merged(token, spread[row, token], grown[row, :, token])
            if len(mass) > MOST_STATES:
                break
            laws.append((mass, log))
        return laws


def _merged(token: Ints, mass: Floats, log: Floats) -> tuple[Ints, Floats, Floats]:
    """Put together what has the same last token and the same posterior."""
    log = log - np.logaddexp.reduce(log, axis=1, keepdims=True)
    key = np.round(np.where(np.isfinite(log), log, -1e6), 9)
    table = np.column_stack([token, key])
    _, place, kind = np.unique(table, axis=0, return_index=True, return_inverse=True)
    total = np.bincount(kind.ravel(), weights=mass).astype(np.float64)
    return token[place], total, log[place]


@dataclass(frozen=True, kw_only=True)
class TwoModes(MarkovMixture):
    """Two modes that read alike until a branch, and then differ token by token.

    Before the branch tokens are x or y, fairly. From the branch on, mode 0 (the wanted one) writes
    s, and mode 1 at each token s with probability `alike`, else h; it goes on with h after an h.

    Attributes:
        length: Tokens T, >= 2.
        branch: Tokens before the branch, in [1, T).
        alike: Probability that mode 1 still looks like mode 0 at a token, in [0, 1).
        mode_weight: Weight of mode 0, in (0, 1).

    Source:
        Li, Karan, Chen (2025), Example 4 (jailbreaks, where the branch is at the start, and the
        Yellowstone digression); k tokens past the branch the modes overlap by alike^k.
    """

    length: int = 40
    branch: int = 20
    alike: float = 0.3
    mode_weight: float = 0.5

    def __post_init__(self) -> None:
        if type(self.length) is not int or self.length < 2:
            raise ParameterError("length", self.length, "a whole number >= 2")
        if type(self.branch) is not int or not 1 <= self.branch < self.length:
            raise ParameterError("branch", self.branch, f"a whole number in [1, {self.length})")
        if not 0 <= self.alike < 1:
            raise ParameterError("alike", self.alike, "a number in [0, 1)")
        if not 0 < self.mode_weight < 1:
            raise ParameterError("mode_weight", self.mode_weight, "a number in (0, 1)")

    @property
    def mixture_weights(self) -> Floats:
        """Weights of the modes."""
        return np.array([self.mode_weight, 1 - self.mode_weight])

    @property
    def symbols(self) -> tuple[str, ...]:
        """Undecided, safe, harmful."""
        return ("x", "y", "s", "h")

    @property
    def tokens(self) -> int:
        """Tokens of a string."""
        return self.length

    @property
    def first(self) -> Floats:
        """A fair choice of x and y."""
        return np.array([[0.5, 0.5, 0.0, 0.0]] * 2)

    def transitions(self, place: int) -> Floats:
        """Give both modes' law of a token."""
        if place < self.branch:
            return np.tile([0.5, 0.5, 0.0, 0.0], (2, 4, 1))
        other = np.tile([0.0, 0.0, self.alike, 1 - self.alike], (4, 1))
        other[3] = [0.0, 0.0, 0.0, 1.0]
        return np.stack([np.tile([0.0, 0.0, 1.0, 0.0], (4, 1)), other])


@dataclass(frozen=True, kw_only=True)
class InContext(MarkovMixture):
    """Worked examples x, y, o of one of K tasks, which the next one is answered by.

    An example is a fair input x, an output y that is task k's answer (x + k) mod `inputs` with
    probability 1 - noise and else a fair other one, and a separator o.

    Attributes:
        tasks: K, in [2, inputs].
        inputs: Values of x and of y, >= 2.
        examples: Worked examples T, >= 1; a string has 3 T + 3 tokens, the query among them.
        noise: Probability of another output, in (0, 1).

    Source:
        Li, Karan, Chen (2025), Examples 6 and 11; the tasks are ours.
    """

    tasks: int = 2
    inputs: int = 2
    examples: int = 20
    noise: float = 0.2

    satisfies = MarkovMixture.satisfies | {"in_context_bound"}

    def __post_init__(self) -> None:
        for name, low in (("inputs", 2), ("examples", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < low:
                raise ParameterError(name, value, f"a whole number >= {low}")
        if type(self.tasks) is not int or not 2 <= self.tasks <= self.inputs:
            raise ParameterError(
                "tasks", self.tasks, f"a whole number in [2, inputs {self.inputs}]"
            )
        if not 0 < self.noise < 1 - 1 / self.inputs:
            allowed = f"a number in (0, {1 - 1 / self.inputs:g}), so that the answer is likeliest"
            raise ParameterError("noise", self.noise, allowed)

    @property
    def mixture_weights(self) -> Floats:
        """Equal weights."""
        return np.full(self.tasks, 1 / self.tasks)

    @property
    def delta(self) -> float:
        """Squared Hellinger distance 2 - 2 BC of an example under two tasks, any two."""
        wrong = self.noise / (self.inputs - 1)
        return 2 - 2 * (2 * math.sqrt((1 - self.noise) * wrong) + (self.inputs - 2) * wrong)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Inputs, outputs, the separator."""
        letters = "abcdefghijklmnopqrstuvwxyz"
        inputs = [letters[i] if i < 26 else f"<{i}>" for i in range(self.inputs)]
        return (*inputs, *(f"{i}" if i < 10 else f"({i})" for i in range(self.inputs)), ";")

    @property
    def tokens(self) -> int:
        """Three per example, and three for the query, its answer and the end."""
        return 3 * self.examples + 3

    @cached_property
    def first(self) -> Floats:
        """A fair input."""
        law = np.zeros((self.tasks, 2 * self.inputs + 1))
        law[:, : self.inputs] = 1 / self.inputs
        return law

    def transitions(self, place: int) -> Floats:
        """Give each task's law of an input, an output or a separator."""
        return np.asarray(self._steps[place % 3])

    @cached_property
    def _steps(self) -> Floats:
        n, size = self.inputs, 2 * self.inputs + 1
        steps = np.zeros((3, self.tasks, size, size))
        steps[0, :, :, :n] = 1 / n
        steps[1, :, :, n : 2 * n] = 1 / n
        for task in range(self.tasks):
            for x in range(n):
                steps[1, task, x, n : 2 * n] = self.noise / (n - 1)
                steps[1, task, x, n + (x + task) % n] = 1 - self.noise
        steps[2, :, :, -1] = 1
        return steps
