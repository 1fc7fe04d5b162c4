"""Data for the window rules: counts drawn from an original of which everything is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from critwin.changes import Sought
from critwin.curve import GridCurve, MeasuredCurve
from critwin.forks import ForkCurve, Forks, fork_levels
from critwin.protocol import Fractions
from experiments.detecting.aiming import aimed_forks, counted
from experiments.detecting.sources import OTHER, OWN, Source

Ints = npt.NDArray[np.int64]

Kind: TypeAlias = Literal["forks", "every token", "fractions", "aimed forks"]
KINDS: tuple[Kind, ...] = ("forks", "every token", "fractions")
"""Kinds of data with as many draws at every position."""

AIMED: Kind = "aimed forks"
"""Forks that are aimed at windows: as many as so many tokens pay for, and not everywhere."""


@dataclass(frozen=True)
class Budget:
    """What is drawn of one original.

    Attributes:
        kind: Forks at every token with a choice, resamples at every token, or at the paper's cuts;
            or forks that are aimed at windows.
        equal: Whether budgets compare `draws` per position, or `tokens` generated.
        size: Draws per position, or tokens.
    """

    kind: Kind
    equal: Literal["draws", "tokens"]
    size: int

    def draws(self, source: Source) -> int:
        """Give the draws per position: as many as the tokens pay for; 0 where they pay for none.

        Forks that are aimed count as one draw.
        """
        if self.kind == AIMED:
            return 1
        if self.equal == "draws":
            return self.size
        return int(self.size // self.tokens_of_one(source))

    def tokens_of_one(self, source: Source) -> int:
        """Give the tokens that one draw at every position takes; each goes on to the end."""
        return int((source.length - self.positions(source)).sum())

    def positions(self, source: Source) -> Ints:
        """Give the positions drawn at: tokens kept, before the token left for a fork."""
        n = source.length
        if self.kind == "forks":
            return np.flatnonzero(source.probability < 1)
        if self.kind == "every token":
            return np.arange(n)
        return np.array(Fractions().positions(n, lambda t: int((1 - t) * n + 1e-9)), np.int64)


@dataclass(frozen=True)
class Drawn:
    """Data of one original.

    Attributes:
        curves: The curves of its two labels, the own one first.
        tokens: Tokens generated for them, those of a pilot among them.
    """

    curves: list[MeasuredCurve]
    tokens: int


def draw(source: Source, budget: Budget, rng: np.random.Generator, sought: Sought) -> Drawn:
    """Draw the counts of an original.

    Leaving at u leads to the own label with probability d_u, and keeping s tokens with p_s: the
    counts are binomial, exactly as those of texts that are drawn and read.

    Args:
        source: The original.
        budget: What is drawn of it.
        rng: All randomness.
        sought: What forks are aimed at, where they are.
    """
    if budget.kind == AIMED:
        forks, tokens = aimed_forks(source, budget.size, sought, rng)
        return Drawn([bare_curve(forks, label) for label in (OWN, OTHER)], tokens)
    count = budget.draws(source)
    tokens = count * budget.tokens_of_one(source)
    if budget.kind == "forks":
        forks = fork_data(source, count, rng)
        return Drawn([bare_curve(forks, label) for label in (OWN, OTHER)], tokens)
    return Drawn(_grid(source, budget, count, rng), tokens)


def fork_data(source: Source, count: int, rng: np.random.Generator) -> Forks:
    """Draw the labels of forks, `count` at every token with a choice."""
    trials = np.where(source.probability < 1, count, 0)
    hits = rng.binomial(trials, source.leave)
    return counted(source, np.stack([hits, trials - hits]))


def bare_curve(forks: Forks, label: str) -> ForkCurve:
    """Give a curve without its intervals, which no rule looks at."""
    n = forks.length
    agreement = fork_levels(forks, label)
    bearing = np.append(np.cumsum(forks.trials[::-1])[::-1], 0)
    return ForkCurve(
        original_id=forks.original_id,
        label=label,
        own=label == forks.own,
        estimator="forks",
        length=n,
        position=np.arange(n + 1),
        agreement=agreement,
        lower=agreement,
        upper=agreement,
        trials=bearing,
        unscored=np.zeros(n + 1),
        forks=forks,
    )


def _grid(
    source: Source, budget: Budget, count: int, rng: np.random.Generator
) -> list[MeasuredCurve]:
    n, position = source.length, budget.positions(source)
    hits = rng.binomial(count, source.curve[position])
    share = np.append(hits / count, 1.0)
    curves: list[MeasuredCurve] = []
    for label, agreement in ((OWN, share), (OTHER, 1 - share)):
        curves.append(
            GridCurve(
                original_id=source.name,
                label=label,
                own=label == OWN,
                estimator="grid",
                length=n,
                position=np.append(position, n),
                agreement=agreement,
                lower=agreement,
                upper=agreement,
                trials=np.append(np.full(len(position), count), 0),
                unscored=np.zeros(len(position) + 1),
            )
        )
    return curves
