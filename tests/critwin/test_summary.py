"""The summary of a run small enough to count by hand, and of runs in which something is missing."""

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from critwin.curve import Curve
from critwin.feature import UNSCORED
from critwin.planted import branch_tokens, token_spans
from critwin.problem import PlantedBranch, Problem
from critwin.records import WINDOWS
from critwin.summary import summarise

TEXT = " we go left now and then say seven"
TOKENS = [" we", " go", " left", " now", " and", " then", " say", " se", "ven", "<eos>"]
COMPARED = (0.1, 0.3, 0.5, 0.9)
TURN = PlantedBranch("turn", ("go left", "go right"), (0.5, 0.5))
SLIP = PlantedBranch("slip", ("say seven", "say eight"), (0.5, 0.5))
PROBLEMS = [Problem("p1", "?", "7", (TURN, SLIP)), Problem("p2", "?", "7", (TURN,))]

# original, problem, label, correct, agreement at 0, 1, 3, 5 and 9 of its 10 tokens, window
ROWS: list[tuple[str, str, str, bool | None, list[float], tuple[int, int] | None]] = [
    ("a", "p1", "7", True, [0.2, 0.2, 0.9, 0.9, 1.0], (1, 3)),
    ("b", "p1", "8", False, [0.0, 0.1, 0.1, 0.1, 1.0], (5, 9)),
    ("c", "p1", "7", True, [0.8, 0.8, 0.8, 0.9, 1.0], None),
    ("d", "p2", "9", False, [0.5, 0.5, 0.6, 0.6, 0.7], None),
    ("e", "p2", UNSCORED, None, [0.1, 0.1, 0.1, 0.1, 0.1], None),
]


def _originals(rows: list[Any]) -> pd.DataFrame:
    made = [
        {
            "original_id": name,
            "problem_id": problem,
            "text": TEXT,
            "tokens": TOKENS,
            "surprisal": [0.0] * 8 + [math.log(2.0), math.log(4.0)],
            "label": label,
            "truth": "7",
            "correct": correct,
            "unscored": label == UNSCORED,
        }
        for name, problem, label, correct, _, _ in rows
    ]
    return pd.DataFrame(made)


def _curves(rows: list[Any], *, trials: int = 10) -> list[Curve]:
    position = np.array([0, 1, 3, 5, 9, 10])
    return [
        Curve(
            original_id=name,
            label=label,
            own=True,
            estimator="grid",
            length=10,
            position=position,
            agreement=np.array([*agreement, 1.0]),
            lower=np.zeros(6),
            upper=np.ones(6),
            trials=np.array([*[trials] * 5, 0]),
            unscored=np.zeros(6),
        )
        for name, _, label, _, agreement, _ in rows
    ]


def _windows(rows: list[Any]) -> pd.DataFrame:
    made = [
        {
            "original_id": name,
            "label": label,
            "direction": "rise",
            "position_start": window[0],
            "position_end": window[1],
        }
        for name, _, label, _, _, window in rows
        if window is not None
    ]
    return pd.DataFrame(made, columns=WINDOWS.names)


def _resamples(rows: list[Any], *, unscored: int = 3) -> pd.DataFrame:
    names = [name for name, *_ in rows for _ in range(50)]
    flags = [i < unscored for i in range(len(names))]
    return pd.DataFrame({"original_id": names, "unscored": flags})


def _summary(
    rows: list[Any],
    problems: list[Problem] = PROBLEMS,
    *,
    windows: pd.DataFrame | None = None,
    compared: tuple[float, ...] = COMPARED,
) -> dict[str, Any]:
    summary = summarise(
        _originals(rows),
        _resamples(rows),
        _curves(rows),
        _windows(rows) if windows is None else windows,
        problems,
        compared=compared,
    )
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    return summary


def _estimates(values: dict[str, Any]) -> dict[str, Any]:
    return {name: (v["estimate"], v["n"], v["problems"]) for name, v in values.items()}


def test_counts_by_hand() -> None:
    assert _summary(ROWS)["counts"] == {
        "problems": 2,
        "originals": 5,
        "right": 2,
        "wrong": 2,
        "unscored": 1,
        "without_truth": 0,
        "resamples": 250,
        "unscored_resamples": 3,
        "windows": 2,
        "originals_with_window": 2,
    }


