"""Further experiments on language; those of the paper's items are in test_paper_items.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from critwin.problems.assistant import leaving
from tests.demos.launching import launch_in

LEARNED = 0.15
"""How far the model may be from the law that it learned: its card (critwin/assets/assistant) says
how far it is."""


def launch(folder: Path, *arguments: str) -> dict[str, Any]:
    done = launch_in(folder, *arguments)
    assert done.returncode == 0, done.stderr
    (run,) = (folder / "outputs").glob("*/*/summary.json")
    summary: dict[str, Any] = json.loads(run.read_text())
    return summary


def within(row: dict[str, Any], truth: float) -> bool:
    return bool(row["lower"] - LEARNED <= truth <= row["upper"] + LEARNED)


@pytest.mark.demos
def test_repeated_word(tmp_path: Path) -> None:
    summary = launch(tmp_path, "+exp=repeated_word", "repeats=[2,20]", "dataset.n_problems=20")
    early, late = (row["share"] for row in summary["conditions"])
    assert 0 <= early["estimate"] <= 1
    left = 1.0
    for n in range(20, 24):
        left *= 1 - leaving(n)
    # the last repeat is followed by a full stop in two of five endings, by other words in the rest
    assert within(late, 0.6 * (1 - left) + 0.6 * left)


@pytest.mark.demos
def test_self_correction(tmp_path: Path) -> None:
    few = ("dataset.n_problems=8", "sampler.half_width=null", "sampler.max_forks=20", "retries=2")
    summary = launch(tmp_path, "+exp=self_correction", *few)
    assert summary["counts"]["originals"] == 8
    assert {"wrong", "right"} <= summary.keys()


@pytest.mark.demos
def test_llm_reasoning(tmp_path: Path) -> None:
    few = ("dataset.n_problems=4", "sampler.n=4")
    summary = launch(tmp_path, "+exp=llm_reasoning", *few)
    assert summary["headline"][0]["name"] == "accuracy"
