"""Every sampler is held to the laws of DESIGN: see the contract in critwin/sampler.py."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from critwin.forward_reverse import forward_reverse
from critwin.generation import Generation, TextSampler
from critwin.prompt import Prompt
from critwin.seeds import fold_in
from tests.critwin.all_samplers import ALL_SAMPLERS

DRAWS = 4000
FALSE_ALARM = 1e-4
"""Chance that a law that holds is called broken, per test."""


@pytest.fixture(params=list(ALL_SAMPLERS))
def sampler(request: pytest.FixtureRequest, tiny_letters: Path) -> TextSampler:
    return ALL_SAMPLERS[request.param](tiny_letters)


def draw(sampler: TextSampler, count: int, *, name: str) -> list[Generation]:
    start = sampler.start([Prompt("abc")])
    return sampler.resample(start, seeds=[[fold_in(0, name, i) for i in range(count)]])[0]


def test_nothing_kept_leaves_nothing(sampler: TextSampler) -> None:
    xs = draw(sampler, 5, name="x")
    (start,) = sampler.start([Prompt("abc")])
    assert sampler.observe(xs, [0] * 5, seeds=[0] * 5) == [start] * 5
    assert {sampler.snap(x, 1.0) for x in xs} == {0}


def test_everything_kept_returns_it(sampler: TextSampler) -> None:
    xs = draw(sampler, 20, name="x")
    for level in ([sampler.snap(x, 0.0) for x in xs], [10_000] * 20):
        kept = sampler.observe(xs, level, seeds=[0] * 20)
        assert sampler.resample(kept, seeds=[[1, 2]] * 20) == [[x, x] for x in xs]


def test_same_seeds_same_draws_in_any_order(sampler: TextSampler) -> None:
    xs = draw(sampler, 8, name="x")
    levels = [min(2, len(x.token_ids) - 1) for x in xs]
    cuts = sampler.observe(xs, levels, seeds=[0] * 8)
    seeds = [[fold_in(1, i, r) for r in range(3)] for i in range(8)]
    together = sampler.resample(cuts, seeds=seeds)
    alone = [sampler.resample([cut], seeds=[own])[0] for cut, own in zip(cuts, seeds, strict=True)]
    backwards = sampler.resample(cuts[::-1], seeds=seeds[::-1])[::-1]
    ids = [[g.token_ids for g in own] for own in together]
    assert [[g.token_ids for g in own] for own in alone] == ids
    assert [[g.token_ids for g in own] for own in backwards] == ids


@pytest.mark.parametrize("level", [1, 3])
def test_observe_then_resample_leaves_the_law(sampler: TextSampler, level: int) -> None:
    xs = draw(sampler, DRAWS, name="x")
    # samplers that forget at random need a seed of its own for each observation
    cuts = sampler.observe(xs, [level] * DRAWS, seeds=[fold_in(5, i) for i in range(DRAWS)])
    again = sampler.resample(cuts, seeds=[[fold_in(2, i)] for i in range(DRAWS)])
    # a second set of originals, so that the two samples compared are independent
    fresh = draw(sampler, DRAWS, name="fresh")
    assert_same_law([x.text[:6] for x in fresh], [own[0].text[:6] for own in again])
    assert_same_law(
        [str(len(x.token_ids)) for x in fresh], [str(len(own[0].token_ids)) for own in again]
    )


def assert_same_law(first: list[str], second: list[str]) -> None:
    """Chi-squared test of two samples; values expected fewer than five times are put together."""
    counts = Counter(first), Counter(second)
    names = [v for v, c in (counts[0] + counts[1]).items() if c >= 10]
    table = np.array([[c[name] for name in names] for c in counts], dtype=float)
    rest = np.array([len(first), len(second)], dtype=float) - table.sum(axis=1)
    if rest.sum() >= 10:
        table = np.column_stack([table, rest])
    if table.shape[1] > 1:
        assert chi2_contingency(table).pvalue > FALSE_ALARM


def test_averaged_agreement_does_not_fall(sampler: TextSampler) -> None:
    """The label is the last symbol; averaged over originals its agreement is a submartingale."""
    count, draws = 300, 10
    xs = draw(sampler, count, name="x")
    levels = list(range(6))
    resamples = forward_reverse(
        sampler, xs, [levels] * count, draws=draws, seeds=[fold_in(3, i) for i in range(count)]
    )
    agree = np.array(
        [
            [np.mean([label(g) == label(x) for g in cut]) for cut in own]
            for x, own in zip(xs, resamples, strict=True)
        ]
    )
    steps = np.diff(agree, axis=1)
    standard_error = steps.std(axis=0, ddof=1) / np.sqrt(count)
    # five steps, one-sided, k = 4 standard errors: chance of a false alarm below 5 * 3.2e-5
    assert (steps.mean(axis=0) >= -4 * standard_error - 1e-12).all()


def label(x: Generation) -> str:
    return x.text.strip()[-1:]
