"""`-m` through submitit's local executor and in process, on a tiny exact sampler."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.demos

ROOT = Path(__file__).parents[2]
TINY = (
    "+exp=llm_math",
    "model=markov_string",
    "feature=final_word",
    "dataset.n_problems=2",
    "originals_per_problem=2",
    "sampler.half_width=0.3",
    "sampler.pilot=4",
)


def launch(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    names = ("WANDB_API_KEY", "WANDB_DIR", "CRITWIN_CLUSTER")
    inherited = {key: value for key, value in os.environ.items() if key not in names}
    return subprocess.run(
        [sys.executable, "-m", "launch", *arguments],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT), "NETRC": str(folder / "none"), **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_one_run_and_again(tmp_path: Path) -> None:
    done = launch(tmp_path, *TINY)
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "outputs" / "llm_math").iterdir()
    (line,) = [line for line in done.stdout.splitlines() if "wandb sync" in line]
    assert Path(line.partition("wandb sync ")[2].strip()).is_dir()
    assert str(run.relative_to(tmp_path) / "report.html") in done.stdout
    assert json.loads((run / "provenance.json").read_text())["status"] == "complete"
    assert {path.name for path in tmp_path.iterdir()} == {"outputs"}
    again = launch(tmp_path, *TINY, PYTHONPROFILEIMPORTTIME="1")
    assert again.returncode == 0, again.stderr
    assert "Already complete" in again.stdout
    imported = {line.rpartition("|")[2].strip() for line in again.stderr.splitlines()}
    assert "launch.run" in imported
    assert not {"torch", "transformers", "wandb", "matplotlib"} & imported
    assert len(list(run.rglob("*.wandb"))) == 1


@pytest.mark.parametrize("cluster", ["local", "debug"])
def test_a_sweep_of_two_cells(cluster: str, tmp_path: Path) -> None:
    parallel = ["cluster.max_parallel=2"] if cluster == "local" else []
    swept = (*TINY, f"cluster={cluster}", *parallel, "sampler.temperature=null", "seed=1,2", "-m")
    done = launch(tmp_path, *swept)
    assert done.returncode == 0, done.stderr
    (sweep,) = (tmp_path / "multirun" / "llm_math").iterdir()
    manifest = json.loads((sweep / "manifest.json").read_text())
    assert manifest["sweep"] == sweep.name
    runs = {path.name for path in (tmp_path / "outputs" / "llm_math").iterdir()}
    assert {cell["run_id"] for cell in manifest["cells"]} == runs
    assert len(runs) == 2
    seeds = [o for cell in manifest["cells"] for o in cell["overrides"] if o.startswith("seed=")]
    assert seeds == ["seed=1", "seed=2"]
    for cell in manifest["cells"]:
        directory = tmp_path / cell["directory"]
        assert json.loads((directory / "provenance.json").read_text())["status"] == "complete"
        assert len(list(directory.rglob("*.wandb"))) == 1
        assert cell["directory"] in done.stdout
    if cluster == "local":
        logs = [path.read_text() for path in sweep.glob("logs/*/*_log.err")]
        assert len(logs) == 2
        assert all("originals" in log for log in logs)


def test_a_cell_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    swept = (*TINY, "sampler.temperature=null", "seed=2,3", "tracker=none", "cluster=local", "-m")
    planned = launch(tmp_path, *swept, "dry_run=true")
    lines = [line for line in planned.stdout.splitlines() if line.startswith("waiting")]
    runs = [Path(line.split()[1]).name for line in lines]
    assert len(runs) == 2
    # a file where the first cell wants its directory: that cell raises while it runs
    (tmp_path / "outputs" / "llm_math").mkdir(parents=True)
    (tmp_path / "outputs" / "llm_math" / runs[0]).write_text("in the way")
    done = launch(tmp_path, *swept)
    assert done.returncode == 1
    other = tmp_path / "outputs" / "llm_math" / runs[1]
    assert json.loads((other / "provenance.json").read_text())["status"] == "complete"
    logs = "".join(path.read_text() for path in tmp_path.glob("multirun/*/*/logs/*/*_log.err"))
    assert "the run failed" in logs
    assert "Traceback" in logs
    assert re.search(rf"failed +\S*{runs[0]}", done.stdout)
    assert "RecordsError: " in done.stdout
    (tmp_path / "outputs" / "llm_math" / runs[0]).unlink()
    again = launch(tmp_path, *swept)
    assert again.returncode == 0, again.stdout
    assert "1 of 2 cells are done" in again.stderr
    assert "1 cells in 1 jobs" in again.stderr
    assert launch(tmp_path, "+exp=status", "runs=[multirun]").returncode == 0


def test_shards_give_the_records_of_one_process(tmp_path: Path) -> None:
    """Two jobs work on one run of many parts."""
    large = (
        *("+exp=llm_math", "model=markov_string", "feature=final_word", "sampler=fractions"),
        *("sampler.n=40", "dataset.n_problems=60", "originals_per_problem=3"),
        *("sampler.temperature=null", "seed=1", "tracker=none"),
    )
    two = ("cluster=local", "cluster.max_parallel=2", "cluster.shards=2", "-m")
    done = launch(tmp_path, *large, *two)
    assert done.returncode == 0, done.stdout + done.stderr
    logs = [path.read_text() for path in tmp_path.glob("multirun/*/*/logs/*/*_log.err")]
    assert len(logs) == 2
    assert sum("this one makes parts" in log for log in logs) == 1
    launch(tmp_path, *large, "outputs=alone")
    (run,) = (tmp_path / "outputs" / "llm_math").iterdir()
    for path in (*run.glob("*.parquet"), run / "summary.json"):
        assert (
            path.read_bytes()
            == (tmp_path / "alone" / "llm_math" / run.name / path.name).read_bytes()
        )


def test_a_detached_sweep_goes_on_by_itself(tmp_path: Path) -> None:
    swept = (*TINY, "sampler.temperature=null", "seed=1,2", "tracker=none", "cluster=local")
    sent = launch(tmp_path, *swept, "cluster.detach=true", "-m")
    assert sent.returncode == 0, sent.stderr
    assert "jobs: " in sent.stdout
    # our pipe was closed although nothing is computed yet: ssh would have returned, too
    assert launch(tmp_path, "+exp=status", "runs=[multirun]").returncode == 1
    deadline = time.monotonic() + 600
    while launch(tmp_path, "+exp=status", "runs=[multirun]").returncode != 0:
        assert time.monotonic() < deadline
        time.sleep(1)
