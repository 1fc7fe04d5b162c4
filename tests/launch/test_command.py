"""The command line as a process: exit codes, streams, what is imported, what is written."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def launch(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "launch", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "WANDB_MODE": "offline", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def told(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Give what was written to stderr beside the import times."""
    return [line for line in done.stderr.splitlines() if not line.startswith("import time:")]


def imported(done: subprocess.CompletedProcess[str]) -> set[str]:
    lines = done.stderr.splitlines()
    return {ln.rpartition("|")[2].strip() for ln in lines if ln.startswith("import time:")}


@pytest.mark.parametrize("arguments", [(), ("-m",), ("seed=1",)])
def test_without_an_experiment_they_are_listed(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = launch(tmp_path, *arguments)
    assert done.returncode == 2
    assert re.search(r"^  llm_math +Where does a language model decide", done.stdout, re.M)
    assert "python -m launch +exp=llm_math" in done.stdout
    assert told(done) == []
    assert not {"torch", "pandas", "wandb"} & imported(done)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sampler.top_p=1.5",), "sampler.top_p is 1.5; allowed: null or a number in (0, 1]"),
        (("-m", "+zzz=1"), "zzz is 1, but there is no such key; "),
        (
            ("sampler.pilot=5,-1", "-m"),
            "cell 1 of 4 (seed=0 +exp=llm_math sampler.pilot=-1)",
        ),
    ],
)
def test_a_bad_config_ends_early(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = launch(tmp_path, "+exp=llm_math", *arguments)
    assert done.returncode == 2
    (line,) = told(done)
    assert line.startswith(f"critwin: {message}")
    assert done.stdout == ""
    assert not {"torch", "transformers", "wandb", "submitit"} & imported(done)
    assert not list(tmp_path.iterdir())


def test_a_terminated_run_is_stopped(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "launch", "+exp=llm_math", "tracker=none", "dataset.n_problems=300"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (records := list(tmp_path.glob("outputs/*/*/provenance.json"))):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.terminate()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 143
    assert json.loads(records[0].read_text())["status"] == "stopped"
    assert "Traceback" not in told
    assert "the same command goes on from here" in told


def test_hydras_own_flags_work(tmp_path: Path) -> None:
    config = launch(tmp_path, "+exp=llm_math", "seed=3", "--cfg", "job")
    assert config.returncode == 0
    assert "\nseed: 3\n" in config.stdout
    usage = launch(tmp_path, "--help")
    assert usage.returncode == 0
    assert "critwin finds critical windows" in usage.stdout
    assert re.search(r"^  llm_math +Where does a language model", usage.stdout, re.M)
    assert re.search(r"^model: .*embedded_arithmetic, .*hf, .*markov_string", usage.stdout, re.M)
    assert not {"torch", "pandas", "wandb"} & imported(usage)
    assert launch(tmp_path, "--hydra-help").returncode == 0
    info = launch(tmp_path, "+exp=llm_math", "--info", "defaults")
    assert info.returncode == 0
    assert "exp/llm_math" in info.stdout + info.stderr
    assert not list(tmp_path.iterdir())


def test_shell_completion(tmp_path: Path) -> None:
    done = launch(tmp_path, "-sc", "query=bash", COMP_LINE="launch model=", COMP_POINT="13")
    assert done.returncode == 0
    assert not list(tmp_path.iterdir())
