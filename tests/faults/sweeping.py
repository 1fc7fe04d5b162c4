"""What the fault tests of sweeps share: commands, processes of a sweep, waiting."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
PATIENCE = 3600 if "CRITWIN_FAULTS" in os.environ else 600
"""Seconds that anything may take before a test gives up."""

MARKOV = (
    "+exp=llm_math",
    "model=markov_string",
    "feature=final_word",
    "sampler=fractions",
    "originals_per_problem=3",
    "sampler.temperature=null",
)


def launch(
    folder: Path, *arguments: str, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command line in a folder."""
    names = ("WANDB_API_KEY", "WANDB_DIR", "CRITWIN_CLUSTER")
    inherited = {key: value for key, value in os.environ.items() if key not in names}
    own = {"PYTHONPATH": str(ROOT), "NETRC": str(folder / "none"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "launch", *arguments],
        cwd=folder,
        env={**inherited, **own, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def sweep_folder(folder: Path, sweeps: str = "multirun") -> Path:
    """Give the only sweep's folder."""
    (sweep,) = (folder / sweeps / "llm_math").iterdir()
    return sweep


def submissions(folder: Path, sweeps: str = "multirun") -> list[dict]:
    """Give what was submitted, oldest first."""
    found = sorted(sweep_folder(folder, sweeps).glob("submissions/*/submission.json"))
    return [json.loads(path.read_text()) for path in found]


def status(folder: Path, *sweeps: str) -> subprocess.CompletedProcess[str]:
    """Ask where the sweeps of folders stand."""
    return launch(folder, "+exp=status", f"runs=[{','.join(sweeps or ['multirun'])}]", check=False)


def states(folder: Path, sweeps: str = "multirun") -> list[str]:
    """Give the states of the cells, in their order."""
    from launch.standing import stand
    from launch.sweep import read_sweep

    sweep = sweep_folder(folder, sweeps)
    return [each.state for each in stand(read_sweep(sweep), base=folder)]


def processes(folder: Path, module: str) -> list[psutil.Process]:
    """Give the processes of a folder's sweeps that run a module of ours."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if module in words and str(folder) in " ".join(words):
            found.append(process)
    return found


def wait_until(reached: Callable[[], object], what: str, *, seconds: float = PATIENCE) -> None:
    """Wait for a moment."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not reached: {what}"
        time.sleep(0.1)


def parts(folder: Path) -> int:
    """Count the parts that stand in all run directories."""
    return len(list(folder.glob("outputs/llm_math/*/.parts/*.parquet")))


def records(outputs: Path) -> dict[str, bytes]:
    """Give the bytes of everything that a run's numbers are in."""
    files = [*outputs.rglob("*.parquet"), *outputs.rglob("summary.json")]
    return {str(path.relative_to(outputs)): path.read_bytes() for path in sorted(files)}
