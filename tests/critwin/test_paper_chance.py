"""The chance that the paper's rule fires, against the rule itself on drawn counts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from critwin.paper_chance import SHIFTS, firing_chance, paper_chances
from critwin.protocol import PAPER_FRACTIONS
from critwin.windows.paper_jump import PaperJump
from tests.critwin.windows.known_curves import Known, grid_of, ramp


@pytest.mark.parametrize(
    "values",
    [
        [0.1, 0.1, 0.2, 0.7, 0.8, 0.9],
        [0.5, 0.3, 0.4, 0.9, 0.9, 1.0],
        [0.9, 0.9, 0.5, 0.1, 0.9, 0.9],
        [0.5] * 6,
    ],
)
def test_it_is_what_the_rule_does_on_drawn_counts(values: list[float]) -> None:
    rng, fired, runs = np.random.default_rng(0), 0, 1500
    rule = PaperJump()
    position = [0, 5, 10, 30, 50, 70, 90, 100]
    for _ in range(runs):
        share = rng.binomial(25, values) / 25
        fired += bool(rule.find(grid_of(position, [0, *share, 1.0], 25)))
    chance = float(firing_chance(values, 25, threshold=0.5, dip=-0.3))
    se = math.sqrt(max(chance * (1 - chance), 1 / runs) / runs)
    assert abs(fired / runs - chance) < 4 * se


def test_certain_cuts_and_the_float_edge() -> None:
    assert firing_chance([0.0, 1.0], 100, threshold=0.5, dip=-0.3) == 1
    assert firing_chance([1.0, 0.0, 1.0], 100, threshold=0.5, dip=-0.3) == 0
    # with two resamples the shares are 0, .5, 1: .5 is not strictly above .5
    assert firing_chance([0.0, 0.5], 2, threshold=0.5, dip=-0.3) == pytest.approx(0.25)
    # 10 resamples: .7 - .2 is .49999999999999994, so only 8 and more of 10 jump from 2
    some = firing_chance([[0.2, 0.7]], 10, threshold=0.5, dip=-0.3)
    assert some.shape == (1,)


def test_over_shifted_grids() -> None:
    """A jump of 1 at token 55 of 100 is seen by every phase of the grid that cuts around it."""
    known = Known.of(ramp(100, 55, 1))
    curve = known.forks(1, np.random.default_rng(0))
    chances = paper_chances(curve)
    assert chances["paper_25"] == 1
    assert chances["paper_shifted_100"] == 1
    early = paper_chances(Known.of(ramp(100, 2, 1)).forks(1, np.random.default_rng(0)))
    assert early["paper_100"] == 0  # before the first fraction
    # seen where the first cut keeps 2 tokens or fewer: some later one keeps more
    seen = [s for s in SHIFTS if int(max(0.05 + s, 0) * 100 + 1e-9) <= 2]
    assert 0 < len(seen) < len(SHIFTS)
    assert early["paper_shifted_100"] == pytest.approx(len(seen) / len(SHIFTS))


def test_a_grid_is_read_where_it_was_visited() -> None:
    cuts = [0, *(round(100 * f) for f in PAPER_FRACTIONS), 100]
    curve = grid_of(cuts, [0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 1.0], 100)
    assert set(paper_chances(curve)) == {"paper_25", "paper_100"}
    assert paper_chances(grid_of([0, 50, 100], [0.1, 0.5, 1.0], 100)) == {}
