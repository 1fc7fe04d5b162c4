"""Cheap bounds of all pairs, which take the same time for each, against forms written out."""

from __future__ import annotations

import numpy as np
import pytest

from critwin.fork_blocks import Blocks
from critwin.fork_changes import _Sums, _sums_of_pairs
from critwin.fork_forms import difference_forms
from critwin.forks import Forks


@pytest.mark.parametrize("seed", range(12))
def test_sums_of_pairs_are_those_of_their_forms(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m = int(rng.integers(2, 50))
    pi = rng.uniform(0, 0.3, m) if seed % 4 == 0 else rng.uniform(0.01, 0.9999, m)
    trials = rng.integers(0, 5, m)  # some tokens without a fork
    hits = rng.binomial(trials, 0.4)
    blocks = Blocks.single(m)
    if seed % 2:
        blocks = Blocks(np.unique([0, *rng.integers(0, m, 5), m]))
    counts = np.stack([hits, trials - hits], axis=1)
    forks = Forks("x", "a", pi, ("a", "b"), counts, m, blocks)
    first, last = np.triu_indices(m + 1, 1)
    for label in ("a", "b", "c"):
        quick = _sums_of_pairs(forks, label, first, last)
        slow = _Sums.of(difference_forms(pi, blocks, first, last), forks, label)
        for name in ("least", "most", "squares", "variance"):
            # sums over up to 50 tokens of terms of at most 1, and 1e-13 for what rounding may lose
            np.testing.assert_allclose(getattr(quick, name), getattr(slow, name), atol=3e-13)
        assert (quick.squares >= slow.squares * (1 - 1e-12)).all()  # a bound stays a bound
