"""Votes over branches: by hand, at budgets fixed before the draws, on other forks than windows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from critwin.branching import (
    Sample,
    assigned,
    budget_votes,
    certified_starts,
    open_positions,
    vote,
)
from critwin.branching_summary import gain, right, summarise_votes
from critwin.feature import UNSCORED
from critwin.window import Window


def test_ways_of_choosing_by_hand() -> None:
    samples = [Sample("a", -9.0), Sample("b", -3.0), Sample("a", -5.0), Sample(UNSCORED, -1.0)]
    assert vote(samples, "a") == {"majority": 1.0, "best": 0.0, "oracle": 1.0}
    assert vote(samples, "b") == {"majority": 0.0, "best": 1.0, "oracle": 1.0}
    assert vote(samples, "c") == {"majority": 0.0, "best": 0.0, "oracle": 0.0}
    tied = [Sample("a", -1.0), Sample("b", -2.0), Sample("c", -3.0)]
    assert vote(tied, "b")["majority"] == pytest.approx(1 / 3)
    assert vote([Sample(UNSCORED, -1.0)], UNSCORED) == {"majority": 0, "best": 0, "oracle": 0}


def window(start: int, direction: str = "rise", lower: float = 0.1) -> Window:
    return Window("x", "a", "r", direction, start, start + 3, start, start + 3, 0.6, lower, 0.9, 20)  # type: ignore[arg-type]


def test_only_certified_rises_are_branched_at() -> None:
    found = [window(7), window(2), window(7), window(4, "fall"), window(5, lower=-0.01)]
    assert certified_starts(found) == [2, 7]


def test_open_positions_are_drawn_where_there_is_a_choice() -> None:
    probability = np.array([1.0, 0.5, 1.0, 0.9, 0.2])
    assert open_positions(probability, 9, seed=0) == [1, 3, 4]
    counts = np.zeros(5)
    for seed in range(900):
        (position,) = open_positions(probability, 1, seed=seed)
        counts[position] += 1
    assert counts[[0, 2]].sum() == 0
    # uniform: 4 standard errors of a share of 1/3
    assert (np.abs(counts[[1, 3, 4]] / 900 - 1 / 3) <= 4 * np.sqrt(2 / 9 / 900)).all()


def test_numbers_come_from_what_is_known_before_the_draws() -> None:
    assert assigned(40, length=20, positions=[0]) == 2
    assert assigned(40, length=20, positions=[10]) == 4
    assert assigned(40, length=20, positions=[0, 10]) == 2  # 40 / 15
    assert assigned(40, length=20, positions=[20]) == 40  # at least a token is generated


def branches(arms: dict[str, tuple[int, str]], number: int = 8) -> pd.DataFrame:
    rows = [
        {"arm": arm, "replicate": i, "position": position, "label": label}
        | {"log_probability": -1.0 - i, "tokens_generated": 20 - position, "unscored": False}
        for arm, (position, label) in arms.items()
        for i in range(number)
    ]
    return pd.DataFrame(rows)


ORIGINAL = {
    "original_id": "p/0",
    "problem_id": "p",
    "label": "b",
    "surprisal": [0.1] * 20,
    "token_ids": [0] * 20,
}


def test_arms_take_as_many_as_their_budget_asks_for() -> None:
    drawn = branches({"start": (0, "b"), "windows": (10, "a"), "open": (5, "b")})
    rows = budget_votes(ORIGINAL, drawn, truth="a", budgets=[1, 2], finding_tokens=60)
    by_key = {(row["arm"], row["budget"]): row for row in rows}
    assert by_key["start", 1]["branches"] == 1
    assert by_key["windows", 1]["branches"] == 2  # of ten tokens each
    assert by_key["windows", 2]["tokens"] == 40
    assert by_key["windows", 2]["finding_tokens"] == 60
    assert by_key["start paid", 1]["branches"] == 4  # 20 and the 60 of finding
    assert by_key["windows", 1]["majority"] == 1
    assert by_key["open", 1]["majority"] == 0
    assert by_key["open", 1]["branches"] == 1  # rounded down: 20 / 15


def test_without_a_window_the_arms_are_the_same_samples() -> None:
    drawn = branches({"start": (0, "a")})
    rows = budget_votes(ORIGINAL, drawn, truth="a", budgets=[2], finding_tokens=0)
    assert {(row["branches"], row["majority"], row["window"]) for row in rows} == {(2, 1.0, False)}


def test_gains_are_paired_over_problems() -> None:
    rows = []
    for i in range(12):
        drawn = branches(
            {"start": (0, "b"), "windows": (10, "a" if i < 6 else "b"), "open": (5, "b")}
        )
        own = ORIGINAL | {"original_id": f"p{i}/0", "problem_id": f"p{i}"}
        rows += budget_votes(own, drawn, truth="a", budgets=[2], finding_tokens=60)
    votes = pd.DataFrame(rows)
    one = right(votes, "majority", "windows", 2)
    assert one is not None
    assert (one.estimate, one.n, one.clusters) == (0.5, 12, 12)
    found = gain(votes, "majority", 2, "windows", "start")
    assert found is not None
    assert found.estimate == 0.5
    assert 0 < found.lower < 0.5 < found.upper
    originals = pd.DataFrame({"problem_id": votes["problem_id"].unique()})
    summary = summarise_votes(votes, originals, branches({"start": (0, "b")}))
    assert summary["counts"]["with_window"] == 12
    assert summary["with_window"][0]["gains"]["windows less start"]["majority"]["estimate"] == 0.5
