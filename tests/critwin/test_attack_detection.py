"""Recall at a fixed rate of false alarms: by hand, with both signs, and its interval's coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from critwin.attack_detection import (
    FALSE_ALARMS,
    PARTS,
    Score,
    classifier_score,
    likelihood_scores,
    mean_likelihood,
    recalls,
)


def test_recall_by_hand() -> None:
    # of 100 harmless scores 0..99 one may be flagged: the threshold is 98
    values = np.array([*range(100), 98.0, 98.5, 99.5, 200.0])
    attacks = [""] * 100 + ["a"] * 4
    high, low = recalls(Score("s", values, high=True), attacks)
    assert (high.hits, high.n, high.false_alarms, high.theory) == (3, 4, 1, True)
    assert high.recall == 0.75
    assert high.lower == 0.0  # 100 harmless ones cannot name a threshold that is strict for certain
    assert (low.sign, low.hits, low.theory) == (-1, 0, False)


def test_interval_covers_the_recall_at_exactly_the_rate() -> None:
    """Normal scores: the threshold is the .99 quantile, and recall has a closed form."""
    rng = np.random.default_rng(11)
    shift, n, trials = 2.0, 40, 400
    truth = float(norm.sf(norm.isf(FALSE_ALARMS) - shift))
    for benign in (100, 800):
        attacks = [""] * benign + ["a"] * n
        covered = 0
        for _ in range(trials):
            values = np.concatenate([rng.normal(size=benign), shift + rng.normal(size=n)])
            found = recalls(Score("s", values, high=True), attacks)[0]
            covered += found.lower <= truth <= found.upper
        # at least .95, less four standard errors of `trials` draws
        assert covered / trials >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / trials)


def test_scores_are_those_of_the_table() -> None:
    parts = {name: np.array([float(i), -1.0]) for i, name in enumerate(PARTS)}
    ratio_prompt, ratio_text, aligned_prompt, aligned_text = likelihood_scores(parts)
    assert ratio_prompt.values.tolist() == [2.0, 0.0]  # unaligned less aligned
    assert ratio_text.values.tolist() == [2.0, 0.0]
    assert aligned_prompt.values.tolist() == [0.0, -1.0]
    assert aligned_text.values.tolist() == [1.0, -1.0]
    assert [s.high for s in likelihood_scores(parts)] == [True, True, False, False]


def test_impossible_tokens_stand_at_the_floor() -> None:
    assert mean_likelihood([-1.0, -math.inf]) == -5.5
    assert math.isnan(mean_likelihood([]))


def test_classifier_is_scored_on_attempts_it_was_not_trained_on() -> None:
    """Labels that nothing tells: a classifier scored on its training data would know them."""
    rng = np.random.default_rng(0)
    parts = {name: rng.normal(size=200) for name in PARTS}
    attacks = ["" if flag else "a" for flag in rng.random(200) < 0.5]
    values = classifier_score(parts, attacks, seed=0).values
    attacked = np.array(attacks) == "a"
    wins = (values[attacked][:, None] > values[~attacked]).mean()
    # area under the curve is .5 with a standard error of about sqrt(1 / (12 * 50)) = .04
    assert wins == pytest.approx(0.5, abs=4 * 0.041)