def test_choices_by_hand() -> None:
    summary = _summary(ROWS)
    # 1 - 1/2 and 1 - 1/4
    assert summary["leave_mass"] == pytest.approx({"mean": 1.25, "lowest": 1.25, "highest": 1.25})
    (row,) = [row for row in summary["headline"] if row["name"] == "choices in an answer, H"]
    assert (row["estimate"], row["lower"], row["n"]) == (pytest.approx(1.25), None, 5)
    assert row["note"].startswith("1.25 to 1.25")


def test_shares_by_hand() -> None:
    summary = _summary(ROWS)
    accuracy = summary["accuracy"]
    assert (accuracy["estimate"], accuracy["n"], accuracy["problems"]) == (0.5, 4, 2)
    assert (accuracy["lowest"], accuracy["highest"]) == (2 / 5, 3 / 5)
    assert _estimates(summary["with_window"]) == {
        "all": (0.5, 4, 2),
        "right": (0.5, 2, 1),
        "wrong": (0.5, 2, 2),
    }
    assert _estimates(summary["agreement_at_start"]) == {
        "right": (0.5, 2, 1),
        "wrong": (0.25, 2, 2),
    }
    assert summary["unscored_resamples"]["estimate"] == pytest.approx(3 / 250)


def test_contrasts_by_hand() -> None:
    summary = _summary(ROWS)
    names = ("window_difference", "accuracy_difference", "window_difference_within_questions")
    contrasts = {name: summary[name] for name in names}
    assert _estimates(contrasts) == {
        "window_difference": (0.0, 4, 2),  # 1 of 2 wrong, 1 of 2 right
        "accuracy_difference": (0.0, 4, 2),  # c of c and d; a of a and b
        "window_difference_within_questions": (0.5, 3, 1),  # only p1: 1 of 1 less 1 of 2
    }
    within = contrasts["window_difference_within_questions"]
    assert (within["lower"], within["upper"]) == (-1, 1)


def test_places_by_hand() -> None:
    assert _summary(ROWS)["places"] == [
        {"from": 0.0, "to": 0.1, "all": 0, "right": 0, "wrong": 0},
        {"from": 0.1, "to": 0.3, "all": 1, "right": 1, "wrong": 0},
        {"from": 0.3, "to": 0.5, "all": 0, "right": 0, "wrong": 0},
        {"from": 0.5, "to": 0.9, "all": 1, "right": 0, "wrong": 1},
        {"from": 0.9, "to": 1.0, "all": 0, "right": 0, "wrong": 0},
    ]


def test_planted_branches_by_hand() -> None:
    """Compared cells are (1, 3), (3, 5), (5, 9): `left` is token 3, `seven` tokens 8 and 9."""
    any_kind, slip, turn = _summary(ROWS)["planted"]
    assert [row["kind"] for row in (any_kind, slip, turn)] == [None, "slip", "turn"]
    assert any_kind["observed"]["estimate"] == 1.0
    assert any_kind["chance"]["estimate"] == pytest.approx(2 / 3)
    assert any_kind["chance_by_tokens"]["estimate"] == pytest.approx(6 / 8)
    assert any_kind["excess"]["estimate"] == pytest.approx(1 / 3)
    assert any_kind["excess"]["n"] == 2
    for row in (slip, turn):
        assert row["observed"]["estimate"] == 0.5
        assert row["chance"]["estimate"] == pytest.approx(1 / 3)


def test_headline_repeats_the_numbers() -> None:
    summary = _summary(ROWS)
    rows = {row["name"].strip(): row for row in summary["headline"]}
    assert set(summary["headline"][0]) == {
        "name",
        "estimate",
        "lower",
        "upper",
        "n",
        "problems",
        "note",
    }
    assert rows["wrong less right"]["upper"] == summary["window_difference"]["upper"]
    assert "1 unscored" in rows["accuracy"]["note"]
    assert rows["by chance"]["estimate"] == summary["planted"][0]["chance"]["estimate"]


def test_falls_and_windows_of_other_labels_do_not_count() -> None:
    windows = _windows(ROWS)
    windows.loc[0, "direction"] = "fall"
    windows.loc[1, "label"] = "7"
    summary = _summary(ROWS, windows=windows)
    assert summary["counts"]["windows"] == 0
    assert summary["with_window"]["all"]["estimate"] == 0
    assert summary["planted"] == []


