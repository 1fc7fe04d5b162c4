"""Truncation at every token, worked out: against resamples, and the sample that is scaled up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from critwin.feature import Feature
from critwin.forward_reverse import forward_reverse
from critwin.samplers.language import LanguageSampler
from experiments.benchmarking.every_token import EveryToken, Reference
from experiments.benchmarking.fork_estimation import estimate_by_forks
from experiments.benchmarking.work import Cut, Work

DRAWS = 300


def test_the_reference_is_what_resamples_give(
    letters: Callable[..., LanguageSampler],
    work_of: Callable[..., Work],
    last_letter: Feature,
) -> None:
    """Own-label probability and mean tokens at each cut of the grid, within 4.5 standard errors.

    The forks are to a half-width of .1, two standard errors, so the resamples' own error of
    sqrt(p (1 - p) / 300) <= .029 comes on top of .05; 9 cuts, two numbers each.
    """
    sampler = letters()
    work = work_of(sampler)
    estimate = estimate_by_forks(sampler, work, last_letter, half_width=0.1, replicate=0)
    reference = Reference.of(estimate)
    assert len(reference.position) == sum(len(x.token_ids) for x in work.samples)
    resampled = forward_reverse(
        sampler, work.samples, work.levels, draws=DRAWS, seeds=[7 + s for s in work.seeds]
    )
    for i, (levels, own) in enumerate(zip(work.levels, resampled, strict=True)):
        for level, draws in zip(levels, own, strict=True):
            (at,) = np.flatnonzero((reference.original == i) & (reference.position == level))
            label = work.originals[i].label
            agree = np.mean([x.text[-1:] == label for x in draws])
            assert abs(reference.agreement[at] - agree) < 4.5 * np.hypot(0.05, 0.029)
            tokens = np.array([len(x.token_ids) - level for x in draws])
            error = tokens.std() / np.sqrt(DRAWS)
            # the lengths of the forks are as uncertain as their labels, up to 11 tokens for one
            assert abs(reference.tokens[at] - tokens.mean()) < 4.5 * np.hypot(error, 0.05 * 11 / 2)


def test_seconds_are_those_of_the_whole_work(
    letters: Callable[..., LanguageSampler], work_of: Callable[..., Work]
) -> None:
    """Cuts of one original with known seconds: over many samples the mean is the sum of all."""
    work = work_of(letters())
    n = len(work.samples[0].token_ids)
    positions = np.arange(n)
    reference = Reference(
        original=np.zeros(n, np.int64),
        position=positions,
        agreement=np.full(n, 0.5),
        tokens=np.ones(n),
    )
    draws = 40 + 30 * positions**2
    plan = EveryToken(reference, draws)

    def per_resample(cut: Cut) -> float:
        return 1.0 + len(cut.ids) ** 1.5

    ids = len(work.samples[0].prompt_ids) + positions
    whole = float(draws @ (1.0 + ids**1.5))
    found = []
    for seed in range(200):
        cuts = plan.sample(work, 5, most=64, seed=seed)
        assert all(cut.draws == min(64, draws[len(cut.ids) - ids[0]]) for cut in cuts)
        found.append(plan.seconds(cuts, lambda cut: cut.draws * per_resample(cut)))
    # 4.5 standard errors of the mean of 200 samples
    assert abs(np.mean(found) - whole) < 4.5 * np.std(found) / np.sqrt(200)
    assert np.std(found) > 0


def test_tokens_are_draws_times_their_length() -> None:
    reference = Reference(
        original=np.array([0, 0, 1]),
        position=np.array([0, 1, 0]),
        agreement=np.array([1.0, 0.0, 1.0]),
        tokens=np.array([4.0, 2.5, 10.0]),
    )
    plan = EveryToken.to_half_width(reference, 0.05)
    assert plan.draws.tolist() == [36, 36, 36]  # .025^(1/36) is the first above .9
    assert plan.resamples == 108
    assert plan.tokens == 36 * 16.5
