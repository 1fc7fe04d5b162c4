"""Change points by PELT: segments as by trying them all, windows where the pieces differ."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from critwin.errors import ParameterError
from critwin.windows.change_point import ChangePoint, counts_of, segments
from tests.critwin.windows.known_curves import Known, ramp

RNG = np.random.default_rng


def loss(hits: np.ndarray, trials: np.ndarray, cuts: tuple[int, ...], price: float) -> float:
    total = price * len(cuts)
    for a, b in itertools.pairwise((0, *cuts, len(hits))):
        k, n = hits[a:b].sum(), trials[a:b].sum()
        total -= sum(c * np.log(c / n) for c in (k, n - k) if c > 0)
    return total


def test_segments_are_the_best_of_all() -> None:
    for seed in range(5):
        rng = RNG(seed)
        trials = np.full(9, 12.0)
        hits = rng.binomial(12, [0.1] * 4 + [0.8] * 3 + [0.3] * 2).astype(float)
        price = 1.5 * np.log(9)
        every = [c for r in range(9) for c in itertools.combinations(range(1, 9), r)]
        best = min(loss(hits, trials, cuts, price) for cuts in every)
        found = tuple(segments(hits, trials, 1.5))
        assert loss(hits, trials, found, price) == pytest.approx(best)


def test_a_step_is_found_on_both_kinds_of_data() -> None:
    known = Known.of(0.1 + 0.9 * ramp(50, 25, 1))
    for curve in (known.grid(40, RNG(0)), known.forks(40, RNG(0))):
        (window,) = ChangePoint().find(curve)
        assert (window.position_start, window.position_end) == (25, 26)
        assert window.direction == "rise"
        assert window.jump_lower < 0.9 < window.jump_upper + 1e-9
        assert window.jump == curve.agreement[26] - curve.agreement[25]


def test_small_steps_are_left_out_and_falls_are_marked() -> None:
    known = Known.of(1 - 0.6 * ramp(50, 15, 1) + 0.6 * ramp(50, 30, 1))
    found = ChangePoint(threshold=0.4).find(known.grid(200, RNG(1)))
    assert [w.direction for w in found] == ["fall", "rise"]
    assert ChangePoint(threshold=0.8).find(known.grid(200, RNG(1))) == []


def test_forks_count_as_their_standard_error() -> None:
    known = Known.of(0.5 + 0.5 * ramp(30, 15, 1))
    _, few = counts_of(known.forks(10, RNG(2)))
    _, many = counts_of(known.forks(90, RNG(2)))
    assert many[3] / few[3] == pytest.approx(9, rel=0.3)


def test_false_alarms_are_not_bounded_but_rare_on_a_flat_curve() -> None:
    """BIC at 50 positions: about 3 % of runs; of 60 at most 9 % less 3 standard errors more."""
    known = Known.of(np.full(51, 1.0) - 0.5 * (1 - ramp(50, 49, 1)))
    fired = [
        any(w.position_end < 49 for w in ChangePoint().find(known.grid(25, RNG(seed))))
        for seed in range(60)
    ]
    assert np.mean(fired) <= 0.09 + 3 * np.sqrt(0.09 * 0.91 / 60)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ParameterError, match="penalty"):
        ChangePoint(penalty=0)
    with pytest.raises(ParameterError, match="threshold"):
        ChangePoint(threshold=2)