def test_no_right_answer() -> None:
    summary = _summary([row for row in ROWS if row[3] is not True])
    assert summary["accuracy"]["estimate"] == 0
    assert summary["accuracy"]["upper"] > 0.5
    assert summary["with_window"]["right"] == {
        "estimate": None,
        "lower": None,
        "upper": None,
        "n": 0,
        "problems": 0,
    }
    assert summary["window_difference"]["estimate"] is None
    assert summary["window_difference_within_questions"]["estimate"] is None


def test_no_window() -> None:
    summary = _summary([row for row in ROWS if row[5] is None])
    assert summary["with_window"]["all"]["estimate"] == 0
    assert summary["with_window"]["all"]["upper"] > 0.5
    assert summary["accuracy_with_window"]["estimate"] is None
    assert summary["planted"] == []
    assert all(row["name"] != "windows at a planted branch" for row in summary["headline"])


def test_everything_unscored() -> None:
    summary = _summary([row for row in ROWS if row[3] is None])
    assert summary["counts"]["unscored"] == 1
    assert summary["accuracy"]["estimate"] is None
    assert (summary["accuracy"]["lowest"], summary["accuracy"]["highest"]) == (0, 1)
    assert summary["with_window"]["all"]["estimate"] is None
    assert summary["agreement_at_start"]["wrong"]["estimate"] is None


def test_no_truth() -> None:
    rows = [(*row[:3], None, *row[4:]) for row in ROWS]
    originals = _originals(rows).assign(truth=None)
    problems = [Problem("p1", "?", None), Problem("p2", "?", None)]
    summary = summarise(
        originals,
        _resamples(rows),
        _curves(rows),
        _windows(rows),
        problems,
        compared=COMPARED,
    )
    assert summary["counts"]["without_truth"] == 5
    assert summary["accuracy"]["estimate"] is None
    assert summary["accuracy"]["lowest"] is None
    assert summary["with_window"]["all"]["n"] == 4
    assert summary["planted"] == []


def test_nullable_columns_from_parquet(synthetic_run: Any) -> None:
    originals = pd.read_parquet(synthetic_run / "originals.parquet")
    counts = json.loads((synthetic_run / "summary.json").read_text())["counts"]
    assert counts["right"] == sum(value is True for value in originals["correct"])
    assert counts["right"] + counts["wrong"] + counts["unscored"] == counts["originals"] == 24
    assert counts["unscored"] > 0


@pytest.mark.parametrize(
    ("text", "tokens", "spans"),
    [
        (" a bc", [" a", " b", "c", "<eos>"], [(0, 2), (2, 4), (4, 5), (5, 5)]),
        ("a bc", ["<bos>", "a", "bc"], [(0, 0), (0, 1), (1, 4)]),  # SentencePiece, no spaces
        ("a bc", ["a", " x"], None),
        ("", ["<eos>"], [(0, 0)]),
    ],
)
def test_text_is_laid_out_over_tokens(text: str, tokens: list[str], spans: Any) -> None:
    assert token_spans(text, tokens) == spans


def test_branch_not_reached_is_not_found() -> None:
    problem = PROBLEMS[0]
    assert branch_tokens(problem, TEXT, TOKENS) == [("turn", (2, 3)), ("slip", (7, 9))]
    assert branch_tokens(problem, " we go", [" we", " go"]) == []
    assert branch_tokens(problem, TEXT, [" other"]) == []


def test_chance_is_over_the_cells_that_the_rule_compared() -> None:
    """A rule that compares .1 with .9 alone has one cell, and it owns every branch."""
    summary = _summary(ROWS, windows=_windows(ROWS).iloc[:0], compared=(0.1, 0.9))
    assert summary["planted"] == []
    windows = _windows([(*row[:5], (1, 9)) if row[5] else row for row in ROWS])
    summary = _summary(ROWS, windows=windows, compared=(0.1, 0.9))
    assert summary["planted"][0]["chance"]["estimate"] == 1.0
    assert [place["from"] for place in summary["places"]] == [0.0, 0.1, 0.9]
