"""What a sweep writes and runs: no key, no foreign pickle, nothing unquoted, no foreign class."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from submitit.slurm.slurm import _make_sbatch_string

from critwin.errors import CritwinError, ParameterError
from launch.clusters import Slurm
from launch.preflight import preflight

ROOT = Path(__file__).parents[2]
PLANTED = "planted-5e1f0a-key-that-must-not-be-seen"


def test_a_planted_key_is_nowhere(tmp_path: Path) -> None:
    """A whole local sweep with keys in its environment: no file and no line holds one."""
    names = ("WANDB_API_KEY", "HF_TOKEN", "MY_SECRET")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "launch", "+exp=llm_math", "model=markov_string"),
            *("feature=final_word", "sampler=fractions", "sampler.n=1", "dataset.n_problems=1"),
            *("originals_per_problem=1", "seed=1", "sampler.temperature=null", "cluster=local"),
            *("tracker.mode=offline", "-m"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), **dict.fromkeys(names, PLANTED)},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert PLANTED not in done.stdout + done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    assert any(path.suffix == ".pkl" for path in files)
    for path in files:
        assert PLANTED.encode() not in path.read_bytes(), path
    mask = os.umask(0o022)
    os.umask(mask)
    (run,) = (tmp_path / "outputs" / "llm_math").iterdir()
    assert stat.S_IMODE(run.stat().st_mode) == 0o777 & ~mask, "run directories by the user's umask"
    assert not any(path.stat().st_mode & 0o111 for path in run.rglob("*") if path.is_file())
    (logs,) = (tmp_path / "multirun" / "llm_math").glob("*/logs")
    assert stat.S_IMODE(logs.stat().st_mode) == 0o700, "pickles lie where nobody else writes"


@pytest.mark.parametrize(
    "values",
    [
        {"partition": "gpu\nrm -rf ~"},
        {"gres": "gpu:1\r"},
        {"additional_parameters": {"comment": "a\nb"}},
        {"additional_parameters": {"x; rm": 1}},
    ],
)
def test_what_would_be_a_line_of_shell_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        Slurm(**values)


def test_what_is_left_stands_in_quotes() -> None:
    text = _make_sbatch_string("true", "logs", partition="a; touch x", account="$(touch x)")
    assert "#SBATCH --partition='a; touch x'" in text
    assert "#SBATCH --account='$(touch x)'" in text


@pytest.mark.parametrize("target", ["os.system", "subprocess.Popen", "launch.worker.os.system"])
def test_a_foreign_class_is_refused(target: str, fake, flags) -> None:
    with pytest.raises(CritwinError, match="allowed"):
        preflight(flags("+exp=fake", f"++tracker._target_={target}", "seed=1,2", "-m"))


def test_a_launcher_of_somebody_else_is_refused(fake, flags) -> None:
    with pytest.raises(CritwinError, match=r"hydra\.launcher\._target_"):
        preflight(flags("+exp=fake", "hydra.launcher._target_=os.system", "seed=1,2", "-m"))
