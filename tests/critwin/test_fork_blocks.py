"""Blocks: how they are cut, where their forks stand, and what their counts cover."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import chisquare

from critwin.fork_blocks import Blocks, log_stay
from critwin.fork_forms import difference_forms, level_forms
from critwin.forks import Forks, curve_weights, difference_intervals, fork_levels, level_intervals
from critwin.sampler import Path
from tests.critwin.test_fork_intervals import covers_enough

Floats = npt.NDArray[np.float64]

PI = np.array([0.99, 0.98, 1.0, 0.4, 1.0, 0.97, 0.95, 0.97, 0.9, 0.999])


def test_blocks_hold_little_surprisal_or_one_token() -> None:
    blocks = Blocks.by_surprisal(PI, nats=0.1, most=100)
    # .010 .020 0 | .916 0 | .030 .051 | .030 | .105 | .001: the last but one is full by itself
    assert blocks.bounds.tolist() == [0, 3, 5, 7, 8, 9, 10]
    assert blocks.of_token.tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 4, 5]
    nats = -np.log(PI)
    for b in range(blocks.count):
        own = nats[blocks.bounds[b] : blocks.bounds[b + 1]]
        assert own.sum() <= 0.1 + 1e-12 or (own > 0).sum() == 1
    long = np.full(5000, 0.9)
    assert Blocks.by_surprisal(long, most=24).count <= 2 * 24
    assert Blocks.by_surprisal([]).count == 0
    assert Blocks.by_surprisal([1.0, 1.0]).bounds.tolist() == [0, 2]
    assert Blocks.by_surprisal([0.5, 0.0]).count == 2
    assert blocks.refined([2, 9]).bounds.tolist() == [0, 2, 3, 5, 7, 8, 9, 10]


def test_shares_are_chances_to_leave_first_given_the_block() -> None:
    blocks = Blocks(np.array([0, 3, 10]))
    shares = blocks.shares(PI)
    weights = curve_weights(PI)
    np.testing.assert_allclose(shares[:3], weights[0, :3] / weights[0, :3].sum())
    np.testing.assert_allclose(shares[3:], weights[3, 3:] / weights[3, 3:].sum())
    assert Blocks(np.array([0, 2])).shares([1.0, 1.0]).tolist() == [0, 0]
    # where the path could hardly come this far, shares are still exact
    deep = np.concatenate([np.full(400, 1e-3), PI])
    np.testing.assert_allclose(
        Blocks(np.array([0, 400, 410])).shares(deep)[403],
        0.6 * 0.98 * 0.99 / (1 - np.exp(log_stay(PI)[-1])),
    )


def test_forks_are_spread_by_share_and_stay_where_they_are() -> None:
    blocks = Blocks(np.array([0, 3, 10]))
    counts = blocks.spread(PI, [3000, 5000], seed=1, stage="main")
    assert blocks.sums(counts).tolist() == [3000, 5000]
    assert (counts[PI == 1] == 0).all()
    for b, number in enumerate((3000, 5000)):
        own = slice(int(blocks.bounds[b]), int(blocks.bounds[b + 1]))
        seen = blocks.shares(PI)[own] > 0
        # a false alarm once in 10 000 runs
        expected = number * blocks.shares(PI)[own][seen]
        assert chisquare(counts[own][seen], expected).pvalue > 1e-4
    few = blocks.spread(PI, [10, 20], seed=1, stage="main")
    more = blocks.spread(PI, [11, 25], seed=1, stage="main")
    assert (more >= few).all()
    assert (blocks.spread(PI, [10, 20], seed=1, stage="pilot") != few).any()
    assert (blocks.spread(PI, [10, 20], seed=2, stage="main") != few).any()
    sure = Blocks(np.array([0, 1, 2]))
    assert sure.spread([1.0, 0.5], [4, 4], seed=0, stage="main").tolist() == [0, 4]


@pytest.mark.parametrize("bounds", [range(11), [0, 3, 10], [0, 10], [0, 2, 4, 7, 10]])
def test_forms_are_the_weights_of_tokens_run_by_run(bounds: list[int]) -> None:
    """With every token's own leave value in its run they are the form that the weights give."""
    blocks, d = Blocks(np.array(bounds)), np.random.default_rng(0).random(10)
    weights, s = curve_weights(PI), np.arange(11)
    pairs = np.array([(a, b) for a in s for b in s])

    def means(starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> Floats:
        at = np.zeros(starts.shape)
        for index in np.ndindex(starts.shape):
            own = weights[starts[index], starts[index] : ends[index]]
            if own.sum() > 0:
                at[index] = own @ d[starts[index] : ends[index]] / own.sum()
        return at

    levels = level_forms(PI, blocks, s)
    found = (levels.weights * means(levels.starts, levels.ends)).sum(axis=1)
    np.testing.assert_allclose(found, weights @ d, atol=1e-14)
    np.testing.assert_allclose(levels.constant, np.exp(log_stay(PI)[-1] - log_stay(PI)))
    made = difference_forms(PI, blocks, pairs[:, 0], pairs[:, 1])
    found = (made.weights * means(made.starts, made.ends)).sum(axis=1)
    exact = weights @ d
    np.testing.assert_allclose(found, exact[pairs[:, 1]] - exact[pairs[:, 0]], atol=1e-14)
    ends = levels.constant
    np.testing.assert_allclose(made.constant, ends[pairs[:, 1]] - ends[pairs[:, 0]], atol=1e-14)


def spread_forks(d: Floats, blocks: Blocks, numbers: list[int], seed: int) -> Forks:
    counts = blocks.spread(PI, numbers, seed=seed, stage="main")
    position = np.repeat(np.arange(1, len(PI) + 1), counts)
    hits = np.random.default_rng(seed).random(len(position)) < d[position - 1]
    labels = ["yes" if hit else "no" for hit in hits]
    return Forks.of("x", "yes", Path(PI), position=position.tolist(), labels=labels, blocks=blocks)


# tokens of one block that could not differ more
D = np.array([0.0, 1.0, 0.5, 0.3, 0.5, 1.0, 0.0, 0.9, 0.1, 0.5])


@pytest.mark.parametrize(
    ("bounds", "numbers"),
    [
        ([0, 3, 10], [5, 25]),
        ([0, 10], [12]),
        ([0, 3, 5, 10], [4, 20, 9]),
        ([0, 3, 5, 10], [0, 9, 2]),
    ],
)
def test_coverage_where_tokens_of_a_block_differ(bounds: list[int], numbers: list[int]) -> None:
    """Each position, all of them, all pairs: as if the block's forks had one leave value."""
    blocks, truth = (
        Blocks(np.array(bounds)),
        curve_weights(PI) @ D + np.exp(log_stay(PI)[-1] - log_stay(PI)),
    )
    first, last = np.triu_indices(len(PI) + 1, 1)
    inside, all_inside, all_pairs = [], [], []
    for seed in range(300):
        forks = spread_forks(D, blocks, numbers, seed)
        lower, upper = level_intervals(forks, "yes")
        inside.append((lower - 1e-9 <= truth) & (truth <= upper + 1e-9))
        lower, upper = level_intervals(forks, "yes", joint=True)
        all_inside.append(((lower - 1e-9 <= truth) & (truth <= upper + 1e-9)).all())
        jumps = truth[last] - truth[first]
        lower, upper = difference_intervals(forks, "yes", first, last, joint=True)
        all_pairs.append(((lower - 1e-9 <= jumps) & (jumps <= upper + 1e-9)).all())
    for position in np.array(inside).T:
        assert covers_enough(position)
    assert covers_enough(np.array(all_inside))
    assert covers_enough(np.array(all_pairs))


def test_estimates_are_unbiased_at_the_bounds_of_blocks() -> None:
    """Inside they are off by at most the block's chance to be left; k = 4.5 standard errors."""
    blocks, numbers, sets = Blocks(np.array([0, 3, 5, 10])), [8, 20, 12], 2000
    drawn = np.array(
        [fork_levels(spread_forks(D, blocks, numbers, seed), "yes") for seed in range(sets)]
    )
    truth = curve_weights(PI) @ D + np.exp(log_stay(PI)[-1] - log_stay(PI))
    error = 4.5 * drawn.std(axis=0, ddof=1) / np.sqrt(sets) + 1e-12
    bias = abs(drawn.mean(axis=0) - truth)
    assert (bias <= error)[blocks.bounds].all()
    assert not (bias <= error).all()
    chance = 1 - np.exp(log_stay(PI)[blocks.bounds[1:]] - log_stay(PI)[blocks.bounds[:-1]])
    assert (bias[:-1] <= chance[blocks.of_token] + error[:-1]).all()


def test_a_block_says_more_than_as_many_forks_at_tokens_of_their_own() -> None:
    """Forty improbable exits, twelve forks: at tokens of their own they leave 28 tokens out."""
    pi, position = np.full(40, 0.99), range(1, 37, 3)
    widths = []
    for blocks in (Blocks(np.array([0, 40])), Blocks.single(40)):
        forks = Forks.of(
            "x", "yes", Path(pi), position=position, labels=["yes"] * 12, blocks=blocks
        )
        lower, upper = level_intervals(forks, "yes")
        widths.append(upper[0] - lower[0])
    # all twelve lead to the label: its share is at least that of Clopper-Pearson
    assert widths[0] == pytest.approx((1 - 0.99**40) * (1 - 0.025 ** (1 / 12)))
    assert widths[1] > 2 * widths[0]
