"""Bounds by equation (3), against curves known exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from critwin.errors import ParameterError
from critwin.fork_bounds import block_bounds
from critwin.sampler import Path
from tests.critwin.markov_forks import Known, random_chain


def test_blocks_by_hand() -> None:
    path = Path(np.array([0.9, 0.6, 0.8, 1.0, 0.95, 0.99]))
    bounds = block_bounds(path, threshold=0.5, width=2)
    # blocks of two: .54, .48, .80, .95, .9405; only tokens 2 and 3 lie in one below .5
    assert bounds.fork.tolist() == [False, True, True, False, False, False]
    stay = np.array([0.54, 0.48, 0.48, 0.8, 0.9405, 0.9405])
    np.testing.assert_allclose(bounds.largest_change, 1 - stay)
    np.testing.assert_allclose(bounds.block_surprisal, -np.log(stay))
    assert bounds.needed_surprisal == pytest.approx(math.log(2))
    assert bounds.left_out == pytest.approx(0.1 + 0.05 + 0.01)


def test_a_sure_token_within_a_block_needs_no_fork() -> None:
    bounds = block_bounds(Path(np.array([0.7, 1.0, 0.7, 0.9])), threshold=0.5, width=10)
    assert bounds.width == 10
    assert bounds.fork.tolist() == [True, False, True, True]
    assert bounds.left_out == 0
    assert block_bounds(Path(np.array([])), threshold=0.5, width=3).fork.tolist() == []
    # a token that the sampler never gives is in a block of any surprisal
    assert block_bounds(Path(np.array([0.0, 0.5])), threshold=0.9, width=1).fork.tolist() == [1, 0]


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.5])
def test_no_change_above_the_threshold_is_lost(seed: int, threshold: float) -> None:
    """Every such change, up or down, of every label lies in tokens to be forked or sure ones."""
    known = Known.longest(random_chain(seed), among=5, seed=seed)
    for width in (1, 3, 8):
        bounds = block_bounds(known.path, threshold=threshold, width=width)
        for label in known.chain.symbols:
            p = known.curve(label)
            for s in range(known.n):
                for e in range(s + 1, min(s + width, known.n) + 1):
                    change = abs(p[e] - p[s])
                    assert change <= bounds.largest_change[s:e].min() + 1e-12
                    if change > threshold:
                        sure = known.path.probability[s:e] == 1
                        assert (bounds.fork[s:e] | sure).all()


def test_an_index_too_early_would_lose_a_jump() -> None:
    """Moving from s to s + 1 uses the surprisal of token s + 1: token 2 carries the whole jump."""
    path = Path(np.array([1.0, 0.3, 1.0]))
    assert block_bounds(path, threshold=0.5, width=1).fork.tolist() == [False, True, False]


def test_wrong_searches_are_refused() -> None:
    path = Path(np.array([0.5]))
    for threshold in (0.0, 1.0):
        with pytest.raises(ParameterError, match="threshold"):
            block_bounds(path, threshold=threshold, width=1)
    with pytest.raises(ParameterError, match="width"):
        block_bounds(path, threshold=0.5, width=0)
