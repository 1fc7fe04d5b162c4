"""Certified windows: found, placed, measured, and hardly ever false."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from critwin.errors import ParameterError
from critwin.protocol import EveryToken, ForkProtocol, Fractions
from critwin.windows.confident_jump import ConfidentJump
from tests.critwin.windows.known_curves import Known, grid_of, nothing, ramp, uneven

RNG = np.random.default_rng
USUAL = ConfidentJump(threshold=0.2, max_width=10)
RUNS = 40


def test_a_token_that_decides_is_found_placed_and_measured() -> None:
    known = Known.of(0.2 + 0.8 * ramp(60, 30, 1))
    for curve in (known.forks(200, RNG(0)), known.grid(200, RNG(0))):
        found = ConfidentJump().search(curve)
        (window,) = found.windows
        assert (window.position_start, window.position_end) == (30, 31)
        assert (window.place_lower, window.place_upper) == (30, 31)
        assert window.direction == "rise"
        assert 0.5 < window.jump_lower <= window.jump <= window.jump_upper
        assert window.jump_lower < 0.8 <= window.jump_upper + 1e-9
        assert window.jump == curve.agreement[31] - curve.agreement[30]
        rise, fall = found.verdicts
        assert (rise.verdict, rise.windows, fall.verdict) == ("window", 1, "none")
        assert fall.change_upper <= 0.5


def test_a_fall_is_marked_as_such() -> None:
    known = Known.of(1 - 0.8 * ramp(60, 20, 1) + 0.8 * ramp(60, 40, 1))
    found = ConfidentJump().find(known.forks(300, RNG(1)))
    assert [(w.direction, w.position_start) for w in found] == [("fall", 20), ("rise", 40)]
    fall = found[0]
    assert fall.jump_lower <= fall.jump <= fall.jump_upper < -0.5


def test_few_draws_leave_it_undecided() -> None:
    known = Known.of(0.2 + 0.8 * ramp(60, 30, 1))
    for curve in (known.forks(1, RNG(2)), known.grid(3, RNG(2))):
        rise, _ = ConfidentJump().search(curve).verdicts
        assert rise.verdict == "undecided"
        assert rise.change_lower <= 0.8 <= rise.change_upper


def test_no_window_is_a_verdict_with_a_bound() -> None:
    known = Known.of(0.7 + 0.3 * ramp(60, 30, 1))
    for curve in (known.forks(100, RNG(3)), known.grid(500, RNG(3))):
        rise, fall = ConfidentJump().search(curve).verdicts
        assert (rise.verdict, fall.verdict) == ("none", "none")
        assert 0.3 <= rise.change_upper <= 0.5
        assert rise.change_lower <= 0.3


def test_where_nothing_can_change_the_surprisal_proves_it() -> None:
    """All tokens have probability .95: no block of 10 carries .5, without a single fork."""
    known = Known.of(np.ones(61), every=1, stay=0.95)
    curve = known.forks(0, RNG(4))
    rise, _ = ConfidentJump().search(curve).verdicts
    assert (rise.verdict, rise.pairs) == ("none", 0)
    assert rise.left_out == sum(min(10, 60 - s) for s in range(60))
    assert rise.change_upper == pytest.approx(1 - 0.95**10)
    grid = replace(known.grid(1, RNG(4)), nats=known.nats)
    assert ConfidentJump().search(grid).verdicts[0] == rise


def test_a_grid_that_skips_positions_rules_nothing_out() -> None:
    curve = grid_of(np.arange(0, 61, 6), [0.9] * 10 + [1.0], 2000)
    rise, _ = ConfidentJump().search(curve).verdicts
    assert rise.verdict == "undecided"
    assert not rise.everywhere
    assert rise.change_upper < 0.5


@pytest.mark.parametrize("kind", ["forks", "grid"])
@pytest.mark.parametrize("name", list(nothing()))
@pytest.mark.parametrize("count", [5, 25, 100])
def test_false_alarms_on_curves_with_nothing_in_them(kind: str, name: str, count: int) -> None:
    """At most 5 % of runs may have a window: of 40, less than .05 and 3 standard errors."""
    known = Known.of(nothing()[name])
    rng = RNG([5, count])
    false = sum(bool(USUAL.find(getattr(known, kind)(count, rng))) for _ in range(RUNS))
    assert false / RUNS <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)


@pytest.mark.parametrize("kind", ["forks", "grid"])
def test_place_and_height_cover_though_the_place_was_chosen(kind: str) -> None:
    """Of a ramp of .8 over 6 tokens the shortest rises above .2 are two tokens long."""
    known = Known.of(0.2 + 0.8 * ramp(40, 15, 6))
    shortest = [(s, s + 2) for s in range(15, 20)]
    rng, good, windows = RNG(6), 0, 0
    for _ in range(RUNS):
        found = USUAL.find(getattr(known, kind)(60, rng))
        good += all(
            w.jump_lower
            <= known.curve[w.position_end] - known.curve[w.position_start]
            <= w.jump_upper
            and all(
                w.place_lower <= s and e <= w.place_upper
                for s, e in shortest
                if s < w.position_end and w.position_start < e
            )
            for w in found
        )
        windows += len(found)
    assert windows >= RUNS * 0.9  # else it says nothing
    assert good / RUNS >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / RUNS)


def test_two_rises_within_the_width_are_one_window() -> None:
    near = Known.of(0.05 + 0.45 * ramp(60, 20, 1) + 0.5 * ramp(60, 25, 1))
    far = Known.of(0.05 + 0.45 * ramp(60, 20, 1) + 0.5 * ramp(60, 40, 1))
    assert len(USUAL.find(near.forks(400, RNG(7)))) == 1
    assert len(USUAL.find(far.forks(400, RNG(7)))) == 2


def test_windows_of_means_are_told_apart_only_where_they_do_not_fit_into_the_width() -> None:
    """A rise over as many tokens as the width: whatever is found of it is one window."""
    known, rng = Known.of(0.05 + 0.9 * ramp(60, 25, 10)), RNG(12)
    for _ in range(RUNS):
        windows = [w for w in USUAL.find(known.grid(100, rng)) if w.direction == "rise"]
        for left, right in pairwise(windows):
            assert right.position_end - left.position_start > 10


def test_a_slow_rise_is_no_window_however_many_draws() -> None:
    known = Known.of(np.linspace(0.1, 1, 61))
    rise, _ = ConfidentJump(max_width=20).search(known.forks(2000, RNG(8))).verdicts
    assert rise.verdict == "none"
    rise, _ = ConfidentJump(max_width=50).search(known.forks(2000, RNG(8))).verdicts
    assert rise.verdict == "window"


def test_checks() -> None:
    for protocol in (ForkProtocol(), EveryToken(), Fractions()):
        ConfidentJump().check(protocol)
    ConfidentJump(unit="nats", max_width=3).check(ForkProtocol())
    with pytest.raises(ParameterError, match=r"window\.unit.*nats"):
        ConfidentJump(unit="nats", max_width=3).check(EveryToken())
    ConfidentJump(unit="fraction", max_width=0.2).check(Fractions())
    with pytest.raises(ParameterError, match=r"window\.max_width"):
        ConfidentJump(unit="fraction", max_width=0.01).check(Fractions())


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"threshold": 0}, "threshold"),
        ({"threshold": 1.0}, "threshold"),
        ({"threshold": "high"}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"max_width": 0}, "max_width"),
        ({"max_width": None}, "max_width"),
        ({"max_width": float("inf")}, "max_width"),
        ({"max_width": 2, "unit": "fraction"}, "max_width"),
        ({"unit": "words"}, "unit"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], name: str) -> None:
    with pytest.raises(ParameterError, match=name):
        ConfidentJump(**settings)  # type: ignore[arg-type]


def test_means_over_neighbours_find_what_no_pair_shows() -> None:
    """A rise of .7 over 3 tokens at 6 resamples: no two values differ for certain, means do."""
    known = Known.of(0.2 + 0.7 * ramp(60, 30, 3) + 0.1 * (np.arange(61) == 60))
    rng, found, alone = RNG(9), 0, 0
    for _ in range(RUNS):
        windows = [w for w in USUAL.find(known.grid(6, rng)) if w.direction == "rise"]
        found += bool(windows)
        alone += any(w.jump_lower > 0.2 for w in windows)
        for w in windows:
            assert w.position_start < 33
            assert w.position_end > 30
            assert w.position_end - w.position_start <= 10
            assert w.jump_lower <= w.jump <= w.jump_upper
            # a stretch of 10 tokens that rises certainly lies here, which one is not known
            assert w.place_lower <= w.position_start
            assert w.position_end <= w.place_upper
            assert w.place_lower < 30
            assert w.place_upper > 31
            assert w.place_upper - w.place_lower < 20
    assert found / RUNS > 0.5
    assert alone == 0


def test_resamples_need_not_be_as_many_everywhere() -> None:
    """Means weigh positions alike: a window is found, nothing is where there is none."""
    known = Known.of(0.2 + 0.7 * ramp(60, 30, 3) + 0.1 * (np.arange(61) == 60))
    steep, rng, found, false = Known.of(nothing()["steep"]), RNG(11), 0, 0
    for _ in range(RUNS):
        trials = np.append(rng.integers(5, 20, 60), 0)
        found += any(w.direction == "rise" for w in USUAL.find(uneven(known, trials, rng)))
        false += bool(USUAL.find(uneven(steep, trials, rng)))
    assert found / RUNS > 0.5
    assert false / RUNS <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)


@pytest.mark.parametrize("count", [15, 60])
def test_means_are_not_fooled_by_narrow_bumps(count: int) -> None:
    """Rises of .19 everywhere, just below the threshold: nothing may be found."""
    known = Known.of(0.4 + 0.19 * (np.arange(61) // 5 % 2))
    rng = RNG([10, count])
    rises = [
        [w for w in USUAL.find(known.grid(count, rng)) if w.position_end < 60] for _ in range(RUNS)
    ]
    false = sum(bool(found) for found in rises)
    assert false / RUNS <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)


def test_falls_of_a_label_are_the_rises_of_its_rest() -> None:
    """So whatever is shown of rises holds for falls: only the sign differs."""
    known = Known.of(0.2 + 0.5 * ramp(60, 30, 3) + 0.3 * ramp(60, 50, 1))
    for count in (15, 60):
        curve = known.grid(count, RNG(count))
        rest = grid_of(curve.position, 1 - curve.agreement, count)
        rises = [w for w in USUAL.find(curve) if w.direction == "rise"]
        falls = [w for w in USUAL.find(rest) if w.direction == "fall"]
        assert len(rises) == len(falls) > 0
        for up, down in zip(rises, falls, strict=True):
            assert (up.position_start, up.position_end) == (down.position_start, down.position_end)
            assert (up.place_lower, up.place_upper) == (down.place_lower, down.place_upper)
            assert up.jump_lower == pytest.approx(-down.jump_upper, abs=1e-6)
            assert up.jump_upper == pytest.approx(-down.jump_lower, abs=1e-6)
