"""kill -9 at any moment, and a second start gives the bytes of an undisturbed run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 240
"""Seconds that one start may take before the test gives up."""

MARKOV = [
    "model=markov_string",
    "feature=final_word",
    "dataset.n_problems=25",
    "originals_per_problem=3",
]
CASES = {
    "embedded": (
        [
            "model.deterministic=true",
            "model.batch_size=64",
            "dataset.n_problems=18",
            "originals_per_problem=2",
            "sampler.half_width=null",
            "sampler.max_forks=20",
            "sampler.pilot=4",
        ],
        [1],
    ),
    "markov_string": ([*MARKOV, "sampler.half_width=0.3", "sampler.pilot=6"], [1, 2]),
    "markov_string_grid": ([*MARKOV, "sampler=fractions", "sampler.n=100"], [1, 2]),
}


ANALYSIS = {"markov_string": ("curves.parquet", "summary.json", "report.html")}
"""Moments of the analysis, which is the same for every model and sampler."""


def start(outputs: Path, overrides: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "launch",
            "+exp=llm_math",
            f"outputs={outputs}",
            "tracker=none",
            *overrides,
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def run_to_the_end(outputs: Path, overrides: list[str]) -> Path:
    process = start(outputs, overrides)
    _, shown = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, shown.decode()
    (run,) = (outputs / "llm_math").iterdir()
    return run


def kill_when(reached: Callable[[Path], bool], outputs: Path, overrides: list[str]) -> bool:
    """Start, kill -9 as soon as the moment is reached; False when the run was over before it."""
    process = start(outputs, overrides)
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        if any(reached(run) for run in (outputs / "llm_math").glob("*")):
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.001)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def parts(table: str, count: int) -> Callable[[Path], bool]:
    return lambda run: len(list((run / ".parts").glob(f"{table}-*.parquet"))) >= count


def exists(name: str) -> Callable[[Path], bool]:
    return lambda run: (run / name).exists()


@pytest.mark.faults
@pytest.mark.parametrize("case", CASES)
def test_killed_run_equals_undisturbed_run(tmp_path: Path, case: str) -> None:
    overrides, moments = CASES[case]
    undisturbed = run_to_the_end(tmp_path / "undisturbed", overrides)
    killed = tmp_path / "killed"
    deaths = [
        kill_when(exists(".lease-000001"), killed, overrides),
        kill_when(parts("originals", 1), killed, overrides),
        *(kill_when(parts("resamples", count), killed, overrides) for count in moments),
        kill_when(exists("resamples.parquet"), killed, overrides),
        *(kill_when(exists(name), killed, overrides) for name in ANALYSIS.get(case, ())),
    ]
    # the last moments may pass between two looks; the first ones last long enough to be met
    assert all(deaths[: 2 + len(moments)])
    again = run_to_the_end(killed, overrides)
    assert again.name == undisturbed.name
    tables = sorted(path.name for path in undisturbed.glob("*.parquet"))
    assert ("plans.parquet" in tables) == ("sampler=fractions" not in overrides)
    for name in tables:
        assert (again / name).read_bytes() == (undisturbed / name).read_bytes(), name
    assert (again / "summary.json").read_bytes() == (undisturbed / "summary.json").read_bytes()
    assert not (again / ".parts").exists()
    assert not [p for p in again.iterdir() if p.name.startswith(".") and p.name != ".lease-000001"]
    record = json.loads((again / "provenance.json").read_text())
    assert record["status"] == "complete"
    assert record["restarts"] >= sum(deaths) - 1  # the first death may come before the record
