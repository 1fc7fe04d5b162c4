"""Strings of Markov chains with everything known about them, for tests of the fork estimator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from critwin.fork_blocks import Blocks
from critwin.fork_drawing import draw_forks
from critwin.forks import Forks
from critwin.generation import Generation
from critwin.prompt import Prompt
from critwin.sampler import Path
from critwin.samplers.markov_string import MarkovString
from critwin.seeds import fold_in

Floats = npt.NDArray[np.float64]


def random_chain(seed: int, *, symbols: int = 3, max_new_tokens: int = 40) -> MarkovString:
    """Give a sticky chain with sure steps, rare steps and a small chance to end."""
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.full(symbols + 1, 0.3), symbols) + 2 * np.eye(symbols, symbols + 1)
    rows[:, -1] = 0.1
    return MarkovString(
        symbols=tuple("abcdef"[:symbols]),
        initial=tuple(rng.dirichlet(np.ones(symbols))),
        transitions=tuple(map(tuple, rows / rows.sum(axis=1, keepdims=True))),
        max_new_tokens=max_new_tokens,
    )


def last_symbol(x: Generation) -> str:
    return x.text.split()[-1]


@dataclass(frozen=True)
class Known:
    """An original of a chain with its exact curve and leave values."""

    chain: MarkovString
    x: Generation
    path: Path
    own: str

    @classmethod
    def longest(cls, chain: MarkovString, *, among: int = 50, seed: int = 0) -> Known:
        (start,) = chain.start([Prompt("")])
        (drawn,) = chain.resample([start], seeds=[[fold_in(seed, i) for i in range(among)]])
        x = max(drawn, key=lambda g: (len(g.token_ids), sum(g.surprisal)))
        return cls(chain, x, chain.paths([x])[0], last_symbol(x))

    @property
    def n(self) -> int:
        return len(self.x.token_ids)

    def curve(self, label: str) -> Floats:
        """p_s of a label at 0..n."""
        column = self.chain.symbols.index(label)
        ids = self.x.token_ids
        return np.array([self.chain.last_symbol_law(ids[:s])[column] for s in range(self.n + 1)])

    def leave_values(self, label: str) -> Floats:
        """d_u of a label by enumerating the other tokens; 0 where there is no choice."""
        column, ids = self.chain.symbols.index(label), self.x.token_ids
        d = np.zeros(self.n)
        for u in np.flatnonzero(self.path.probability < 1):
            law = np.array(self.chain.transitions[ids[u - 1]] if u else [*self.chain.initial, 0])
            law[ids[u]] = 0
            for a in np.flatnonzero(law):
                d[u] += law[a] * self.chain.last_symbol_law((*ids[:u], int(a)))[column]
            d[u] /= law.sum()
        return d

    def forks(
        self, count: npt.ArrayLike, *, seeds: Sequence[int], blocks: Blocks | None = None
    ) -> list[Forks]:
        """Draw forks with the sampler itself, so many at each token, one set per seed."""
        number = np.broadcast_to(np.asarray(count), (self.n,)) * (self.path.probability < 1)
        many = len(seeds)
        drawn = draw_forks(self.chain, [self.x] * many, [number] * many, stage="main", seeds=seeds)
        return [self.counted(own, blocks=blocks) for own in drawn]

    def counted(
        self, forks: Sequence[tuple[int, Generation]], *, blocks: Blocks | None = None
    ) -> Forks:
        return Forks.of(
            "x",
            self.own,
            self.path,
            position=[u for u, _ in forks],
            labels=[last_symbol(y) for _, y in forks],
            blocks=blocks,
        )
