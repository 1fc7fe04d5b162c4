"""Changes over all pairs at once: complete, proven where left out, and covered jointly."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from critwin.changes import Changes, Width
from critwin.pair_search import changes, rough_errors
from tests.critwin.windows.known_curves import Known, grid_of, ramp, uneven

N = 40
STEPS = Known.of(0.1 + 0.5 * ramp(N, 12, 1) + 0.2 * ramp(N, 20, 4) + 0.2 * ramp(N, 30, 10))


def every_pair(known: Known, width: int) -> dict[tuple[int, int], float]:
    return {
        (s, e): known.curve[e] - known.curve[s]
        for s in range(known.n)
        for e in range(s + 1, min(s + width, known.n) + 1)
    }


def holding(found: Changes, start: int, end: int) -> np.ndarray:
    return np.flatnonzero((found.start >= start) & (found.end <= end))


def test_forks_every_pair_is_there_or_proven_small() -> None:
    curve = STEPS.forks(50, np.random.default_rng(0))
    found = changes(curve, width=Width(6), above=0.2)
    kept = set(zip(found.start.tolist(), found.end.tolist(), strict=True))
    stay = np.exp(np.append(0, np.cumsum(np.log(STEPS.probability))))
    p = curve.agreement
    for (s, e), _ in every_pair(STEPS, 6).items():
        choices = np.flatnonzero(STEPS.probability[s:e] < 1) + s
        if len(choices) == 0:
            assert p[e] == pytest.approx(p[s])
            continue
        inner = int(choices[0]), int(choices[-1]) + 1
        leaves = 1 - stay[e] / stay[s]
        assert (inner in kept) == (leaves > 0.2)
    assert found.left_out > 0
    assert found.left_out_change <= 0.2
    np.testing.assert_allclose(found.change, p[found.end] - p[found.start], atol=1e-12)
    assert (found.lower <= found.change).all()
    assert (found.change <= found.upper).all()


def test_sharp_intervals_are_those_of_the_curve() -> None:
    """At level 1 - (1 - share) error / J each, whatever was left out of the path."""
    curve = STEPS.forks(30, np.random.default_rng(1))
    found = changes(curve, width=Width(6), above=0.2)
    lower, upper = curve.differences(found.start, found.end, level=1 - 0.9 * 0.05 / len(found))
    cheap = found.lower.copy(), found.upper.copy()
    found.sharpen(np.arange(len(found)))
    np.testing.assert_allclose(found.lower, np.maximum(lower, cheap[0]), atol=1e-6)
    np.testing.assert_allclose(found.upper, np.minimum(upper, cheap[1]), atol=1e-6)


def test_tokens_that_were_not_forked_may_lead_anywhere() -> None:
    curve = STEPS.forks(1000, np.random.default_rng(2))
    counts = curve.forks.counts.copy()
    counts[12] = 0
    blind = type(curve)(
        **{**vars(curve), "forks": type(curve.forks)(**{**vars(curve.forks), "counts": counts})}
    )
    found = changes(blind, width=Width(1), above=0.2)
    (at,) = np.flatnonzero((found.start == 12) & (found.end == 13))
    # the rise is (1 - pi) (p - d), and d may be anything
    leave = 1 - STEPS.probability[12]
    assert found.upper[at] > leave * STEPS.curve[13] - 0.05
    assert found.lower[at] < leave * (STEPS.curve[13] - 1) + 0.05


@pytest.mark.parametrize("kind", ["forks", "grid"])
def test_all_changes_are_covered_at_once(kind: str) -> None:
    """95 % promised; 150 runs: at least .95 less 3 standard errors, .897."""
    rng = np.random.default_rng(3)
    known = Known.of(0.2 + 0.4 * ramp(20, 8, 1) + 0.4 * ramp(20, 12, 4))
    missed = 0
    for _ in range(150):
        curve = known.forks(8, rng) if kind == "forks" else known.grid(8, rng)
        found = changes(curve, width=Width(5))
        found.sharpen(np.arange(len(found)))
        true = known.curve[found.end] - known.curve[found.start]
        outside = (found.lower > true + 1e-9) | (found.upper < true - 1e-9)
        missed += bool(outside[~found.pooled].any())
    assert missed / 150 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 150)


def test_cheap_bounds_alone_cover_and_are_wider() -> None:
    rng = np.random.default_rng(4)
    for curve in (STEPS.forks(20, rng), STEPS.grid(20, rng)):
        found = changes(curve, width=Width(5))
        true = STEPS.curve[found.end] - STEPS.curve[found.start]
        assert (found.lower <= true).all()
        assert (true <= found.upper).all()
        widths = found.upper - found.lower
        found.sharpen([0, 1])
        assert (found.upper - found.lower <= widths).all()
        assert found.done.sum() == 2


def test_widths() -> None:
    curve = STEPS.forks(20, np.random.default_rng(5))
    tokens = changes(curve, width=Width(4))
    share = changes(curve, width=Width(0.1, "fraction"))
    assert (tokens.tokens <= 4).all()
    assert tokens.tokens.tolist() == share.tokens.tolist()  # .1 of 40 tokens
    nats = changes(curve, width=Width(1.0, "nats"))
    alone = nats.tokens == 1
    assert (nats.nats[~alone] <= 1).all()
    assert nats.nats[alone].max() > 1  # a single token is always near enough
    surprisal = -np.log(STEPS.probability)
    for s, e, sum_ in zip(nats.start, nats.end, nats.nats, strict=True):
        assert sum_ == pytest.approx(surprisal[s:e].sum())


def test_grid_takes_neighbours_however_far_and_knows_its_end() -> None:
    curve = grid_of([0, 20, 40, 60], [0.5, 0.5, 0.5, 1.0], 100)
    found = changes(curve, width=Width(10))
    assert list(zip(found.start, found.end, strict=True)) == [(0, 20), (20, 40), (40, 60)]
    found.sharpen(np.arange(3))
    # the end is exact: its change is as uncertain as one binomial, not two
    assert found.upper[2] - found.lower[2] < found.upper[1] - found.lower[1]
    assert not found.everywhere
    with pytest.raises(TypeError, match="nats"):
        changes(curve, width=Width(1, "nats"))


def test_falls_are_rises_of_the_other_sign() -> None:
    found = changes(STEPS.grid(30, np.random.default_rng(6)), width=Width(3))
    turned = found.reversed()
    turned.sharpen([5])
    found.sharpen([5])
    assert turned.lower[5] == -found.upper[5]
    assert turned.upper[5] == -found.lower[5]


def test_rough_errors_are_standard_errors() -> None:
    rng = np.random.default_rng(7)
    for draw in (STEPS.forks, STEPS.grid):
        values = np.array([draw(60, rng).agreement for _ in range(300)])
        told = np.mean([rough_errors(draw(60, rng)) for _ in range(20)], axis=0)
        seen = values.std(axis=0)
        # smoothing towards 1/2 makes values near 0 and 1 look less sure; else 4 standard errors
        inside = seen > 0.03
        ratio = told[inside] / seen[inside]
        assert (np.abs(ratio - 1) < 4 / math.sqrt(2 * 300) + 0.1).all()


def stretches(found: Changes, row: int) -> list[tuple[int, int]]:
    """Give the stretches of a mean: from each position to that so many tokens further on."""
    start, lag = int(found.start[row]), int(found.longest[row])
    return [(s, s + lag) for s in range(start, int(found.end[row]) - lag + 1)]


def test_means_are_of_stretches_within_the_width_that_share_a_token() -> None:
    curve = STEPS.grid(30, np.random.default_rng(8))
    found = changes(curve, width=Width(6))
    means = np.flatnonzero(found.pooled)
    assert (found.longest <= 6).all()
    assert (found.tokens[~found.pooled] == found.longest[~found.pooled]).all()
    assert found.end[means].max() == N - 1  # the exact end is no draw
    # two and six stretches, and three and five between; some lengths and the greatest
    far = means[found.start[means] < N - 12]  # near the end the greatest is less
    kinds = {(len(stretches(found, r)), int(found.longest[r])) for r in far}
    assert kinds == {(2, 2), (2, 4), (2, 6), (3, 3), (3, 6), (5, 5), (5, 6), (6, 6)}
    for row in map(int, means):
        pair = found.pair(row)
        middle = int(found.start[pair]), int(found.end[pair])
        assert not found.pooled[pair]
        every = stretches(found, row)
        assert middle == every[(len(every) - 1) // 2]
        assert all(s < middle[1] and middle[0] < e for s, e in every)
        values = [curve.agreement[e] - curve.agreement[s] for s, e in every]
        assert found.change[row] == pytest.approx(np.mean(values))
    sparse = grid_of(np.arange(0, 41, 12), [0.5, 0.5, 0.5, 1.0], 100)
    assert not changes(sparse, width=Width(10)).pooled.any()


@pytest.mark.parametrize("even", [True, False])
def test_means_are_covered_at_once(even: bool) -> None:
    """95 % promised; 150 runs: at most .05 and 3 standard errors may miss."""
    rng = np.random.default_rng(9)
    known = Known.of(0.2 + 0.4 * ramp(20, 8, 1) + 0.4 * ramp(20, 12, 4))
    missed = 0
    for _ in range(150):
        trials = np.append(np.full(20, 8) if even else rng.choice([2, 200], 20), 0)
        found = changes(uneven(known, trials, rng), width=Width(7))
        found.sharpen(np.arange(len(found)))
        means = np.array(
            [
                np.mean([known.curve[e] - known.curve[s] for s, e in stretches(found, r)])
                for r in range(len(found))
            ]
        )
        missed += bool(((found.lower > means + 1e-9) | (found.upper < means - 1e-9)).any())
    assert missed / 150 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 150)


def test_means_over_positions_that_lie_unevenly_keep_the_width() -> None:
    position = np.array([0, 1, 2, 4, 5, 9, 10, 11, 12, 13, 14, 18, 19, 20])
    curve = grid_of(position, np.linspace(0.1, 1, len(position)), 50)
    found = changes(curve, width=Width(5))
    means = np.flatnonzero(found.pooled)
    assert len(means) > 0
    assert (found.longest[means] <= 5).all()
    visited = set(position.tolist())
    for row in map(int, means):
        assert {int(found.start[row]), int(found.end[row])} <= visited
        assert found.middle_end[row] - found.middle_start[row] <= found.longest[row]


def test_of_a_grid_whose_path_is_known_only_what_may_change_is_looked_at() -> None:
    """95 % promised, with the bounds that surprisal gives; 150 runs, 3 standard errors."""
    known = Known.of(0.2 + 0.4 * ramp(20, 8, 1) + 0.4 * ramp(20, 12, 4))
    stay = np.exp(-known.nats)
    able = {(s, e) for s, e in every_pair(known, 7) if 1 - stay[e] / stay[s] > 0.2 - 1e-13}
    rng, missed = np.random.default_rng(10), 0
    for _ in range(150):
        curve = replace(known.grid(8, rng), nats=known.nats)
        found = changes(curve, width=Width(7), above=0.2)
        single = np.flatnonzero(~found.pooled)
        ends = zip(found.start[single].tolist(), found.end[single].tolist(), strict=True)
        assert set(ends) == able
        assert found.left_out == len(every_pair(known, 7)) - len(able)
        assert found.left_out_change <= 0.2
        every = [stretches(found, row) for row in range(len(found))]
        assert {one for some in every for one in some} == able
        np.testing.assert_allclose(
            found.nats, [max(known.nats[e] - known.nats[s] for s, e in some) for some in every]
        )
        found.sharpen(np.arange(len(found)))
        means = [np.mean([known.curve[e] - known.curve[s] for s, e in some]) for some in every]
        outside = (found.lower > np.add(means, 1e-9)) | (found.upper < np.add(means, -1e-9))
        missed += bool(outside.any())
    assert missed / 150 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 150)
    blind = changes(known.grid(8, rng), width=Width(7), above=0.2)
    assert len(blind) > len(found)
    assert np.isnan(blind.nats).all()
