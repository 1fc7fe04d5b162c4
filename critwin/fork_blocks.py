"""Blocks: runs of tokens that share their forks, so that few forks serve many improbable exits.

A fork of a block stands at a token drawn at random, with the probability that a resample that
leaves within the block first leaves there. Its label is then one draw with the block's mean leave
value; and for any position inside the block, the forks that happen to stand after it are draws with
the mean leave value of what remains. So every position's count is binomial, without a fork at every
token. Tokens at which much is decided are blocks of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from critwin.seeds import fold_in, uniforms

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BLOCK_NATS = 0.1
"""Surprisal that a block may hold, in nats, unless it is a single token.

Blocks from 0.1 to 0.5 nats need the same tokens on the embedded model's answers, within 2 %; the
smaller they are, the less do their tokens differ."""

MOST_BLOCKS = 24
"""About as many blocks as this at most: in long texts they hold more surprisal."""


@dataclass(frozen=True)
class Blocks:
    """A partition of the m tokens of a path into runs.

    Attributes:
        bounds: Block b owns the tokens bounds[b] + 1 .. bounds[b + 1], counted from 1; increasing
            from 0 to m.
    """

    bounds: Ints

    @classmethod
    def single(cls, tokens: int) -> Self:
        """Give every token a block of its own: right for any numbers of forks at the tokens."""
        return cls(np.arange(tokens + 1))

    @classmethod
    def by_surprisal(
        cls, probability: npt.ArrayLike, *, nats: float = BLOCK_NATS, most: int = MOST_BLOCKS
    ) -> Self:
        """Cut a path into blocks of little surprisal, by its probabilities alone.

        Args:
            probability: pi_u, shape (m,).
            nats: Surprisal of a block of several tokens at most, in nats, as long as `most` allows.
            most: Surprisal of the whole path over this is the least limit.
        """
        pi = np.asarray(probability, np.float64)
        with np.errstate(divide="ignore"):
            surprisal = -np.log(pi)
        finite = surprisal[np.isfinite(surprisal)]
        limit = max(nats, float(finite.sum()) / most)
        bounds, held = [0], 0.0
        for u, own in enumerate(surprisal.tolist()):
            if held > 0 and own > 0 and held + own > limit:
                bounds.append(u)
                held = 0.0
            held += own
        return cls(np.unique([*bounds, len(pi)]))

    @property
    def count(self) -> int:
        """Number of blocks."""
        return len(self.bounds) - 1

    @property
    def of_token(self) -> Ints:
        """The block of each token, shape (m,)."""
        return np.repeat(np.arange(self.count), np.diff(self.bounds))

    def refined(self, cuts: Sequence[int] | Ints) -> Blocks:
        """Cut blocks at further positions.

        Forks that were spread over a block are spread over each of its parts too, given how many
        fell into each, so blocks may always be cut. Resamples from a grid of levels are spread over
        blocks that begin at its levels.
        """
        return Blocks(np.unique([*self.bounds, *cuts]).astype(np.int64))

    def sums(self, per_token: npt.ArrayLike) -> Floats:
        """Add up over each block what is given for each token, shape (blocks,)."""
        values = np.asarray(per_token, np.float64)
        if not self.count:
            return values[:0]
        totals: Floats = np.add.reduceat(values, self.bounds[:-1])
        return totals

    def shares(self, probability: npt.ArrayLike) -> Floats:
        """Give the chance of each token to be the one that is left at, given its block, (m,).

        It is 0 everywhere in a block without a choice.
        """
        pi = np.asarray(probability, np.float64)
        before = log_stay(pi)[:-1]
        block = self.of_token
        weight = (1 - pi) * np.exp(before - before[self.bounds[:-1]][block])
        total = self.sums(weight)
        return weight / np.where(total > 0, total, 1.0)[block]

    def spread(
        self, probability: npt.ArrayLike, numbers: npt.ArrayLike, *, seed: int, stage: str
    ) -> Ints:
        """Draw the tokens at which the forks of blocks stand.

        Args:
            probability: pi_u, shape (m,).
            numbers: Forks of each block, shape (blocks,); a block without a choice gets none.
            seed: Seed of the original's forks.
            stage: Name of the stage: stages draw independently. More forks of a block keep the
                tokens of those that were drawn before.

        Returns:
            Forks at each token, shape (m,).
        """
        pi = np.asarray(probability, np.float64)
        counts = np.zeros(len(pi), np.int64)
        shares = self.shares(pi)
        for b, number in enumerate(np.asarray(numbers, np.int64).tolist()):
            first, last = int(self.bounds[b]), int(self.bounds[b + 1])
            reached = np.cumsum(shares[first:last])
            if not number or not reached[-1] > 0:
                continue
            key = np.array(fold_in(seed, "block", stage, first, last), np.uint64)
            draws = uniforms(key, np.arange(number, dtype=np.uint64)) * reached[-1]
            # side="right": a token of share 0 is never the one that is met
            tokens = np.searchsorted(reached, draws, side="right")
            counts[first:last] += np.bincount(tokens, minlength=last - first)
        return counts


def log_stay(probability: npt.ArrayLike) -> Floats:
    """Give the logarithm of the chance to follow the path for s tokens, s = 0..m, shape (m + 1,).

    A probability of 0 counts as exp(-750), which is 0 as well but leaves differences defined.
    """
    pi = np.asarray(probability, np.float64)
    with np.errstate(divide="ignore"):
        nats = np.maximum(np.log(pi), -750.0)
    return np.concatenate([[0.0], np.cumsum(nats)])
