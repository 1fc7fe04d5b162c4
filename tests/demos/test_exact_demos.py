"""Exact experiments and the calculator from the command line, small."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.demos.launching import launch_in

SMALL = ("originals=400", "replicates=6", "grid=8")
EXPERIMENTS = {
    "gaussian_windows": (),
    "masked_windows": ("model.levels=20",),
    "random_walk_windows": ("model.length=80",),
    "hierarchy": (),
    "in_context_learning": ("model.examples=12",),
    "all_or_nothing": ("model.features=9", "model.sparsity=2", "model.length=14"),
    "discourse_vector": (),
    "random_hierarchy": ("model.symbols=4", "model.depth=3"),
}


def launch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return launch_in(folder, *arguments, columns=140)


def summary_of(folder: Path, name: str) -> tuple[Path, dict[str, Any]]:
    (run,) = (folder / "outputs" / name).iterdir()
    return run, json.loads((run / "summary.json").read_text())


@pytest.mark.demos
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_theory_stands_beside_measurement(name: str, tmp_path: Path) -> None:
    shown = launch(tmp_path, f"+exp={name}", *SMALL, *EXPERIMENTS[name])
    assert shown.returncode == 0, shown.stderr
    run, summary = summary_of(tmp_path, name)
    (table,) = summary["tables"]
    assert table["columns"] == ["quantity", "theory", "measured", "lower", "upper", "verdict"]
    assert len(table["rows"]) >= 8
    # what is exact agrees; the paper's formulas and annealed theory are approximations and may not
    wrong = [r[0] for r in table["rows"] if r[-1] == "differs"]
    assert not [q for q in wrong if "paper's" not in q and "annealed" not in q], wrong
    assert "verdict" in shown.stdout
    windows = pd.read_parquet(run / "windows.parquet")
    assert set(windows["plateau"]) <= {True, False}
    assert windows.loc[~windows["plateau"].astype(bool), "time_before"].isna().all()
    curves = pd.read_parquet(run / "curves.parquet")
    assert curves["original_id"].nunique() == 400
    assert (curves[curves["kept"] == 1]["agreement"] == 1).all()
    assert (run / "figures" / "windows.pdf").is_file()
    assert "differs" in (run / "report.html").read_text() or not wrong
    again = launch(tmp_path, f"+exp={name}", *SMALL, *EXPERIMENTS[name])
    assert "Already complete" in again.stdout


@pytest.mark.demos
def test_the_calculator(tmp_path: Path) -> None:
    shown = launch(tmp_path, "+exp=theory", "example=gaussian_pair", "mu=10", "epsilon=0.1")
    assert shown.returncode == 0, shown.stderr
    _, summary = summary_of(tmp_path, "theory")
    assert summary["time_before"] == pytest.approx(3.675579874357647, abs=1e-9)
    assert summary["time_after"] == pytest.approx(1.3564135510977756, abs=1e-9)
    assert summary["width"] == pytest.approx(2.3191663232598714, abs=1e-9)
    assert summary["time_before_paper"] == pytest.approx(5.298317366548036, abs=1e-9)
    assert summary["time_after_paper_printed"] == pytest.approx(0.9385304601056, abs=1e-9)
    assert summary["time_after_paper_corrected"] == pytest.approx(1.6205577765498, abs=1e-9)
    assert "lacks the factor 1/2" in shown.stdout


@pytest.mark.demos
def test_no_certified_plateau_is_an_answer(tmp_path: Path) -> None:
    sets = ("means=[-15,-9,9,15]", "weights=uniform", "after=[0]", "before=[0,1]", "epsilon=0.2")
    shown = launch(tmp_path, "+exp=theory", "example=gaussian_mixture", *sets, "time=1.5")
    assert shown.returncode == 0, shown.stderr
    _, summary = summary_of(tmp_path, "theory")
    assert summary["plateau"] is False
    assert summary["time_before"] is summary["time_after"] is summary["width"] is None
    assert summary["leak"] == pytest.approx(0.01716990235894336, abs=1e-6)
    assert summary["bound_leak"] == pytest.approx(0.26554669109464, abs=1e-6)
    assert summary["bound_paper"] == pytest.approx(0.35435542131770936, abs=1e-6)
    assert "no certified plateau" in shown.stdout


@pytest.mark.demos
@pytest.mark.parametrize(
    "example",
    [
        "masked_diracs",
        "two_modes",
        "random_walk",
        "in_context_learning",
        "all_or_nothing",
        "discourse_vector",
        "random_hierarchy",
    ],
)
def test_every_example_is_calculated(example: str, tmp_path: Path) -> None:
    time = {"masked_diracs": ".5", "random_hierarchy": ".5"}.get(example, "4")
    shown = launch(tmp_path, "+exp=theory", f"example={example}", "epsilon=0.3", f"time={time}")
    assert shown.returncode == 0, shown.stderr
    _, summary = summary_of(tmp_path, "theory")
    assert summary["plateau"] is True
    assert summary["time_before"] >= summary["time_after"]
    assert summary["bound_leak"] <= summary["bound_bhattacharyya"] + 1e-9
    assert summary["notes"]


@pytest.mark.demos
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("+exp=theory", "mu=-1"), ("mu is -1", "a number > 0")),
        (("+exp=theory", "epsilon=1"), ("epsilon is 1", "(0, 1)")),
        (("+exp=theory", "example=foo"), ("example is 'foo'", "gaussian_pair")),
        (("+exp=theory", "example=gaussian_mixture", "after=[7]"), ("after is [7]", "0..3")),
        (("+exp=theory", "example=gaussian_mixture", "weights=[1,2]"), ("weights", "4 numbers")),
        (("+exp=theory", "example=masked_diracs", "time=2"), ("time is 2", "[0, 1]")),
        (("+exp=theory", "means=[1,2]"), ("means", "no such key")),
        (("+exp=gaussian_windows", "after=[0,1]"), ("after is [0, 1]", "not all of it")),
        (("+exp=gaussian_windows", "originals=3"), ("originals is 3", ">= 50")),
        (("+exp=hierarchy", "tree=[[0,1],[2]]"), ("tree is", "each once")),
        (("+exp=all_or_nothing", "model.features=60"), ("model.sparsity is 3", "20000 supports")),
    ],
)
def test_bad_values_are_refused(
    arguments: tuple[str, ...], words: tuple[str, ...], tmp_path: Path
) -> None:
    shown = launch(tmp_path, *arguments)
    assert shown.returncode == 2, shown.stderr
    assert [word for word in words if word not in shown.stderr] == [], shown.stderr
    assert "Traceback" not in shown.stderr
    assert not list(tmp_path.iterdir())
