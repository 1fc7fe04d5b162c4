"""Forks in four independent folds: unbiased curves, and unbiased products of their changes.

A square of an estimate is biased upwards by the estimate's variance; a product of two independent
unbiased estimates is not. So the forks of an original are drawn as four folds that know nothing of
each other, and each fold gives an unbiased estimate of every label's whole curve by itself. For
that each fold draws at random how many forks stand at a token, so many times 1 - pi_u on average:

    expected number >= 1: the number is rounded up or down, and d_u is the share of the label;
    expected number < 1:  one fork or none, and d_u is c + (drawn / expected number) (hit - c),

with c = 1 for the original's own label and 0 for others (Horvitz and Thompson's estimator of the
difference to a control value). A token that was almost certain costs a fork almost never, and is
not left out: nothing is biased and no token is thrown away.

Source: Horvitz, Thompson (1952), Journal of the American Statistical Association 47, 663-685.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from critwin.errors import ParameterError
from critwin.fork_drawing import fork_seed
from critwin.protocol import Sampling, check_whole
from critwin.sampler import ForkingSampler, Path
from critwin.seeds import fold_in, uniforms

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

X = TypeVar("X")
Y = TypeVar("Y")

FOLDS = 4
"""Two halves of two folds each: a half places a jump, the other half's two folds square it."""


@dataclass(frozen=True, kw_only=True)
class FoldedForks(Sampling):
    """Sampling parameters, and how many forks stand where there is a choice.

    Attributes:
        forks_per_choice: Forks, over all four folds, per unit of 1 - pi_u: a token of probability
            .5 gets half as many; >= 4. An original gets this number times its H on average.
    """

    forks_per_choice: int = 24

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.forks_per_choice is None:
            raise ParameterError("forks_per_choice", None, f"a whole number >= {FOLDS}")
        check_whole("forks_per_choice", self.forks_per_choice, low=FOLDS)

    def expected(self, path: Path) -> Floats:
        """Give the expected forks of one fold at each token of a path, shape (n,)."""
        number: Floats = (1 - path.probability) * (self.forks_per_choice / FOLDS)
        return number


@dataclass(frozen=True)
class PlannedFork:
    """A fork that is to be drawn.

    Attributes:
        fold: Its fold, 0 to 3.
        token: The token at which it leaves, counted from 1.
        replicate: Its number at this token: that within the fold times 4, plus the fold.
        seed: Its seed.
    """

    fold: int
    token: int
    replicate: int
    seed: int


def plan_folds(expected: Floats, *, seed: int) -> list[PlannedFork]:
    """Draw how many forks of each fold stand at each token.

    Args:
        expected: Expected forks of one fold at each token, >= 0, shape (n,).
        seed: Seed of the original's forks.

    Returns:
        The forks, by token, then fold, then number.
    """
    numbers = np.stack([_rounded(expected, seed, fold) for fold in range(FOLDS)])
    planned = []
    for token in np.flatnonzero(numbers.any(axis=0)) + 1:
        for fold in range(FOLDS):
            for number in range(int(numbers[fold, token - 1])):
                own = fork_seed(seed, f"fold {fold}", int(token), number)
                planned.append(PlannedFork(fold, int(token), FOLDS * number + fold, own))
    return planned


def _rounded(expected: Floats, seed: int, fold: int) -> Ints:
    """Round each number up or down at random so that its mean is kept."""
    own = np.full(len(expected), fold_in(seed, "fold", fold), dtype=np.uint64)
    chance = uniforms(own, np.arange(len(expected), dtype=np.uint64))
    whole = np.floor(expected)
    number: Ints = (whole + (chance < expected - whole)).astype(np.int64)
    return number


