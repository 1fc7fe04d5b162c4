"""Tests by theorem: every exact sampler is held to each statement that it declares."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from critwin.samplers.exact import ExactSampler
from critwin.samplers.markov_mixture import InContext
from critwin.samplers.sparse_regression import SparseRegression
from critwin.seeds import fold_in
from critwin.theory.bounds import bounds_at, theorem_2, theorem_2_sharper
from critwin.theory.examples import in_context_affinity
from critwin.theory.posteriors import Posteriors, population
from critwin.theory.times import cached, window_times
from critwin.theory.total_variation import bhattacharyya, leak
from tests.critwin.all_samplers import EXACT_SAMPLERS

ROUNDING = 1e-9
ALARM = 4.5
"""Standard errors: about 130 comparisons with a false alarm once in a thousand runs."""


def visited(sampler: ExactSampler) -> list[float]:
    last = sampler.last_level
    return [sampler.time(k) for k in sorted({0, last // 4, last // 2, 3 * last // 4})]


def sets_of(sampler: ExactSampler) -> tuple[list[int], list[int]]:
    """A set, and one that holds it: everything."""
    everything = list(range(len(sampler.mixture_weights)))
    if isinstance(sampler, SparseRegression):
        return sampler.signal, everything
    return [0], everything


def theorem_2_holds(sampler: ExactSampler) -> None:
    """The labels' TV after resampling is at most Theorem 2's bound in the plateau."""
    after, before = sets_of(sampler)
    for epsilon in (0.3, 0.6):
        found = window_times(cached(sampler), after, before, epsilon=epsilon)
        if found.time_before is None:
            continue
        level = sampler.level_at(found.time_before)
        count = 4000
        xs = sampler.draw_population(
            population(sampler.mixture_weights, after), count, seed=fold_in(0, "init")
        )
        seeds = [fold_in(1, i) for i in range(count)]
        cuts = sampler.observe(xs, [level] * count, seeds=seeds)
        again = [own[0].component for own in sampler.resample(cuts, seeds=[[s] for s in seeds])]
        inside = np.isin(again, after).mean()
        goal = sampler.mixture_weights[after].sum()
        error = ALARM * 0.5 / np.sqrt(count)
        assert abs(inside - goal) <= theorem_2(epsilon, 0.0) + error


def sharper_bounds_hold(sampler: ExactSampler) -> None:
    """Each bound lies above the sharper one of its kind, at every time."""
    after, before = sets_of(sampler)
    for time in visited(sampler):
        at = sampler.posteriors(time)
        slack = ROUNDING if at.draws is None else 0.02  # the paper's uses a TV of its own sample
        for targ in (after, before):
            b = bounds_at(at, init=after, targ=targ)
            assert (
                b.by_leak <= b.by_overlap + ROUNDING <= b.tv_init_targ + 2 * b.leak + 2 * ROUNDING
            )
            assert b.by_leak <= b.by_bhattacharyya + ROUNDING
            if b.paper is not None and b.linear is not None:
                assert b.by_bhattacharyya <= b.paper + slack
                assert b.by_overlap <= b.linear + slack
    for epsilon in (0.01, 0.1, 0.5):
        for odds in (0.1, 1.0, 5.0):
            assert theorem_2_sharper(epsilon, odds) <= theorem_2(epsilon, odds) + ROUNDING


def detailed_balance_holds(sampler: ExactSampler) -> None:
    """w_S B_S = w_rest B_rest."""
    after, _ = sets_of(sampler)
    rest = [i for i in range(len(sampler.mixture_weights)) if i not in set(after)]
    weight = sampler.mixture_weights[after].sum()
    for time in visited(sampler):
        at = sampler.posteriors(time)
        assert weight * leak(at, after).value == pytest.approx(
            (1 - weight) * leak(at, rest).value, abs=1e-12
        )


def leak_is_monotone(sampler: ExactSampler) -> None:
    """B_S does not fall with time; from draws, by no more than their errors."""
    after, _ = sets_of(sampler)
    found = [leak(sampler.posteriors(t), after) for t in reversed(visited(sampler))]
    for less, more in pairwise(found):
        slack = ROUNDING if less.draws is None else 0.0
        assert more.upper >= less.lower - slack


def leak_is_what_resampling_does(sampler: ExactSampler) -> None:
    """The share of resampled labels that leave S is B_S, within k standard errors."""
    after, _ = sets_of(sampler)
    count = 4000
    init = population(sampler.mixture_weights, after)
    for level in (0, sampler.last_level // 3, 2 * sampler.last_level // 3):
        xs = sampler.draw_population(init, count, seed=fold_in(2, level))
        seeds = [fold_in(3, level, i) for i in range(count)]
        cuts = sampler.observe(xs, [level] * count, seeds=seeds)
        again = sampler.resample(cuts, seeds=[[fold_in(4, s)] for s in seeds])
        left = np.mean([own[0].component not in after for own in again])
        expected = leak(sampler.posteriors(sampler.time(level)), after)
        error = ALARM * np.sqrt(max(expected.value * (1 - expected.value), 1 / count) / count)
        assert abs(left - expected.value) <= error + (expected.upper - expected.lower) / 2


def in_context_bound_holds(sampler: ExactSampler) -> None:
    """BC of a task and the others is at most the sum over pairs, tensorised."""
    assert isinstance(sampler, InContext)
    w = sampler.mixture_weights
    one, others = population(w, [0]), population(w, list(range(1, len(w))))
    for examples in range(sampler.examples + 1):
        at = sampler.posteriors(sampler.tokens - 3 * examples)
        bound = in_context_affinity(w.tolist(), 0, sampler.delta, examples)
        assert bhattacharyya(at, one, others).value <= bound + ROUNDING


HOLDS: dict[str, Callable[[ExactSampler], None]] = {
    "theorem_2": theorem_2_holds,
    "sharper_bounds": sharper_bounds_hold,
    "detailed_balance": detailed_balance_holds,
    "monotone_leak": leak_is_monotone,
    "leak_is_measured": leak_is_what_resampling_does,
    "in_context_bound": in_context_bound_holds,
}

DECLARED = [
    (name, statement)
    for name, make in EXACT_SAMPLERS.items()
    for statement in sorted(make().satisfies)
]


@pytest.mark.parametrize(("name", "statement"), DECLARED)
def test_a_declared_statement_holds(name: str, statement: str) -> None:
    HOLDS[statement](EXACT_SAMPLERS[name]())


def test_every_statement_is_declared_by_a_sampler() -> None:
    assert {statement for _, statement in DECLARED} == set(HOLDS)


@pytest.mark.parametrize("name", EXACT_SAMPLERS)
def test_the_law_of_the_posterior_is_that_of_observations(name: str) -> None:
    """Closed forms, enumeration and quadrature agree with posteriors of drawn observations."""
    sampler = EXACT_SAMPLERS[name]()
    level = max(sampler.last_level // 2, 1)
    told = sampler.posteriors(sampler.time(level))
    drawn = sampler.sampled_posteriors(level, draws=8000)
    for moment in (1, 2):
        for component in range(min(len(sampler.mixture_weights), 3)):
            values = drawn.posterior[:, component] ** moment
            error = ALARM * values.std() / np.sqrt(8000)
            if told.draws is not None:
                error *= 1 + np.sqrt(8000 / told.draws)
            expected = float(told.mass @ told.posterior[:, component] ** moment)
            assert abs(values.mean() - expected) <= error + 1e-6


def test_intervals_of_sampled_numbers_cover() -> None:
    """Empirical Bernstein: of 400 sampled leaks at most 5 % miss, and 4 standard errors."""
    rng = np.random.default_rng(0)
    posterior = np.array([[0.999, 0.001], [0.6, 0.4], [0.02, 0.98]])
    mass = np.array([0.5, 0.1, 0.4])
    weights = mass @ posterior
    exact = leak(Posteriors(mass, posterior, weights), [0]).value
    missed = 0
    for _ in range(400):
        rows = rng.choice(3, size=200, p=mass)
        found = leak(Posteriors(np.full(200, 1 / 200), posterior[rows], weights, 200), [0])
        missed += not found.lower <= exact <= found.upper
    assert missed <= 400 * 0.05 + 4 * np.sqrt(400 * 0.05 * 0.95)
