"""Budget, branching and comparison from the command line, in miniature; refusals write nothing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.demos.launching import launch_in


def launch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return launch_in(folder, *arguments)


def only(folder: Path) -> Path:
    (run,) = folder.iterdir()
    return run


@pytest.mark.demos
def test_uncertainty_budget_of_the_embedded_model(tmp_path: Path) -> None:
    tiny = ("dataset.n_problems=6", "originals_per_problem=2", "sampler.forks_per_choice=8")
    shown = launch(tmp_path, "+exp=uncertainty_budget", *tiny)
    assert shown.returncode == 0, shown.stderr
    for told in (
        "sum of all squared jumps",
        "share in jumps above 0.5",
        "spent at plain arithmetic",
    ):
        assert told in shown.stdout
    run = only(tmp_path / "outputs/uncertainty_budget")
    summary = json.loads((run / "summary.json").read_text())
    assert {row["source"] for row in summary["shares"]} == {"model", "generator"}
    assert (run / "figures/uncertainty_budget.png").is_file()
    again = launch(tmp_path, "+exp=uncertainty_budget", *tiny)
    assert "Already complete" in again.stdout

    forks = launch(tmp_path, "+exp=uncertainty_budget", "sampler=forks", "outputs=refused")
    assert forks.returncode == 2
    assert "sampler is a ForkProtocol; allowed: a FoldedForks" in forks.stderr
    assert not (tmp_path / "refused").exists()


@pytest.mark.demos
def test_branches_of_the_embedded_model(tmp_path: Path) -> None:
    tiny = ("dataset.n_problems=6", "sampler.half_width=null", "sampler.max_forks=12")
    shown = launch(tmp_path, "+exp=branch_at_windows", *tiny, "sampler.pilot=0", "budgets=[1,2]")
    assert shown.returncode == 0, shown.stderr
    assert "answers with a certified window" in shown.stdout
    run = only(tmp_path / "outputs/branch_at_windows")
    assert (run / "votes.parquet").is_file()
    assert (run / "figures/branch_at_windows.png").is_file()
    bad = launch(tmp_path, "+exp=branch_at_windows", "budgets=[0.5]", "outputs=refused")
    assert bad.returncode == 2
    assert "budgets is [0.5]; allowed: a non-empty list" in bad.stderr


@pytest.mark.demos
def test_temperatures_are_compared(tmp_path: Path) -> None:
    tiny = ("dataset.n_problems=3", "originals_per_problem=1", "sampler=fractions", "sampler.n=3")
    for temperature in ("0.5", "1.0"):
        cell = (f"sampler.temperature={temperature}", f"outputs=t{temperature}")
        shown = launch(tmp_path, "+exp=llm_math", *tiny, *cell)
        assert shown.returncode == 0, shown.stderr
    runs = [str(only(tmp_path / f"t{t}/llm_math").relative_to(tmp_path)) for t in ("0.5", "1.0")]
    shown = launch(tmp_path, "+exp=compare", f"runs=[{','.join(runs)}]")
    assert shown.returncode == 0, shown.stderr
    for told in ("temperature 0.5", "less temperature 0.5", "What the configs differ in"):
        assert told in shown.stdout
    assert (only(tmp_path / "outputs/compare") / "figures/comparison.png").is_file()
    alone = launch(tmp_path, "+exp=compare", f"runs=[{runs[0]}]", "outputs=refused")
    assert alone.returncode == 2
    assert "two run directories or more" in alone.stderr
    assert not (tmp_path / "refused").exists()
