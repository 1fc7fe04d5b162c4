"""Relabelling from the command line: one run, a sweep over runs, refusals that write nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.demos.launching import launch_in

TINY = ("dataset.n_problems=3", "originals_per_problem=2", "sampler=fractions", "sampler.n=5")


def launch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return launch_in(folder, *arguments, HOME=str(folder))


def contents(run: Path) -> dict[str, bytes]:
    files = [*run.glob("*.parquet"), run / "summary.json"]
    return {path.name: path.read_bytes() for path in files}


@pytest.mark.demos
def test_a_feature_later_is_that_feature_at_once(tmp_path: Path) -> None:
    """Grid draws do not depend on labels, so relabelled records equal those of a fresh run."""
    for feature in ("math_answer", "correctness"):
        shown = launch(tmp_path, "+exp=llm_math", *TINY, f"feature={feature}", f"outputs={feature}")
        assert shown.returncode == 0, shown.stderr
    (source,) = (tmp_path / "math_answer/llm_math").iterdir()
    (wanted,) = (tmp_path / "correctness/llm_math").iterdir()
    tilde = f"runs=[~/{source.relative_to(tmp_path)}]"
    alone = launch(tmp_path, "+exp=relabel", tilde, "feature=correctness")
    assert alone.returncode == 0, alone.stderr
    (run,) = (tmp_path / "outputs/relabel").iterdir()
    assert contents(run) == contents(wanted)
    assert "label right, truth right" in alone.stdout
    assert (run / "report.html").is_file()

    both = f"runs=[{source.relative_to(tmp_path)}],[{wanted}]"
    swept = launch(tmp_path, "+exp=relabel", both, "cluster=debug", "outputs=swept", "-m")
    assert swept.returncode == 0, swept.stderr
    runs = list((tmp_path / "swept/relabel").iterdir())
    assert len(runs) == 2
    assert run.name in [one.name for one in runs]
    for one in runs:
        assert contents(one) == contents(wanted)


@pytest.mark.demos
@pytest.mark.parametrize("sweep", [(), ("-m",)])
def test_what_is_no_finished_run_is_refused_before_anything_is_written(
    sweep: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "begun").mkdir()
    shown = launch(tmp_path, "+exp=relabel", "runs=[begun]", *sweep)
    assert shown.returncode == 2
    assert "runs is ['begun']; allowed: the directory of a finished run" in shown.stderr
    assert "Traceback" not in shown.stderr
    several = launch(tmp_path, "+exp=relabel", "runs=[A,B]", *sweep)
    assert several.returncode == 2
    assert "several are a sweep: -m 'runs=[A],[B]'" in several.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["begun"]
