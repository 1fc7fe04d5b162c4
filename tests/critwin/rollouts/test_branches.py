"""Curves from branches: against the closed form, and intervals that cover."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from critwin.fork_intervals import linear_form_interval
from critwin.rollouts.branches import Branches, branch_curves, final_label
from critwin.rollouts.mixture_intervals import form_interval


def rows(
    *branches: tuple[int, str, float, bool, dict[str, int]], final: str | None = "A"
) -> pd.DataFrame:
    made = [
        {
            "trajectory_id": "t",
            "position": position,
            "token": token,
            "probability": probability,
            "is_path": is_path,
            "label": label,
            "count": count,
            "final_label": final,
        }
        for position, token, probability, is_path, counts in branches
        for label, count in (counts or {None: 0}).items()
    ]
    return pd.DataFrame(made)


def test_a_hand_computed_curve() -> None:
    branches = Branches.of(
        rows(
            (0, "x", 0.5, True, {"A": 3}),
            (0, "y", 0.3, False, {"A": 1, "B": 3}),
            (0, "z", 0.1, False, {"B": 2}),
            (2, "u", 0.8, True, {"A": 1}),
            (2, "v", 0.2, False, {"A": 5, "C": 5}),
        )
    )
    assert branches.length == 3
    assert branches.labels == ("A", "B", "C")
    np.testing.assert_allclose(branches.probability, [5 / 9, 1, 0.8])
    np.testing.assert_allclose(branches.uncovered, [0.1, np.nan, 0])
    # y and z share what is left 3 : 1; the rollouts of y are worth min(4 / .75, 2 / .25) forks
    np.testing.assert_allclose(branches.leave[0], [0.75 / 4, 0.75 * 3 / 4 + 0.25, 0])
    np.testing.assert_allclose(branches.trials, [4 / 0.75, 0, 10])
    assert branches.path_counts[:, 0].tolist() == [3, 0, 1]
    own, other, _ = branch_curves(branches)
    p2 = 0.8 + 0.2 * 0.5
    p0 = 5 / 9 * p2 + 4 / 9 * 0.1875
    np.testing.assert_allclose(own.agreement, [p0, p2, p2, 1])
    np.testing.assert_allclose(other.agreement, [4 / 9 * 0.8125, 0, 0, 0])
    assert own.trials.tolist() == [16, 10, 10, 0]
    assert (own.lower <= own.agreement).all()
    assert (own.upper >= own.agreement).all()
    assert own.lower[-1] == own.upper[-1] == 1


def test_a_branch_without_rollouts_may_lead_anywhere() -> None:
    branches = Branches.of(
        rows(
            (0, "x", 0.5, True, {}),
            (0, "y", 0.3, False, {"B": 1000}),
            (0, "z", 0.2, False, {}),
        )
    )
    assert branches.undrawn[0] == pytest.approx(0.4)
    curve = branch_curves(branches)[0]
    # z alone can move the value by .2, whatever is known about y
    assert curve.agreement[0] == pytest.approx(0.5)
    assert 0.5 - 1e-9 <= curve.lower[0] <= 0.5
    assert 0.7 <= curve.upper[0] <= 0.71


def test_the_final_label_is_said_or_is_the_paths_last_most_frequent_one() -> None:
    said = rows((0, "x", 1.0, True, {"B": 4}), final="A")
    assert final_label(said) == "A"
    found = rows(
        (0, "x", 1.0, True, {"A": 9}),
        (1, "x", 0.9, True, {"B": 4, "C": 5}),
        (2, "y", 0.1, False, {"A": 9}),
        final=None,
    )
    assert final_label(found) == "C"
    with pytest.raises(ValueError, match="no final_label and no count on its path"):
        final_label(rows((0, "y", 0.1, False, {"A": 9}), final=None))


def test_differences_count_what_bears_on_both_ends_once() -> None:
    made = rows(
        *[(s, "x", 0.6, True, {}) for s in range(4)],
        *[(s, "y", 0.4, False, {"A": 20, "B": 20}) for s in range(4)],
    )
    curve = branch_curves(Branches.of(made))[0]
    lower, upper = curve.differences([0, 2], [1, 4])
    truth = curve.agreement[[1, 4]] - curve.agreement[[0, 2]]
    assert (lower <= truth).all()
    assert (upper >= truth).all()
    alone = curve.upper[1] - curve.lower[0] - (curve.lower[1] - curve.upper[0])
    assert upper[0] - lower[0] < 0.7 * alone
    wide = curve.differences([0, 2], [1, 4], joint=True)
    assert (wide[0] < lower).all()
    np.testing.assert_allclose(curve.differences([1], [1]), 0)


@pytest.mark.parametrize(
    ("share", "drawn", "labels"),
    [
        ((0.5, 0.3, 0.2), (6, 6, 6), (0.9, 0.5, 0.05)),
        ((0.9, 0.05, 0.05), (10, 3, 3), (0.02, 0.98, 0.5)),
        ((0.98, 0.02), (5, 50), (0.3, 0.9)),
    ],
)
def test_intervals_of_mixtures_cover(
    share: tuple[float, ...], drawn: tuple[int, ...], labels: tuple[float, ...]
) -> None:
    rng, tokens, runs = np.random.default_rng(3), 12, 1500
    q, n, d = np.array(share), np.array(drawn), np.array(labels)
    m = np.full(tokens, (n / q).min())
    weights = rng.dirichlet(np.ones(tokens))[None] * rng.choice([-1, 1], tokens)
    truth = float(weights.sum() * (q @ d))
    missed = 0
    for _ in range(runs):
        estimate = (rng.binomial(n, d, (tokens, len(n))) / n) @ q
        lower, upper = form_interval(weights, estimate, m)
        missed += not lower[0] <= truth <= upper[0]
    # 5 % and three standard errors of the simulation
    assert missed <= runs * (0.05 + 3 * np.sqrt(0.05 * 0.95 / runs))


def test_the_generating_function_of_a_mixture_is_below_that_of_its_trials() -> None:
    for q, n, rate in itertools.product((0.9, 0.6), ((3, 40), (20, 2)), (-9.0, -1.0, 2.0, 30.0)):
        share = np.array([q, 1 - q])
        m = (np.array(n) / share).min()
        for d in itertools.product((0.05, 0.5, 0.9), repeat=2):
            step = rate * share / np.array(n)
            mixture = (np.array(n) * np.log1p(np.array(d) * np.expm1(step))).sum()
            binomial = m * np.log1p(float(share @ np.array(d)) * np.expm1(rate / m))
            assert mixture <= binomial + 1e-9


def test_it_is_as_narrow_as_the_interval_with_a_box_within_a_tenth() -> None:
    rng = np.random.default_rng(5)
    for d, n in ((0.05, 30), (0.4, 6), (0.5, 100)):
        weights = rng.dirichlet(np.ones(40), size=3)
        hits, trials = rng.binomial(n, d, 40).astype(float), np.full(40, float(n))
        lower, upper = form_interval(weights, hits / n, trials)
        low, high = linear_form_interval(weights, hits, trials)
        assert (upper - lower <= 1.1 * (high - low)).all()


def test_a_binomial_that_never_hits_has_the_exact_end() -> None:
    lower, upper = form_interval(np.ones((1, 1)), np.zeros(1), np.array([20.0]))
    assert lower[0] == 0
    # the best of three rates is not the very best one: within a tenth of Clopper and Pearson's
    assert 1 - 0.025 ** (1 / 20) <= upper[0] <= 1.1 * (1 - 0.025 ** (1 / 20))
