"""Detection in a file and planning from the command line, bad input included."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.demos.launching import launch_in


def launch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return launch_in(folder, *arguments, HOME=str(folder))


@pytest.mark.demos
def test_windows_of_a_file_and_its_malformed_row(tmp_path: Path) -> None:
    rows = [f"t{i},{s},{18 if s > 4 + i else 2},20, w{s}" for i in range(3) for s in range(10)]
    path = tmp_path / "rollouts.csv"
    path.write_text("trajectory_id,position,agreeing,trials,token\n" + "\n".join(rows) + "\n")
    shown = launch(tmp_path, "+exp=detect_file", "path=~/rollouts.csv")
    assert shown.returncode == 0, shown.stderr
    assert "trajectories with a window" in shown.stdout
    (run,) = (tmp_path / "outputs/detect_file").iterdir()
    assert (run / "report.html").is_file()
    assert json.loads((run / "summary.json").read_text())["counts"]["windows"] == 3
    again = launch(tmp_path, "+exp=detect_file", "path=rollouts.csv")
    assert "Already complete" in again.stdout

    path.write_text(path.read_text() + "t4,0,21,20,x\n")
    refused = launch(tmp_path, "+exp=detect_file", "path=rollouts.csv", "outputs=new")
    assert refused.returncode == 2
    assert (
        "line 32: agreeing is 21, trials is 20; allowed: agreeing in [0, trials]" in refused.stderr
    )
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "new").exists()
    skipped = launch(tmp_path, "+exp=detect_file", "path=rollouts.csv", "on_error=skip")
    assert skipped.returncode == 0, skipped.stderr
    assert "1 rows left out" in skipped.stdout


@pytest.mark.demos
def test_a_plan_and_the_run_that_it_plans(tmp_path: Path) -> None:
    keys = ("dataset.n_problems=4", "originals_per_problem=2", "sampler.half_width=0.15")
    shown = launch(tmp_path, "+exp=plan", *keys, "plan_originals=4", "plan_forks=8")
    assert shown.returncode == 0, shown.stderr
    for row in ("tokens per second", "half-width", "smallest window", "cheaper as precise"):
        assert row in shown.stdout
    (plan,) = (tmp_path / "outputs/plan").iterdir()
    summary = json.loads((plan / "summary.json").read_text())
    assert summary["originals"] == 8
    assert summary["seconds"]["estimate"] > 0
    ran = launch(tmp_path, "+exp=llm_math", *keys)
    assert ran.returncode == 0, ran.stderr
    assert "resamples: about" in ran.stderr
    assert "at matched label probability" in ran.stdout
