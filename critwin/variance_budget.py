"""Where an answer's uncertainty is spent: the variance budget of a question.

For each label a, P(a | first s tokens) is a martingale along an original that was drawn without any
condition, from P(a) to 0 or 1. Its changes over disjoint stretches are orthogonal, so

    E sum_a sum_u (delta_u^a)^2 = sum_a P(a) (1 - P(a)) = 1 - sum_a P(a)^2,

over tokens or over any stretches whose ends do not look ahead. J(c) is the share of this budget in
changes larger than c. One half of the forks says which changes these are, the two folds of the
other half square them by a product; then the halves change places. docs/uncertainty_budget.md.

Source: DESIGN.md, section 8; THEORY.md, section 1, item 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from critwin.fork_folds import Folds

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PHASES = 8
"""Positions of the first boundary over which blocks of nats are averaged."""


@dataclass(frozen=True)
class Stretches:
    """Stretches of a path over which its curve changes.

    Attributes:
        start: Tokens kept where each begins, shape (J,).
        end: Tokens kept where it ends, shape (J,).
        weight: Weight of each, shape (J,); a token has weight 1 over all that own it.
    """

    start: Ints
    end: Ints
    weight: Floats

    @classmethod
    def tokens(cls, length: int, block: int = 1) -> Stretches:
        """Cut a path into blocks of tokens, the mean over all places of the first boundary.

        Args:
            length: Tokens of the path, n.
            block: Tokens of a block, >= 1; those at the ends may be shorter.
        """
        first = np.arange(1 - block, length)
        start, end = np.maximum(first, 0), np.minimum(first + block, length)
        return cls(start, end, np.full(len(first), 1 / block))

    @classmethod
    def nats(cls, probability: npt.ArrayLike, block: float) -> Stretches:
        """Cut a path where its surprisal, summed from the start, passes multiples of a block.

        A token that passes several is cut once, after it. The mean over 8 places of the first
        boundary is taken.

        Args:
            probability: pi_u, shape (n,).
            block: In nats, > 0.
        """
        with np.errstate(divide="ignore"):
            summed = np.append(0.0, np.cumsum(-np.log(np.asarray(probability, np.float64))))
        starts, ends = [], []
        for phase in (np.arange(PHASES) + 0.5) / PHASES:
            cell = np.floor(summed / block + phase)
            cuts = np.flatnonzero(np.diff(cell) > 0) + 1
            edges = np.unique([0, *cuts, len(summed) - 1])
            starts.append(edges[:-1])
            ends.append(edges[1:])
        start, end = np.concatenate(starts), np.concatenate(ends)
        return cls(start, end, np.full(len(start), 1 / PHASES))


@dataclass(frozen=True)
class Squares:
    """Changes of an original's curves over stretches, placed and squared by different forks.

    Attributes:
        labels: The L labels seen.
        stretches: The J stretches.
        place: Change by each half of the forks, shape (2, L, J).
        square: Its square by the product of the two folds of each half, unbiased, may be negative;
            shape (2, L, J).
    """

    labels: tuple[str, ...]
    stretches: Stretches
    place: Floats
    square: Floats

    @classmethod
    def of(cls, folds: Folds, stretches: Stretches, levels: Floats | None = None) -> Squares:
        """Compare the curves at the ends of stretches; `levels` are those of the folds, if known.

        The two folds of a half stand one after the other.
        """
        p = folds.levels() if levels is None else levels
        change = p[..., stretches.end] - p[..., stretches.start]
        place = np.stack([(change[0] + change[1]) / 2, (change[2] + change[3]) / 2])
        square = np.stack([change[0] * change[1], change[2] * change[3]])
        return cls(folds.labels, stretches, place, square)

    @classmethod
    def exact(cls, labels: Sequence[str], stretches: Stretches, levels: npt.ArrayLike) -> Squares:
        """Take curves that are known, shape (L, n + 1)."""
        p = np.asarray(levels, np.float64)
        change = p[:, stretches.end] - p[:, stretches.start]
        return cls(tuple(labels), stretches, np.stack([change] * 2), np.stack([change**2] * 2))

    def above(self, threshold: float | None) -> Floats:
        """Give the squares in changes above a threshold.

        Args:
            threshold: In [0, 1); None for all changes.

        Returns:
            By half that squares, label and stretch, shape (2, L, J), weights put in.
        """
        weighted = self.square * self.stretches.weight
        if threshold is None:
            return weighted
        found: Floats = weighted * (np.abs(self.place[::-1]) > threshold)
        return found


def collision_free(labels: Sequence[str]) -> float:
    """Estimate 1 - sum_a P(a)^2 from labels of independent originals, without bias.

    Args:
        labels: At least two, `UNSCORED` like any other.

    Returns:
        The share of pairs of different originals whose labels differ.
    """
    if len(labels) < 2:
        raise ValueError(f"there are {len(labels)} labels; allowed: two or more")
    _, counts = np.unique(np.asarray(labels, dtype=object).astype(str), return_counts=True)
    n = len(labels)
    return float(1 - (counts * (counts - 1)).sum() / (n * (n - 1)))
