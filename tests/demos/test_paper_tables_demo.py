"""From two runs to tables and back: written, checked, and refused when a record was altered."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
TINY = ("sampler=fractions", "window=paper_jump", "originals_per_problem=2")
CHAIN = ("model=markov_string", "feature=final_word", "dataset.n_problems=3", "sampler.n=5")
EMBEDDED = ("dataset.n_problems=2", "sampler.n=2")


def launch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "launch", "tracker=none", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), "COLUMNS": "120"},
    )


@pytest.mark.demos
def test_two_runs_become_tables_that_can_be_checked(tmp_path: Path) -> None:
    for chosen in (CHAIN, EMBEDDED):
        shown = launch(tmp_path, "+exp=llm_math", *TINY, *chosen)
        assert shown.returncode == 0, shown.stderr
    shown = launch(tmp_path, "+exp=paper_tables", "runs=[outputs]")
    assert shown.returncode == 0, shown.stderr
    assert "Share of scored answers with a critical window" in shown.stdout
    (made,) = (tmp_path / "outputs/paper_tables").iterdir()
    for end in ("tex", "md", "csv", "html", "trace.json"):
        assert (made / "tables" / f"windows.{end}").is_file()
    assert (made / "figures" / "mean_curves.pdf").is_file()
    assert (made / "figures" / "accuracy_by_jump.png").is_file()
    runs = sorted((tmp_path / "outputs/llm_math").iterdir())
    page = (made / "index.html").read_text(encoding="utf-8")
    assert all(f"../../llm_math/{run.name}/report.html" in page for run in runs)

    # the folder holds the tables' own run by now: it is no run here
    check = ("+exp=paper_tables", "runs=[outputs]", "check=true")
    shown = launch(tmp_path, *check)
    assert shown.returncode == 0, shown.stderr
    assert "Stored tables and records agree" in shown.stdout

    altered = runs[0] / "summary.json"
    summary = json.loads(altered.read_text())
    summary["with_window"]["all"]["estimate"] += 0.25
    altered.write_text(json.dumps(summary))
    windows = pq.read_table(runs[1] / "windows.parquet")
    pq.write_table(
        windows.append_column("note", [[None] * windows.num_rows]), runs[1] / "windows.parquet"
    )
    shown = launch(tmp_path, *check)
    assert shown.returncode == 1
    assert "Traceback" not in shown.stderr
    assert "windows, row" in shown.stderr
    assert f"every cell of run {runs[0].name}: changed since: summary.json" in shown.stderr
    assert f"every cell of run {runs[1].name}: changed since: windows.parquet" in shown.stderr
    assert "with_window.all.estimate: stored" in shown.stderr


@pytest.mark.demos
def test_what_cannot_be_put_into_tables_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        (["runs=[empty]"], "runs is 'empty'; allowed: a folder of a sweep"),
        (["runs=[x]", "tables.table1.label='a b'"], "tables.table1.label is 'a b'"),
        (["runs=[wandb:x]"], "W&B has no key"),
    ):
        shown = launch(tmp_path, "+exp=paper_tables", *arguments)
        assert shown.returncode == 2, shown.stdout
        assert message in shown.stderr
        assert "Traceback" not in shown.stderr
    shutil.rmtree(tmp_path / "empty")
    assert not list(tmp_path.iterdir()), "a refusal writes nothing"
