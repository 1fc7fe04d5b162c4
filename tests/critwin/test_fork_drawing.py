"""Forks that are drawn, and forks found in resamples that left the path."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from critwin.fork_drawing import draw_forks, first_departure
from critwin.forks import Forks, curve_weights, fork_levels
from critwin.forward_reverse import forward_reverse
from critwin.generation import Generation
from critwin.samplers.markov_string import MarkovString
from critwin.seeds import fold_in
from tests.critwin.markov_forks import Known, last_symbol, random_chain

KNOWN = Known.longest(random_chain(3, max_new_tokens=15))


def test_every_assigned_fork_comes_back() -> None:
    """Also the longest: a budget that drops forks in flight would over-represent short ones."""
    number = np.where(KNOWN.path.probability < 1, np.arange(KNOWN.n) % 4, 0)
    (drawn,) = draw_forks(KNOWN.chain, [KNOWN.x], [number], stage="main", seeds=[0])
    assert [u for u, _ in drawn] == np.repeat(np.arange(1, KNOWN.n + 1), number).tolist()
    np.testing.assert_array_equal(KNOWN.counted(drawn).trials, number)
    assert max(len(y.token_ids) for _, y in drawn) == KNOWN.chain.max_new_tokens


def test_more_forks_keep_those_drawn_and_stages_differ() -> None:
    choice = (KNOWN.path.probability < 1).astype(int)

    def ids(count: int, stage: str) -> list[list[tuple[int, ...]]]:
        ((*drawn,),) = draw_forks(KNOWN.chain, [KNOWN.x], [count * choice], stage=stage, seeds=[5])
        at = np.flatnonzero(choice) + 1
        return [[y.token_ids for v, y in drawn if v == u][:2] for u in at]

    assert ids(2, "main") == ids(6, "main")
    assert ids(2, "main") != ids(2, "pilot")


def test_every_fork_has_random_numbers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forks of two tokens, originals or stages that shared a seed would not be independent."""
    given: list[int] = []

    def fork(
        self: MarkovString, x: Sequence[Generation], position: Sequence[int], *, seeds: list[int]
    ) -> list[Generation]:
        given.extend(seeds)
        return list(x)

    monkeypatch.setattr(MarkovString, "fork", fork)
    for stage in ("pilot", "main"):
        draw_forks(KNOWN.chain, [KNOWN.x] * 2, [[3] * KNOWN.n] * 2, stage=stage, seeds=[1, 2])
    assert len(given) == len(set(given)) == 2 * 2 * 3 * KNOWN.n


def test_originals_are_forked_together_as_alone() -> None:
    other = Known.longest(KNOWN.chain, among=3, seed=9)
    numbers = [2 * (k.path.probability < 1) for k in (KNOWN, other)]
    xs = [KNOWN.x, other.x]
    together = draw_forks(KNOWN.chain, xs, numbers, stage="main", seeds=[1, 2])
    for i in range(2):
        alone = draw_forks(KNOWN.chain, [xs[i]], [numbers[i]], stage="main", seeds=[i + 1])
        assert alone == [together[i]]


def test_first_departure_by_hand() -> None:
    x = (4, 5, 6, 0)
    assert first_departure(x, (4, 5, 7, 0), level=1) == 3
    assert first_departure(x, (4, 1), level=1) == 2
    assert first_departure(x, x, level=1) is None
    with pytest.raises(ValueError, match="level 2 differs at token 2 already"):
        first_departure(x, (4, 1, 6, 0), level=2)


@pytest.mark.parametrize("resample", [(4, 5, 6), (4, 5, 6, 0, 1)])
def test_a_fresh_length_limit_is_noticed(resample: tuple[int, ...]) -> None:
    """Two texts of one sampler that differ in nothing but length had different limits."""
    with pytest.raises(ValueError, match="one absolute length limit"):
        first_departure((4, 5, 6, 0), resample, level=1)


def departures(known: Known, levels: list[int], draws: int, seed: int) -> Forks:
    """Resample on a grid and count what left the path as forks."""
    ((*cuts,),) = forward_reverse(
        known.chain, [known.x], [levels], draws=draws, seeds=[fold_in(seed, "grid")]
    )
    left = [
        (u, y)
        for level, own in zip(levels, cuts, strict=True)
        for y in own
        if (u := first_departure(known.x.token_ids, y.token_ids, level=level)) is not None
    ]
    return known.counted(left)


def test_departures_of_grid_resamples_are_forks() -> None:
    """Where a resample leaves does not say where it ends: leave values come out unbiased.

    The leave values are pooled over 60 grids; k = 4.5 standard errors at fewer than 50 tokens.
    """
    grids = [departures(KNOWN, [0, 3, 6], 25, seed) for seed in range(60)]
    for label in KNOWN.chain.symbols:
        hits, trials = (
            sum(g.hits(label) for g in grids),
            sum(g.trials for g in grids),
        )
        d = KNOWN.leave_values(label)
        seen = np.asarray(trials) > 0
        error = 4.5 * np.sqrt(d * (1 - d) / np.maximum(trials, 1))
        assert (abs(hits / np.maximum(trials, 1) - d)[seen] <= error[seen] + 1e-12).all()
    assert seen.sum() > 5


def test_pooled_with_forks_they_leave_the_curve_unbiased() -> None:
    """Counting a resample that stays as agreement somewhere, or at its level, would shift this."""
    sets, weights = 60, curve_weights(KNOWN.path.probability)
    drawn = KNOWN.forks(3, seeds=range(sets))
    values, errors = [], np.zeros(KNOWN.n + 1)
    d = KNOWN.leave_values(KNOWN.own)
    for seed, forks in enumerate(drawn):
        grid = departures(KNOWN, [0, 2, 5], 10, seed)
        pooled = forks.pooled(grid)
        np.testing.assert_array_equal(pooled.trials, forks.trials + grid.trials)
        values.append(fork_levels(pooled, KNOWN.own))
        errors += weights**2 @ (d * (1 - d) / np.maximum(pooled.trials, 1)) / sets**2
    bias = np.mean(values, axis=0) - KNOWN.curve(KNOWN.own)
    assert (abs(bias) <= 4.5 * np.sqrt(errors) + 1e-12).all()
    assert last_symbol(KNOWN.x) == KNOWN.own


def test_forks_of_different_paths_are_not_pooled() -> None:
    other = Known.longest(random_chain(4), seed=1)
    with pytest.raises(ValueError, match="same original"):
        KNOWN.forks(1, seeds=[0])[0].pooled(other.forks(1, seeds=[0])[0])
