"""Distances from agreement alone: the bracket holds the truth, on a law that is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from critwin.errors import RecordsError
from critwin.theory.curves import chi_squared_certificate, label_brackets, tv_bracket

POSTERIOR = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
MASS = np.array([0.3, 0.4, 0.3])
PRIOR = MASS @ POSTERIOR
TRUTH = 0.5 * float(MASS @ np.abs(POSTERIOR[:, 0] / PRIOR[0] - POSTERIOR[:, 1] / PRIOR[1]))


def counts(observations: int, draws: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = rng.choice(3, size=observations, p=MASS)
    halves = [rng.binomial(draws, POSTERIOR[rows, 0]) for _ in range(2)]
    return [np.stack([hits, draws - hits], axis=1) for hits in halves]


def test_the_bracket_holds_the_distance_in_expectation() -> None:
    """Means over 40 repetitions: k = 4 standard errors on the wrong side would be a mistake."""
    found = [tv_bracket(*counts(400, 3, seed), label=0, other=1) for seed in range(40)]
    for side, sign in (("lower", 1), ("upper", -1)):
        values = np.array([getattr(bracket, side) for bracket in found])
        error = 4 * values.std(ddof=1) / np.sqrt(40)
        assert sign * (values.mean() - TRUTH) <= error
    assert np.mean([b.upper - b.lower for b in found]) > 0.02


def test_many_resamples_close_the_bracket() -> None:
    bracket = tv_bracket(*counts(4000, 2000, 0), label=0, other=1)
    assert bracket.upper - bracket.lower < 0.01
    assert abs(bracket.upper - TRUTH) <= 4 * bracket.upper_error + 0.005


def test_against_everything_it_is_the_share_of_the_rest() -> None:
    """TV(A, everything) = (1 - P(A)) TV(A, rest), an identity of the plug-in too."""
    halves = counts(300, 4, 1)
    against_rest = tv_bracket(*halves, label=0, other=1)
    against_all = tv_bracket(*halves, label=0, other=None)
    both = halves[0] + halves[1]
    share = (both[:, 1] / both.sum(1)).mean()
    assert against_all.upper == pytest.approx(share * against_rest.upper, abs=1e-12)


def test_chi_squared_holds_the_distance() -> None:
    probability = PRIOR[0]
    agreement = float(MASS @ POSTERIOR[:, 0] ** 2) / probability
    low, high = chi_squared_certificate(agreement, probability)
    exact = 0.5 * float(MASS @ np.abs(POSTERIOR[:, 0] / probability - 1))
    assert low <= exact <= high


def test_a_label_that_is_nearly_all_is_degenerate() -> None:
    halves = [np.array([[1000, 1], [1000, 0]]), np.array([[999, 0], [1000, 1]])]
    assert tv_bracket(*halves, label=0, other=None).degenerate


def test_per_prompt_from_records() -> None:
    """Two prompts with opposite labels: pooled they would tell labels apart, alone they do not."""
    originals, resamples = [], []
    rng = np.random.default_rng(3)
    for problem, chance in (("p", 0.9), ("q", 0.1)):
        for i in range(60):
            name = f"{problem}{i}"
            labels = rng.random(41) < chance
            originals.append((name, problem, "a" if labels[-1] else "b"))
            resamples += [
                (name, 5, replicate, "grid", "a" if hit else "b")
                for replicate, hit in enumerate(labels[:40])
            ]
    table = label_brackets(
        pd.DataFrame(originals, columns=["original_id", "problem_id", "label"]),
        pd.DataFrame(resamples, columns=["original_id", "position", "replicate", "kind", "label"]),
    )
    assert set(table["problem_id"]) == {"p", "q"}
    rest = table[table["against"] == "rest"]
    assert (rest["lower"] <= 4 * rest["lower_error"]).all()
    assert (rest["observations"] == 60).all()
    own = rest[rest["agreement"].notna()]
    np.testing.assert_allclose(own["leak"], 1 - own["agreement"])


def test_records_without_a_grid_are_refused() -> None:
    columns = ["original_id", "position", "replicate", "kind", "label"]
    with pytest.raises(RecordsError, match="run by truncation"):
        label_brackets(
            pd.DataFrame([("x", "p", "a")], columns=["original_id", "problem_id", "label"]),
            pd.DataFrame([("x", 1, 0, "fork", "a")], columns=columns),
        )