@dataclass(frozen=True)
class Folds:
    """What the forks of one original came to, fold by fold.

    Attributes:
        original_id: The original that was forked.
        own: Its label.
        probability: pi_u, shape (n,).
        expected: Expected forks of one fold at each token, shape (n,); above 0 where pi_u < 1.
        labels: The L labels seen, own label first, the others by name.
        counts: Forks of each fold at each token that ended in each label, shape (4, n, L).
    """

    original_id: str
    own: str
    probability: Floats
    expected: Floats
    labels: tuple[str, ...]
    counts: Ints

    @classmethod
    def of(
        cls,
        original_id: str,
        own: str,
        path: Path,
        *,
        expected: npt.ArrayLike,
        fold: Sequence[int],
        token: Sequence[int],
        labels: Sequence[str],
    ) -> Folds:
        """Count forks; `fold`, `token` (from 1) and `labels` have one entry per fork.

        Raises:
            ValueError: A fork stands where none was expected.
        """
        number = np.asarray(expected, np.float64)
        names = (own, *sorted({*labels} - {own}))
        column = {name: i for i, name in enumerate(names)}
        counts = np.zeros((FOLDS, len(number), len(names)), dtype=np.int64)
        for k, u, label in zip(fold, token, labels, strict=True):
            if not 1 <= u <= len(number) or not number[u - 1] > 0:
                raise ValueError(
                    f"a fork stands at token {u} of {original_id}; allowed: tokens of probability "
                    "below 1"
                )
            counts[k, u - 1, column[label]] += 1
        return cls(original_id, own, path.probability, number, names, counts)

    @property
    def length(self) -> int:
        """Tokens of the original."""
        return len(self.probability)

    def leave_values(self) -> Floats:
        """Estimate d_u without bias in each fold, shape (4, L, n); values may leave [0, 1]."""
        counts = np.swapaxes(self.counts, 1, 2).astype(np.float64)
        trials = counts.sum(axis=1, keepdims=True)
        control = np.zeros((len(self.labels), 1))
        control[0] = 1.0
        rare = self.expected < 1
        scale = np.where(rare, self.expected, 1.0)
        scale = np.where(scale > 0, scale, 1.0)
        share = counts / np.maximum(trials, 1)
        d: Floats = np.where(rare, control + (counts - trials * control) / scale, share)
        return d

    def levels(self) -> Floats:
        """Estimate the probability of each label at 0..n in each fold, shape (4, L, n + 1)."""
        d, pi = self.leave_values(), self.probability
        p = np.zeros((*d.shape[:2], self.length + 1))
        p[:, 0, -1] = 1.0
        for u in range(self.length, 0, -1):
            p[..., u - 1] = pi[u - 1] * p[..., u] + (1 - pi[u - 1]) * d[..., u - 1]
        return p


@dataclass(frozen=True)
class FoldDraws(Generic[X]):
    """The forks of one original, drawn and not yet labelled.

    Attributes:
        path: The original's path.
        expected: Expected forks of one fold at each token, shape (n,).
        planned: The forks.
        samples: What each came to, in their order.
    """

    path: Path
    expected: Floats
    planned: tuple[PlannedFork, ...]
    samples: tuple[X, ...]

    def counted(self, original_id: str, own: str, labels: Sequence[str]) -> Folds:
        """Count the forks, given the original's label and that of each sample."""
        return Folds.of(
            original_id,
            own,
            self.path,
            expected=self.expected,
            fold=[fork.fold for fork in self.planned],
            token=[fork.token for fork in self.planned],
            labels=labels,
        )


def draw_folds(
    sampler: ForkingSampler[X, Y],
    originals: Sequence[X],
    protocol: FoldedForks,
    *,
    seeds: Sequence[int],
) -> list[FoldDraws[X]]:
    """Draw the forks of originals in folds; all of them go to the sampler together.

    Args:
        sampler: The sampler that made the originals.
        originals: Length N.
        protocol: How many forks stand where there is a choice.
        seeds: Seed of each original's forks, length N.
    """
    paths = sampler.paths(originals)
    expected = [protocol.expected(path) for path in paths]
    plans = [plan_folds(own, seed=seed) for own, seed in zip(expected, seeds, strict=True)]
    work = [(x, fork) for x, own in zip(originals, plans, strict=True) for fork in own]
    drawn = iter(
        sampler.fork(
            [x for x, _ in work],
            [fork.token for _, fork in work],
            seeds=[fork.seed for _, fork in work],
        )
    )
    return [
        FoldDraws(path, number, tuple(own), tuple(next(drawn) for _ in own))
        for path, number, own in zip(paths, expected, plans, strict=True)
    ]
