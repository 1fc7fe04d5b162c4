"""What the same precision costs by forks and by a grid."""

from __future__ import annotations

import numpy as np
import pytest

from critwin.fork_allocation import Wish, allocate
from critwin.fork_expectation import leave_mass
from critwin.protocol_costs import compare_protocols
from tests.critwin.test_fork_allocation import KNOWN, expectation, known_expectation


def test_costs_of_protocols() -> None:
    expected = known_expectation()
    (made,) = allocate([expected], Wish(half_width=0.05))
    plan = {"tokens": made.tokens, "half_width": made.half_width}
    levels = [int(f * KNOWN.n) for f in (0.05, 0.1, 0.3, 0.5, 0.7, 0.9)]
    costs = compare_protocols(expected, levels, **plan)
    assert costs.leave_mass == pytest.approx(leave_mass(KNOWN.path.probability))
    assert costs.grid_tokens == costs.grid_draws * sum(KNOWN.n - s for s in levels)
    assert costs.fork_tokens == made.tokens
    assert costs.cheaper == ("forks" if made.tokens <= costs.grid_tokens else "grid")
    every = compare_protocols(expected, range(KNOWN.n), **plan)
    assert every.cheaper == "forks"
    assert every.grid_tokens > costs.grid_tokens
    # one level and a long text that leaves its path again and again: the grid is cheaper
    long = expectation(np.full(200, 0.7), np.full(200, 0.5), np.arange(200, 0, -1.0))
    (made,) = allocate([long], Wish(max_forks=2000))
    plan = {"tokens": made.tokens, "half_width": made.half_width}
    assert compare_protocols(long, [100], **plan).cheaper == "grid"
