"""Comparisons of runs: by hand, paired, and with intervals that cover."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from critwin.comparison import MEASURES, RunTables, compare, difference, estimate, same_problems
from critwin.means import clustered_mean, clustered_mean_difference
from critwin.problem import Problem
from critwin.statistics import clustered_share, weighted_share, weighted_share_difference

BY_NAME = {measure.name: measure for measure in MEASURES}


def run(name: str, correct: list[bool], starts: list[float], windows: list[int]) -> RunTables:
    """Give a run of two originals per problem; windows are those of the originals numbered so."""
    ids = [f"p{i // 2}/{i % 2}" for i in range(len(correct))]
    originals = pd.DataFrame(
        {
            "original_id": ids,
            "problem_id": [i.split("/")[0] for i in ids],
            "token_ids": [[0] * 10] * len(ids),
            "surprisal": [[math.log(2)] * 2 + [0.0] * 8] * len(ids),
            "label": "a",
            "correct": correct,
            "unscored": False,
        }
    )
    curves = pd.DataFrame(
        [
            {"original_id": i, "own": True, "label": "a", "estimator": "grid", "position": s}
            | {"kept": s / 10, "agreement": start if s == 0 else 1.0, "lower": 0.2, "upper": 0.6}
            for i, start in zip(ids, starts, strict=True)
            for s in (0, 10)
        ]
    )
    found = pd.DataFrame(
        [
            {"original_id": ids[i], "label": "a", "direction": "rise"}
            | {"position_start": 2, "position_end": 4}
            for i in windows
        ],
        columns=["original_id", "label", "direction", "position_start", "position_end"],
    )
    return RunTables(name, originals, curves, found)


A = run("A", [True, False, True, True], [0.4, 0.2, 1.0, 0.8], [0, 1])
B = run("B", [True, True, True, True], [0.5, 0.3, 1.0, 0.8], [])


def value(name: str, one: RunTables, other: RunTables | None = None) -> float:
    measure = BY_NAME[name]
    found = estimate(one, measure) if other is None else difference(one, other, measure)
    assert found is not None
    return found.estimate


def test_measures_by_hand() -> None:
    assert value("accuracy", A) == 0.75
    assert value("answers with a window", A) == 0.5
    assert value("window at, tokens", A) == 3
    assert value("window at, share kept", A) == pytest.approx(0.3)
    assert value("agreement with nothing kept", A) == pytest.approx(0.6)
    assert value("choices, H", A) == pytest.approx(1.0)
    assert value("half-width", A) == pytest.approx(0.2)
    assert estimate(B, BY_NAME["window at, tokens"]) is None
    assert estimate(A, BY_NAME["shortest rise l*, tokens"]) is None
    assert value("accuracy", B, A) == 0.25
    assert value("answers with a window", B, A) == -0.5
    assert value("agreement with nothing kept", B, A) == pytest.approx(0.05)


def test_a_comparison_says_what_some_run_has() -> None:
    summary = compare([A, B, B])
    names = [row["name"] for row in summary["measures"]]
    assert "window at, tokens" in names
    assert "shortest rise l*, tokens" not in names
    (table,) = summary["tables"]
    assert len(table["rows"]) == 3 * len(names)
    assert all(len(row) == len(table["columns"]) for row in table["rows"])
    scales = pd.DataFrame({"original_id": ["p0/0"], "direction": "rise", "scale_tokens": [2.0]})
    with_scale = RunTables("S", A.originals, A.curves, A.windows, scales)
    assert value("shortest rise l*, tokens", with_scale) == 2


def test_problems_that_differ_are_named() -> None:
    one = [Problem("p", "2 + 2?", "4"), Problem("q", "1 + 1?", "2")]
    assert same_problems(one, list(reversed(one))) is None
    other = [Problem("p", "2 + 3?", "5"), Problem("r", "1 + 1?", "2")]
    said = same_problems(one, other)
    assert said is not None
    for part in ("of the first alone (q)", "of the other alone (r)", "question or truth (p)"):
        assert part in said


def test_a_mean_of_one_problem_says_nothing_about_others() -> None:
    found = clustered_mean([6.0], [2.0])
    assert found is not None
    assert found.estimate == 3
    assert math.isinf(found.upper)
    assert clustered_mean([0.0], [0.0]) is None
    assert clustered_mean_difference([1.0], [1.0], [0.0], [0.0]) is None


@pytest.mark.parametrize("problems", [8, 40])
def test_intervals_of_means_cover(problems: int) -> None:
    rng = np.random.default_rng(problems)
    inside, paired, narrower = [], [], []
    for _ in range(600):
        effect = rng.normal(0, 2, problems)
        counts = rng.integers(1, 5, problems).astype(float)
        x = counts * (5 + effect) + rng.normal(0, 1, problems) * np.sqrt(counts)
        y = counts * (4 + effect) + rng.normal(0, 1, problems) * np.sqrt(counts)
        found = clustered_mean(x, counts)
        less = clustered_mean_difference(x, counts, y, counts)
        assert found is not None
        assert less is not None
        inside.append(found.lower <= 5 <= found.upper)
        paired.append(less.lower <= 1 <= less.upper)
        narrower.append(less.upper - less.lower < found.upper - found.lower)
    # the ratio's linearisation costs a little at 8 problems: .93 is allowed, less 4 standard errors
    least = 0.93 - 4 * np.sqrt(0.05 * 0.95 / 600)
    assert np.mean(inside) >= least
    assert np.mean(paired) >= least
    assert np.mean(narrower) > 0.95  # pairing takes out what problems share


def test_a_weighted_share_is_a_share_where_weights_are_trials() -> None:
    hits, trials = np.array([1.0, 0, 3]), np.array([2.0, 4, 4])
    assert weighted_share(hits, trials, trials) == clustered_share(hits, trials)
    assert weighted_share([0.0], [0.0], [3.0]) is None
    none = weighted_share(np.zeros(30), np.full(30, 0.1), np.full(30, 4.0))
    assert none is not None
    assert none.upper > 0.01  # at nothing, too, it has a width


@pytest.mark.parametrize(("problems", "share"), [(30, 0.6), (120, 0.9)])
def test_weighted_shares_cover(problems: int, share: float) -> None:
    """Hits and weights as a variance budget has them: skewed, noisy, correlated, some of them 0."""
    rng = np.random.default_rng(problems)
    inside, differences = [], []
    for _ in range(400):
        parts = []
        weight = rng.gamma(0.5, 0.5, problems) * (rng.random(problems) < 0.6)
        for _ in range(2):
            own = rng.beta(4 * share, 4 * (1 - share), problems)
            noise = rng.normal(0, 0.02, problems) * (weight > 0)
            parts.append((own * weight + noise, weight + noise, np.full(problems, 4.0)))
        found = weighted_share(*parts[0])
        less = weighted_share_difference(*parts)
        assert found is not None
        assert less is not None
        inside.append(found.lower <= share <= found.upper)
        differences.append(less.lower <= 0 <= less.upper)
    least = 0.95 - 4 * np.sqrt(0.05 * 0.95 / 400)
    assert np.mean(inside) >= least
    assert np.mean(differences) >= least
