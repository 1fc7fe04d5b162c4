"""Where windows may be, after a pilot, and what it would take to certify each: it steers, no more.

A pair (s, e) holds a rise above c where p_e - p_s = (1 - P)(p_e - D) > c, by equation (3): two
probabilities have to be told apart, that after e and the mean leave value D inside. With N_1 forks
inside and N_2 after e the evidence against "no rise above c" is about

    I = min { N_1 KL(D, D') + N_2 KL(A, A') : the pair (D', A') has no rise above c }

nats, A the mean leave value after e. It grows in proportion to the forks, so that every pair has a
rate: nats per token at the best split, reached where the two terms are worth the same for a token.

Source: Chernoff (1959), Annals of Mathematical Statistics 30, 755-770 (sequential design: the best
split makes the least of the evidence largest); DESIGN.md, section 6, equation (3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from critwin.changes import Sought, Width, near_enough
from critwin.fork_blocks import BLOCK_NATS, Blocks, log_stay

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DRAWS = 48
"""Curves drawn from what the pilot lets expect."""

STRENGTH = 0.5
"""Draws that the mean over all tokens counts for in each run."""

NEAR_SHARE = 0.5
"""What a fork of a neighbouring run counts for, beside one of those everywhere."""

LEAST_CHANCE = 0.02
"""A pair is looked at where at least this share of the curves rises enough over it."""

_BISECTIONS = 16
_LEAST_INSIDE = 0.05
"""Share of its tokens that a pair spends inside at least: what looks certain may not be."""


@dataclass(frozen=True)
class Runs:
    """The path as B runs of tokens with a choice, each of little surprisal and within the width.

    Attributes:
        blocks: The runs, certain tokens joined to the one before.
        start: Position before the first choice of each, shape (B,).
        end: Position after its last choice.
        stay: Logarithm of the chance to stay from the beginning to each position, shape (n + 1,).
        leave: Chance to leave within each run.
        shares: Chance of each token to be the one that is left at, given its run, shape (n,).
        cost: Expected tokens of a fork of each run.
    """

    blocks: Blocks
    start: Ints
    end: Ints
    stay: Floats
    leave: Floats
    shares: Floats
    cost: Floats

    @classmethod
    def of(cls, probability: npt.ArrayLike, cost: npt.ArrayLike, sought: Sought) -> Runs:
        """Cut a path.

        Args:
            probability: pi_u, shape (n,); at least one below 1.
            cost: Expected tokens of a fork at u, shape (n,).
            sought: No run of several tokens is wider than its width.
        """
        pi = np.asarray(probability, np.float64)
        choices = np.flatnonzero(pi < 1)
        nats = np.minimum(-np.log(np.maximum(pi[choices], 1e-300)), 700.0)
        begins = _begins(choices, nats, len(pi), sought.width)
        start = choices[begins]
        end = choices[np.append(begins[1:], len(choices)) - 1] + 1
        blocks = Blocks(np.array([0, *start[1:], len(pi)], np.int64))
        stay, shares = log_stay(pi), blocks.shares(pi)
        return cls(
            blocks=blocks,
            start=start,
            end=end,
            stay=stay,
            leave=-np.expm1(stay[end] - stay[start]),
            shares=shares,
            cost=blocks.sums(shares * np.asarray(cost, np.float64)),
        )

    def backward(self, values: Floats, last: Floats | float) -> Floats:
        """Give sum_b w_sb v_b + stay * last at the start of each run and at the end, (B + 1, ...).

        Args:
            values: v_b, shape (B, ...).
            last: What the path itself leads to.
        """
        reached = np.empty((len(values) + 1, *values.shape[1:]))
        reached[-1] = last
        for b in range(len(values) - 1, -1, -1):
            reached[b] = self.leave[b] * values[b] + (1 - self.leave[b]) * reached[b + 1]
        return reached

    def around(self, hits: Floats, trials: Floats, width: Width) -> Floats:
        """Give the share of hits about each run, drawn towards that of all runs, shape (B,).

        Runs that fit into one stretch of the width with a run count for it by `NEAR_SHARE`.
        """
        count, length = len(self.start), len(self.stay) - 1
        mean = (hits.sum() + 0.5) / (trials.sum() + 1)
        k, n = np.full(count, mean), np.ones(count)
        for step in range(1, count):
            start, end = self.start[:-step], self.end[step:]
            near = near_enough(end - start, self.stay[start] - self.stay[end], length, width)
            if not near.any():
                break
            at = np.flatnonzero(near)
            for one, other in ((at, at + step), (at + step, at)):
                k[one] += NEAR_SHARE * hits[other]
                n[one] += NEAR_SHARE * trials[other]
        share: Floats = k / n
        return share

    def weights(self, first: int, last: int) -> tuple[Floats, Floats]:
        """Give the share of each run among departures in runs first..last, and after, (B,)."""
        inside, after = np.zeros(len(self.start)), np.zeros(len(self.start))
        a, b = slice(first, last + 1), slice(last + 1, None)
        inside[a] = np.exp(self.stay[self.start[a]] - self.stay[self.start[first]]) * self.leave[a]
        after[b] = np.exp(self.stay[self.start[b]] - self.stay[self.end[last]]) * self.leave[b]
        total = after.sum()
        return inside / inside.sum(), after / total if total > 0 else after


@dataclass(frozen=True)
class Prospects:
    """The J pairs and directions that may hold a window; a column is a curve drawn, shape (J, M).

    Attributes:
        runs: The runs that pairs begin and end at.
        doubt: How unsure the mean leave value inside is: its standard deviation, shape (J,).
        first: First run inside, shape (J,).
        last: Last run inside.
        rise: Whether it is a rise of the own label, else a fall.
        inside_cost: Expected tokens of a fork inside.
        after_cost: The same after the pair; 0 where the path is certain.
        rate: Nats of evidence per token at the best split; 0 where there is no such change.
        inside: Share of the tokens that the best split spends inside.
    """

    runs: Runs
    doubt: Floats
    first: Ints
    last: Ints
    rise: Bools
    inside_cost: Floats
    after_cost: Floats
    rate: Floats
    inside: Floats

    def __len__(self) -> int:
        return len(self.first)

    @property
    def start(self) -> Ints:
        """Tokens kept where each pair begins."""
        return self.runs.start[self.first]

    @property
    def end(self) -> Ints:
        """Tokens kept where it ends."""
        return self.runs.end[self.last]

    def chance(self, tokens: npt.ArrayLike, needed: float) -> Floats:
        """Give the chance to certify each pair, mean over curves, shape (J, ...).

        Twice the root of the evidence is about normal with unit variance, as a likelihood ratio's.

        Args:
            tokens: Tokens that a pair is given, any shape.
            needed: Nats of evidence that a certificate needs.
        """
        from scipy.special import ndtr

        size = np.asarray(tokens, np.float64)
        rate = self.rate.reshape(self.rate.shape[:1] + (1,) * size.ndim + self.rate.shape[1:])
        evidence = np.sqrt(2 * rate * size[..., None])
        powers = np.where(rate > 0, ndtr(evidence - np.sqrt(2 * needed)), 0.0)
        mean: Floats = powers.mean(axis=-1)
        return mean

    def share_inside(self, pair: int, tokens: float, needed: float) -> float:
        """Give the share of its tokens that a pair spends inside, where it is to be certified.

        Args:
            pair: Its number.
            tokens: Its tokens.
            needed: Nats of evidence that a certificate needs.
        """
        from scipy.special import ndtr

        rate = self.rate[pair]
        likely = (rate > 0) * (ndtr(np.sqrt(2 * rate * tokens) - np.sqrt(2 * needed)) + 1e-6)
        return float(likely @ self.inside[pair] / likely.sum())


def prospects(
    runs: Runs,
    hits: npt.ArrayLike,
    trials: npt.ArrayLike,
    *,
    end: bool,
    sought: Sought,
    seed: int,
) -> Prospects:
    """Say where windows may be after a pilot, and what it would take to certify each.

    Leave values of runs are drawn from beta laws about what the pilot saw in each of them, drawn
    towards what it saw everywhere.

    Args:
        runs: The runs of the path.
        hits: Forks of the pilot at each token that ended in the label, shape (n,).
        trials: Forks of the pilot there.
        end: Whether the original has the label.
        sought: What is asked for.
        seed: Of the curves drawn.
    """
    k, n = runs.blocks.sums(hits), runs.blocks.sums(trials)
    mean = runs.around(k, n, sought.width)
    a, b = k + STRENGTH * mean, n - k + STRENGTH * (1 - mean)
    rng = np.random.default_rng(seed)
    leave = rng.beta(a, b, size=(DRAWS, len(k))).T
    value = runs.backward(leave, float(end))
    first, last = _pairs(runs, sought)
    change = value[last + 1] - value[first]
    parts = []
    for rise in (True, False):
        above = (change if rise else -change) > sought.threshold
        at = np.flatnonzero(above.mean(axis=1) >= LEAST_CHANCE)
        level = value if rise else 1 - value
        rate, inside = _rates(runs, level, first[at], last[at], end == rise, sought.threshold)
        parts.append((first[at], last[at], np.full(len(at), rise), rate, inside))
    first, last, rises, rate, inside = (np.concatenate(p) for p in zip(*parts, strict=True))
    some = -np.expm1(runs.stay[runs.end[last]] - runs.stay[runs.start[first]])[:, None]
    mean = value[last + 1] - (value[last + 1] - value[first]) / some
    cost = _costs(runs, first, last)
    return Prospects(runs, mean.std(axis=1), first, last, rises, *cost, rate, inside)


def _begins(choices: Ints, nats: Floats, length: int, width: Width) -> Ints:
    """Give which choices begin a run."""
    begins, held = [0], 0.0
    for i, own in enumerate(nats.tolist()):
        first = int(choices[begins[-1]])
        tokens, together = np.array([choices[i] + 1 - first]), np.array([held + own])
        fits = together[0] <= BLOCK_NATS and near_enough(tokens, together, length, width)[0]
        if i and not fits:
            begins.append(i)
            held = 0.0
        held += own
    return np.array(begins, np.int64)


def _pairs(runs: Runs, sought: Sought) -> tuple[Ints, Ints]:
    """Give the pairs of runs, first and last, within the width whose surprisal is enough."""
    count, length = len(runs.start), len(runs.stay) - 1
    firsts, lasts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for step in range(count):
        first = np.arange(count - step)
        start, end = runs.start[first], runs.end[first + step]
        nats = runs.stay[start] - runs.stay[end]
        near = near_enough(end - start, nats, length, sought.width) | (end - start == 1)
        if not near.any():
            break
        at = first[near & (-np.expm1(-nats) > sought.threshold)]
        firsts.append(at)
        lasts.append(at + step)
    return np.concatenate(firsts), np.concatenate(lasts)


def _costs(runs: Runs, first: Ints, last: Ints) -> tuple[Floats, Floats]:
    """Give the expected tokens of a fork inside pairs, and after them."""
    cost = runs.backward(runs.cost, 0.0)
    some = -np.expm1(runs.stay[runs.end[last]] - runs.stay[runs.start[first]])
    inside = (cost[first] - (1 - some) * cost[last + 1]) / some
    later = -np.expm1(runs.stay[-1] - runs.stay[runs.end[last]])
    after = np.where(later > 1e-9, cost[last + 1] / np.maximum(later, 1e-9), 0.0)
    return np.maximum(inside, 1.0), np.where(later > 1e-9, np.maximum(after, 1.0), 0.0)


def _rates(
    runs: Runs, level: Floats, first: Ints, last: Ints, end: bool, threshold: float
) -> tuple[Floats, Floats]:
    """Give rate and share inside of rises of a probability, shape (J, M).

    Args:
        runs: The runs.
        level: The probability at the start of each run and at the end, shape (B + 1, M).
        first: First run inside each pair, shape (J,).
        last: Last run inside.
        end: Whether the path itself has what the probability is of.
        threshold: Rises above it.
    """
    some = -np.expm1(runs.stay[runs.end[last]] - runs.stay[runs.start[first]])[:, None]
    later = -np.expm1(runs.stay[-1] - runs.stay[runs.end[last]])[:, None]
    fixed = (1 - later) * end
    moves = later > 1e-9
    later = np.where(moves, later, 1.0)
    c_in, c_after = (c[:, None] for c in _costs(runs, first, last))
    c_after = np.maximum(c_after, 1.0)
    reached, gap = level[last + 1], threshold / some
    d = np.clip(reached - (reached - level[first]) / some, 0, 1)
    a = np.clip((reached - fixed) / later, 0, 1)
    rises = reached - d > gap
    # d' grows and a' with it, until the one is as dear as the other
    low, high = d, np.clip(reached - gap, d, 1)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        other = (middle + gap - fixed) / later
        dear = np.where(moves & (other > 0), _kl(a, other) / c_after, np.inf)
        up = _kl(d, middle) / c_in < dear
        low, high = np.where(up, middle, low), np.where(up, high, middle)
    middle = (low + high) / 2
    other = np.clip((middle + gap - fixed) / later, 1e-9, 1 - 1e-9)
    rate = np.where(rises, _kl(d, middle) / c_in, 0.0)
    # at the least of the sum its two slopes cancel: N_in slope_in = N_after slope_after
    slope_in = (middle - d) / np.clip(middle * (1 - middle), 1e-9, None)
    slope_after = (a - other) / (other * (1 - other)) / later
    share = slope_after * c_in / np.maximum(slope_after * c_in + slope_in * c_after, 1e-12)
    inside = np.clip(np.where(moves, share, 1.0), _LEAST_INSIDE, 1.0)
    return rate, inside


def _kl(p: Floats, q: Floats) -> Floats:
    """Give the divergence of a coin of probability p from one of probability q, in nats."""
    from scipy.special import xlogy

    near = np.clip(q, 1e-12, 1 - 1e-12)
    nats: Floats = xlogy(p, p / near) + xlogy(1 - p, (1 - p) / (1 - near))
    return nats
