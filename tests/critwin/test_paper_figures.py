"""Figures across runs: what is drawn where, from numbers known by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from critwin.drawing import DOUBLE, SINGLE, save
from critwin.paper_figures.accuracy import Answers, accuracy_by_jump, largest_rises
from critwin.paper_figures.places import Places, window_places
from critwin.paper_figures.precision import Spent, tokens_and_precision
from critwin.paper_figures.theory import theory_against_measured
from critwin.statistics import clopper_pearson


def curve(name: str, values: list[float], *, estimator: str = "grid") -> pd.DataFrame:
    kept = np.arange(len(values)) / (len(values) - 1)
    return pd.DataFrame(
        {
            "original_id": name,
            "estimator": estimator,
            "own": True,
            "position": range(len(values)),
            "kept": kept,
            "agreement": values,
        }
    )


def test_the_largest_rise_is_between_neighbours_and_never_of_the_last_step() -> None:
    rises = largest_rises(
        pd.concat(
            [
                curve("a", [0.1, 0.2, 0.7, 0.6, 1.0]),
                curve("b", [0.9, 0.5, 0.4, 1.0]),
                curve("c", [0.1, 0.2, 0.3, 0.9, 1.0], estimator="forks"),
                curve("d", [0.2, 1.0]),
            ]
        )
    )
    assert rises.to_dict() == pytest.approx({"a": 0.5, "b": 0.0, "c": 0.8, "d": 0.0})


def test_a_fork_curve_rises_over_ten_tokens_at_most() -> None:
    slow = [i / 40 for i in range(41)]
    assert largest_rises(curve("a", slow, estimator="forks"))["a"] == pytest.approx(0.25)


def test_bars_are_the_accuracy_of_each_bin() -> None:
    table = pd.DataFrame(
        {
            "problem_id": ["p", "q", "p", "q", "p", "q"],
            "correct": [True, True, True, False, False, False],
            "rise": [0.0, 0.1, 0.2, 0.3, 0.6, 0.50001],
        }
    )
    figure = accuracy_by_jump([Answers("data\n模型", table)])
    (axes,) = figure.axes
    heights = [bar.get_height() for bar in axes.patches if bar.get_width() < 0.5]
    assert heights == pytest.approx([1.0, 0.5, 0.0])
    assert [text.get_text() for text in axes.texts] == ["2", "2", "2"]
    assert figure.get_size_inches()[0] == SINGLE
    assert accuracy_by_jump([Answers("x", table)] * 3).get_size_inches()[0] == DOUBLE


def test_places_are_shares_per_tenth_with_their_intervals() -> None:
    figure = window_places([Places("data", (0.0, 0.3, 0.5, 1.0), (6, 4, 0))])
    (axes,) = figure.axes
    steps = axes.patches[0].get_data()
    assert steps.values == pytest.approx([0.2, 0.2, 0.0])
    (bars,) = (c for c in axes.collections if len(c.get_segments()) == 3)
    lower, upper = clopper_pearson([6, 4, 0], [10, 10, 10])
    ends = np.array([[segment[0][1], segment[1][1]] for segment in bars.get_segments()])
    assert ends[:, 0] == pytest.approx(lower / [3, 2, 5])
    assert ends[:, 1] == pytest.approx(upper / [3, 2, 5])


def test_theory_stands_over_what_was_measured() -> None:
    figure = theory_against_measured({"a": [(0.5, None, 0.2, 0.6)]}, {"b": [(0.1, 0.2, 0.0, 0.3)]})
    left, right = figure.axes
    marks = [
        [
            tuple(map(float, line.get_xydata()[0]))
            for line in axes.lines
            if len(line.get_xydata()) == 1
        ]
        for axes in (left, right)
    ]
    assert (0.5, 0.4) in marks[0], "the middle, where only an interval is known"
    assert (0.1, 0.2) in marks[1]


def test_tokens_over_half_width_with_medians(tmp_path: Path) -> None:
    points = [Spent("forks", 100.0 * i, 0.01 * i) for i in (1, 2, 3)]
    points += [Spent("grid expected", 9000.0, 0.02), Spent("grid", 0.0, 0.1)]
    figure = tokens_and_precision(points)
    (axes,) = figure.axes
    large = [line for line in axes.lines if line.get_label().startswith("forks")]
    assert large[0].get_xydata().tolist() == [[0.02, 200.0]]
    assert "truncation, drawn" not in " ".join(str(line.get_label()) for line in axes.lines)
    first = [path.read_bytes() for path in save(figure, tmp_path / "one")]
    second = [path.read_bytes() for path in save(tokens_and_precision(points), tmp_path / "two")]
    assert first == second, "the same points give the same bytes"
