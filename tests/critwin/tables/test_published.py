"""Published numbers beside measured ones: the verdict, and when there is none."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from scipy.stats import binomtest

from critwin.tables.published import held_against, read_published, with_error
from tests.critwin.tables.paper_descriptions import filled
from tests.critwin.tables.runs_on_paper import interval, summary, write_run

PAPER = read_published("blink_of_an_eye")


def test_the_numbers_are_those_of_the_paper() -> None:
    """Table 1 has 7 x 3 cells of two numbers, Section 6.2 three shares; sums added up by hand."""
    table = [cell for cell in PAPER.cells if cell["where"] == "Table 1"]
    assert len(table) == 42
    assert len({(c["model"], c["dataset"], c["quantity"]) for c in table}) == 42
    sums = {
        (model, quantity): sum(
            c["value"] for c in table if (c["model"], c["quantity"]) == (model, quantity)
        )
        for model in PAPER.models
        for quantity in ("Δ accuracy", "Δ windows")
    }
    assert {key: round(value, 2) for key, value in sums.items()} == {
        ("LLaMA", "Δ accuracy"): 3.13,
        ("LLaMA", "Δ windows"): 1.56,
        ("Phi", "Δ accuracy"): 2.51,
        ("Phi", "Δ windows"): 1.49,
        ("Qwen", "Δ accuracy"): 2.31,
        ("Qwen", "Δ windows"): 0.93,
    }
    assert {c["model"]: c["value"] for c in PAPER.cells if "trials" in c} == {
        "LLaMA": 0.422,
        "Qwen": 0.166,
        "Phi": 0.302,
    }


def test_recalls_are_those_of_table_2() -> None:
    """Seven attacks and five scores; row means as the authors' notebook has them, and by hand."""
    table = [cell for cell in PAPER.cells if cell["where"] == "Table 2"]
    assert len({cell["quantity"] for cell in table}) == len(table) == 35
    means = {
        score: sum(c["value"] for c in table if c["quantity"].endswith(f", {score}")) / 7
        for score in ("log ratio prompt", "log ratio text", "log p aligned prompt", "classifier")
    }
    told = {"log ratio prompt": 0.024, "log ratio text": 0.0463, "log p aligned prompt": 0.1121}
    assert means == pytest.approx(told | {"classifier": 0.9036}, abs=1e-3)


def test_a_share_of_known_draws_gets_an_exact_interval() -> None:
    found = with_error(0.25, 400)
    exact = binomtest(100, 400).proportion_ci(method="exact")
    assert (found["lower"], found["upper"]) == pytest.approx((exact.low, exact.high))
    assert with_error(0.25, None)["lower"] is None


@pytest.mark.parametrize(("measured", "verdict"), [(0.30, "agrees"), (0.45, "differs")])
def test_the_verdict_is_that_of_the_difference(measured: float, verdict: str) -> None:
    """Half-widths .03 and .04: they differ where the estimates are more than .05 apart."""
    found = held_against(interval(0.25, 0.03), interval(measured, 0.04))
    assert found["verdict"] == verdict
    half = math.hypot(0.03, 0.04)
    assert found["difference"]["lower"] == pytest.approx(measured - 0.25 - half)
    assert found["difference"]["upper"] == pytest.approx(measured - 0.25 + half)


def test_without_an_error_there_is_no_verdict() -> None:
    inside = held_against(with_error(0.41, None), interval(0.4))
    outside = held_against(with_error(0.41, None), interval(0.7))
    unknown = held_against(with_error(0.41, None), interval(0.4) | {"lower": None})
    assert inside["verdict"] == "inside our interval"
    assert outside["verdict"] == "outside our interval"
    assert unknown["verdict"] == "measured without an interval"
    assert inside["difference"]["lower"] is None


def test_cells_are_matched_by_model_and_problems(tmp_path: Path) -> None:
    numbers = summary()
    math_set = {"dataset.class": "critwin.problems.competition_math.CompetitionMath"}
    llama = "meta-llama/Llama-3.1-8B-Instruct"
    runs = [
        write_run(tmp_path, "a" * 16, model=llama, changed=math_set, numbers=numbers),
        write_run(tmp_path, "b" * 16, model="org/other", changed=math_set, numbers=numbers),
        write_run(tmp_path, "c" * 16, model="Qwen/Qwen2.5-7B-Instruct", numbers=numbers),
    ]
    rows = [[cell.shown for cell in row.cells] for row in filled(runs)["published"].rows]
    ours, outside = "0.25 [0.15, 0.35]", "outside our interval"
    assert [row[:2] for row in rows] == [["MATH", "LLaMA"]] * 3
    assert [row[2:] for row in rows] == [
        ["Δ accuracy", "0.41", "0.41 [0.31, 0.51]", "0.00", "inside our interval"],
        ["Δ windows", "0.33", "-0.05 [-0.15, 0.05]", "-0.38", outside],
        ["with windows", "0.42 [0.37, 0.47]", ours, "-0.17 [-0.28, -0.06]", "differs"],
    ]
