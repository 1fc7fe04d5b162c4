"""Strings of a Markov chain: an exact sampler of text whose every probability is known.

Source: a stochastic localization sampler by truncation, Li, Karan, Chen (2025), arXiv:2502.00921,
Definition 2; the default chain is their Example 4 (two modes that are alike until a branch).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from critwin.errors import ParameterError
from critwin.generation import FinishReason, Generation, Prefix, TextSampler
from critwin.prompt import Prompt
from critwin.sampler import ForkingSampler, Path
from critwin.seeds import uniforms

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class MarkovString(TextSampler, ForkingSampler[Generation, Prefix]):
    """Draws symbols from a Markov chain until it ends or the limit is met.

    Token id k stands for `symbols[k]`, the id after the last symbol for the end.

    Attributes:
        symbols: The K symbols, all different.
        initial: Probability of each symbol to come first, shape (K,).
        transitions: Row k: probability of each symbol after symbol k, then of the end; (K, K+1).
        max_new_tokens: Length limit in tokens, the end included, >= 1.
    """

    symbols: tuple[str, ...] = ("?", "1", "2")
    initial: tuple[float, ...] = (1.0, 0.0, 0.0)
    transitions: tuple[tuple[float, ...], ...] = (
        (0.9, 0.06, 0.04, 0.0),
        (0.0, 0.8, 0.0, 0.2),
        (0.0, 0.0, 0.8, 0.2),
    )
    max_new_tokens: int = 64

    exact = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbols", tuple(self.symbols))
        object.__setattr__(self, "initial", tuple(self.initial))
        object.__setattr__(self, "transitions", tuple(tuple(row) for row in self.transitions))
        k = len(self.symbols)
        if k == 0 or len(set(self.symbols)) != k:
            raise ParameterError("symbols", self.symbols, "a list of different symbols")
        if len(self.initial) != k or not _is_law(self.initial):
            raise ParameterError("initial", self.initial, f"{k} probabilities that add up to 1")
        if len(self.transitions) != k:
            raise ParameterError("transitions", self.transitions, f"{k} rows, one per symbol")
        for row in self.transitions:
            if len(row) != k + 1 or not _is_law(row):
                raise ParameterError(
                    "transitions", row, f"rows of {k + 1} probabilities that add up to 1"
                )
        if type(self.max_new_tokens) is not int or self.max_new_tokens < 1:
            raise ParameterError("max_new_tokens", self.max_new_tokens, "a whole number >= 1")

    def fingerprint(self) -> str:
        """Hash the chain."""
        chain = json.dumps([self.symbols, self.initial, self.transitions, self.max_new_tokens])
        return hashlib.sha256(chain.encode()).hexdigest()

    def start(self, prompts: Sequence[Prompt]) -> list[Prefix]:
        """Give the empty prefix for each prompt; the chain has no condition."""
        return [Prefix(()) for _ in prompts]

    def resample(
        self, y: Sequence[Prefix], *, seeds: Sequence[Sequence[int]]
    ) -> list[list[Generation]]:
        """Continue each prefix, once per seed, all rows together."""
        rows = [(i, s) for i, p in enumerate(y) if p.whole is None for s in seeds[i]]
        drawn = iter(self._continue([y[i] for i, _ in rows], [s for _, s in rows]))
        return [
            [next(drawn) if p.whole is None else p.whole for _ in seeds[i]] for i, p in enumerate(y)
        ]

    def paths(self, x: Sequence[Generation]) -> list[Path]:
        """Read the probability of each symbol, and of the end, off the chain."""
        laws = self._laws()
        return [Path(laws[self._states(g), list(g.token_ids)]) for g in x]

    def fork(
        self, x: Sequence[Generation], position: Sequence[int], *, seeds: Sequence[int]
    ) -> list[Generation]:
        """Replace token `position` of each string by another one and go on to the end."""
        k, laws = len(self.symbols), self._laws()
        rows: list[tuple[Generation, int, int]] = list(zip(x, position, seeds, strict=True))
        for g, at, _ in rows:
            if not 1 <= at <= len(g.token_ids):
                raise ValueError(f"position is {at}; allowed: 1 to {len(g.token_ids)}")
        own = np.array([g.token_ids[at - 1] for g, at, _ in rows], dtype=np.int64)
        law = laws[[int(self._states(g)[at - 1]) for g, at, _ in rows]]
        certain = np.flatnonzero(law[np.arange(len(rows)), own] == 1)
        if len(certain):
            at = rows[certain[0]][1]
            raise ValueError(f"token {at} had probability 1: there is nothing to fork to")
        others = law.copy()
        others[np.arange(len(rows)), own] = 0.0
        # the token has the random number that it has in `resample`; later ones follow in order
        token = _invert(others, uniforms(*_words(seeds, np.array(position, np.int64) - 1)))
        with np.errstate(divide="ignore"):
            nats = 0.0 - np.log(law[np.arange(len(rows)), token])
        left = [
            Prefix((), (*g.token_ids[: at - 1], int(a)), (*g.surprisal[: at - 1], float(h)))
            for (g, at, _), a, h in zip(rows, token, nats, strict=True)
        ]
        going = [i for i in range(len(rows)) if token[i] < k]  # the limit is seen to further on
        ended = [self._generation(p, np.array([], np.int64), np.array([])) for p in left]
        drawn = self._continue([left[i] for i in going], [seeds[i] for i in going])
        for i, g in zip(going, drawn, strict=True):
            ended[i] = g
        return ended

    def tokens(self, token_ids: Sequence[int]) -> list[str]:
        """Give each symbol with a space before it; the end is empty."""
        names = [*(f" {symbol}" for symbol in self.symbols), ""]
        return [names[i] for i in token_ids]

    def text(self, token_ids: Sequence[int]) -> str:
        """Give the symbols, a space before each."""
        return "".join(self.tokens(token_ids))

    def prompt_text(self, prompt_ids: Sequence[int]) -> str:
        """Give nothing: the chain has no prompt."""
        return ""

    def last_symbol_law(self, token_ids: Sequence[int]) -> Floats:
        """Give the exact law of the last symbol of a string that begins with `token_ids`.

        Args:
            token_ids: Tokens kept, at most `max_new_tokens`.

        Returns:
            Probability of each symbol to be the last one, shape (K,).

        Source:
            Backward recursion (Chapman-Kolmogorov) over the tokens that are left.
        """
        k = len(self.symbols)
        if len(token_ids) and token_ids[-1] == k:
            token_ids = token_ids[:-1]
            certain: Floats = np.eye(k)[token_ids[-1]]
            return certain
        law: Floats = np.eye(k)
        left = self.max_new_tokens - max(len(token_ids), 1)
        table = np.array(self.transitions)
        for _ in range(left):
            law = table[:, :k] @ law + table[:, k:] * np.eye(k)
        weights = np.eye(k)[token_ids[-1]] if len(token_ids) else np.array(self.initial)
        mixed: Floats = weights @ law
        return mixed

    def _continue(self, prefixes: Sequence[Prefix], seeds: Sequence[int]) -> list[Generation]:
        """Draw all rows step by step, by inversion of the transition law."""
        k, rows = len(self.symbols), len(prefixes)
        laws = self._laws()
        with np.errstate(divide="ignore"):
            surprisals = 0.0 - np.log(laws)
        seed = np.array(seeds, dtype=np.int64)
        level = np.array([p.level for p in prefixes], dtype=np.int64)
        state = np.array([p.token_ids[-1] if p.level else k for p in prefixes], dtype=np.int64)
        limit = int(self.max_new_tokens - level.min()) if rows else 0
        token = np.full((rows, limit), k)
        surprisal = np.zeros((rows, limit))
        length = np.zeros(rows, dtype=np.int64)
        alive = np.flatnonzero(level < self.max_new_tokens)
        for step in range(limit):
            u = uniforms(*_words(seed[alive], level[alive] + step))
            drawn = _invert(laws[state[alive]], u)
            token[alive, step] = drawn
            surprisal[alive, step] = surprisals[state[alive], drawn]
            length[alive] += 1
            state[alive] = drawn
            alive = alive[(drawn < k) & (level[alive] + length[alive] < self.max_new_tokens)]
        return [
            self._generation(p, token[i, : length[i]], surprisal[i, : length[i]])
            for i, p in enumerate(prefixes)
        ]

    def _laws(self) -> Floats:
        """Give the law of the next token after each symbol and, in the last row, after none."""
        table = np.vstack([np.array(self.transitions), [*self.initial, 0.0]])
        normalised: Floats = table / table.sum(axis=1, keepdims=True)
        return normalised

    def _states(self, x: Generation) -> Ints:
        """Give the row of `_laws` that each token was drawn from."""
        return np.array([len(self.symbols), *x.token_ids], dtype=np.int64)[: len(x.token_ids)]

    def _generation(self, prefix: Prefix, token: Ints, surprisal: Floats) -> Generation:
        ids = prefix.token_ids + tuple(token.tolist())
        reason: FinishReason = "end" if ids and ids[-1] == len(self.symbols) else "length"
        nats = prefix.surprisal + tuple(surprisal.tolist())
        return Generation((), ids, nats, self.text(ids), reason)


def _words(
    seeds: npt.ArrayLike, step: Ints
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    return np.asarray(seeds, dtype=np.uint64), step.astype(np.uint64)


def _invert(law: Floats, u: Floats) -> Ints:
    """Draw from each row, which need not be normalised, by inversion of its cumulative sum."""
    cumulative = np.cumsum(law, axis=1)
    drawn: Ints = (cumulative <= (u * cumulative[:, -1])[:, None]).sum(axis=1)
    return drawn


def _is_law(row: Sequence[float]) -> bool:
    return all(p >= 0 for p in row) and bool(np.isclose(sum(row), 1.0, atol=1e-9))
