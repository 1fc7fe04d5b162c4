"""Contrasts of windows and failures against hand-computed tables and by simulation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from critwin.contrasts import (
    contrast_rows,
    contrasts,
    label_probabilities,
    matched,
    permutation,
    stratified,
)
from critwin.curve import Curve
from critwin.statistics import clustered_difference


def table(rows: Sequence[tuple[str, str, bool, int]]) -> pd.DataFrame:
    """Rows of problem, label, window and tokens; the label `c` is right."""
    return pd.DataFrame(
        {
            "original_id": [f"o{i}" for i in range(len(rows))],
            "problem_id": [problem for problem, *_ in rows],
            "label": [label for _, label, *_ in rows],
            "tokens": [tokens for *_, tokens in rows],
            "scored": True,
            "right": [label == "c" for _, label, *_ in rows],
            "wrong": [label != "c" for _, label, *_ in rows],
            "window": [window for *_, window, _ in rows],
            "windows": [float(window) for *_, window, _ in rows],
        }
    )


def curve(original_id: str, label: str, start: float, *, own: bool = True) -> Curve:
    ends = np.array([start, float(own)])
    return Curve(
        original_id=original_id,
        label=label,
        own=own,
        estimator="forks",
        length=1,
        position=np.arange(2),
        agreement=ends,
        lower=ends,
        upper=ends,
        trials=np.array([9, 0]),
        unscored=np.zeros(2),
    )


def test_a_hand_computed_table() -> None:
    found = stratified(
        table(
            [
                *[("p", "c", False, 5), ("p", "c", True, 5), ("p", "a", True, 5)],
                *[("q", "c", False, 5), ("q", "a", True, 5), ("q", "a", False, 5)],
                ("r", "c", True, 5),  # nothing wrong in it: it says nothing
            ]
        ),
        ["problem_id"],
    )
    assert found is not None
    # p: 1 - 1/2 with weight 2/3; q: 1/2 - 0 with weight 2/3
    assert found.estimate == pytest.approx(0.5)
    assert (found.n, found.clusters) == (6, 2)


def test_strata_inside_a_problem_are_one_cluster() -> None:
    rows = [("p", "c", False, n) for n in (1, 9)] + [("p", "a", True, n) for n in (1, 9)]
    found = stratified(table(rows), ["problem_id", "tokens"])
    assert found is not None
    assert (found.estimate, found.lower, found.upper, found.clusters) == (1.0, -1.0, 1.0, 1)


def test_the_permutation_law_is_that_of_all_arrangements() -> None:
    rows = table(
        [
            *[("p", "a", True, 1), ("p", "a", True, 1), ("p", "c", False, 1), ("p", "c", True, 1)],
            *[("q", "a", True, 1), ("q", "c", False, 1), ("q", "c", False, 1)],
            *[("r", "a", True, 1), ("r", "c", True, 1)],  # every arrangement is the same
        ]
    )
    found = permutation(rows)
    assert found is not None
    windows = {"p": [1, 1, 0, 1], "q": [1, 0, 0]}
    sums = [
        sum(windows["p"][i] for i in first) + windows["q"][second]
        for first in itertools.combinations(range(4), 2)
        for second in range(3)
    ]
    distance = [abs(value - (1.5 + 1 / 3)) for value in sums]
    wanted = np.mean([d >= abs(3 - (1.5 + 1 / 3)) - 1e-9 for d in distance])
    assert found == (pytest.approx(wanted), 2)


def test_nothing_can_be_permuted_where_all_are_alike() -> None:
    assert permutation(table([("p", "c", True, 1), ("p", "c", False, 1)])) is None
    assert permutation(table([("p", "c", True, 1), ("p", "a", True, 1)])) is None


def test_matching_does_not_look_at_the_originals_own_forks() -> None:
    rows = table([("p", "c", False, 1), ("p", "a", True, 1), ("p", "b", True, 1)])
    start = {
        "o0": {"c": 0.4, "a": 0.4, "b": 0.0},
        "o1": {"c": 0.9, "a": 0.0, "b": 0.0},
        "o2": {"c": 0.4, "a": 0.4, "b": 0.0},
    }
    # o1 by o0 and o2: .4 against .4; o0 by o1 and o2: .65 against .2 (a), 0 (b); o2: .65 and 0
    assert matched(rows, start).tolist() == [False, True, False]
    alone = table([("p", "c", False, 1), ("p", "a", True, 1)])
    assert not matched(alone, {"o0": {"c": 0.5, "a": 0.5}}).any()


def test_the_budget_is_the_uncertainty_over_the_threshold_squared() -> None:
    rows = table([("p", "c", True, 3), ("q", "a", False, 3)])
    curves = [curve("o0", "c", 0.5), curve("o1", "a", 0.9), curve("o1", "c", 0.1, own=False)]
    assert label_probabilities(curves)["o1"] == {"a": 0.9, "c": 0.1}
    raw = {"accuracy_difference": None, "window_difference": None}
    found = contrasts(rows, curves, raw=raw, threshold=0.5)["budget"]
    assert found["uncertainty"]["estimate"] == pytest.approx(0.3)
    assert found["bound"]["estimate"] == pytest.approx(1.2)
    assert found["windows"] == 0.5
    assert contrasts(rows, curves, raw=raw, threshold=None)["budget"]["bound"] is None


def simulated(rng: np.random.Generator, questions: int) -> tuple[pd.DataFrame, list[Curve]]:
    """Answers whose windows depend on the probability of their label, and on nothing else."""
    rows, curves = [], []
    for q in range(questions):
        p = rng.dirichlet([2.5, 1.5, 1.0])
        for label in rng.choice(["c", "a", "b"], size=6, p=p):
            at = "cab".index(label)
            rows.append((f"q{q}", str(label), bool(rng.random() < 0.9 * (1 - p[at]) ** 2), 5))
            name = f"o{len(rows) - 1}"
            seen = rng.multinomial(200, p) / 200
            curves += [
                curve(name, other, float(value), own=other == label)
                for other, value in zip("cab", seen, strict=True)
            ]
    return table(rows), curves


def test_the_matched_contrast_covers_nothing_where_there_is_nothing_and_the_raw_one_does_not() -> (
    None
):
    rng, runs = np.random.default_rng(7), 24
    covers = {"raw": 0, "matched": 0}
    p_values, estimates = [], []
    for _ in range(runs):
        rows, curves = simulated(rng, 100)
        inside = rows[matched(rows, label_probabilities(curves))]
        same = stratified(inside, ["problem_id"])
        groups = rows.groupby("problem_id")
        k1 = (rows["window"] & rows["wrong"]).groupby(rows["problem_id"]).sum()
        k2 = (rows["window"] & rows["right"]).groupby(rows["problem_id"]).sum()
        raw = clustered_difference(k1, groups["wrong"].sum(), k2, groups["right"].sum())
        assert same is not None
        assert raw is not None
        covers["matched"] += same.lower <= 0 <= same.upper
        covers["raw"] += raw.lower <= 0 <= raw.upper
        estimates.append(same.estimate)
        p_values.append(permutation(inside)[0])  # type: ignore[index]
    # 95 % less three standard errors of the runs: .95 - 3 sqrt(.95 .05 / 24) = .82
    assert covers["matched"] >= 0.81 * runs
    assert covers["raw"] <= 0.1 * runs
    # by permutation 5 % are below .05, and three standard errors of the runs more
    assert np.mean(np.array(p_values) < 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    assert abs(np.mean(estimates)) <= 0.03 + 3 * np.std(estimates) / np.sqrt(runs)


def test_rows_say_when_there_are_too_few_questions() -> None:
    rows = table([("p", "c", False, 1), ("p", "a", True, 1)])
    raw = {"accuracy_difference": None, "window_difference": None}
    made = contrast_rows(contrasts(rows, [], raw=raw, threshold=0.5))
    assert [row["name"].strip() for row in made] == [
        "the same within questions",
        "and at matched label probability",
        "and among answers of like length",
    ]
    assert "only 1 questions: too few to tell" in made[0]["note"]
    assert made[1]["estimate"] is None


def test_the_papers_columns_and_answers_of_like_length() -> None:
    rows = table(
        [
            *[("p", "c", False, 1), ("p", "a", False, 1), ("p", "c", True, 9), ("p", "a", True, 9)],
            ("p", "c", False, 1),
        ]
    )
    raw = {"accuracy_difference": "accuracy", "window_difference": "windows"}
    found = contrasts(rows, [], raw=raw, threshold=0.5)
    assert found["paper"] == {"dAcc": "accuracy", "dCW": "windows"}
    # windows go with length alone: nothing is left within it; over all 1/2 - 1/3
    assert found["longer"]["estimate"] == pytest.approx(0)
    assert found["within_questions"]["estimate"] == pytest.approx(1 / 6)
