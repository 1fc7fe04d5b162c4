"""The benchmark from the command line, small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RATIOS = (
    "c_over_a_resamples_per_second",
    "c_over_b_resamples_per_second",
    "every_token_tokens_over_d_tokens_05",
    "every_token_tokens_over_d_tokens_02",
    "a_seconds_over_d_seconds",
    "c_forward_share",
)


def launch(outputs: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    small = ("sampler.n=2", "repeats=1", "sampled_cuts=2", f"outputs={outputs}", "tracker=none")
    return subprocess.run(
        [sys.executable, "-m", "launch", "+exp=benchmark_resampling", *small, *overrides],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "120"},
    )


def summary_of(outputs: Path) -> dict[str, Any]:
    (run,) = (outputs / "benchmark_resampling").iterdir()
    assert (run / "figures" / "ratios.pdf").is_file()
    assert (run / "figures" / "time.png").is_file()
    summary: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return summary


@pytest.mark.demos
def test_every_number_is_there(tmp_path: Path) -> None:
    shown = launch(tmp_path, "dataset.n_problems=4")
    assert shown.returncode == 0, shown.stderr
    summary = summary_of(tmp_path)
    for name in RATIOS:
        assert summary[f"{name}_min"] <= summary[name] <= summary[f"{name}_max"]
        assert summary[name] > 0
    assert 0 < summary["c_forward_share"] <= 1
    # an engine cannot beat the machine: 1 is as fast as its matrix products alone
    assert 0 < summary["roofline"]["share_of_engine"] < 1
    assert summary["work"]["originals"] == 4
    assert summary["work"]["resamples"] == 2 * summary["work"]["cuts"]
    for name in ("generate", "paged", "engine"):
        assert summary["methods"][name]["resamples"] == summary["work"]["resamples"]
    for found in summary["precision"].values():
        reached = found["forks"]["half_width"]["median"]
        assert found["every_token"]["half_width"]["median"] == max(found["wanted"], reached)
    assert "C over A, resamples per second" in shown.stdout


@pytest.mark.demos
def test_any_model_of_transformers(tmp_path: Path, tiny_llama: Path) -> None:
    shown = launch(
        tmp_path,
        "model=hf",
        f"model.path={tiny_llama}",
        "model.max_new_tokens=6",
        "sampler.stop=[zz]",
        "dataset.n_problems=1",
        "feature=final_word",
    )
    assert shown.returncode == 0, shown.stderr
    summary = summary_of(tmp_path)
    assert summary["c_over_a_resamples_per_second"] > 0
    assert summary["c_over_b_resamples_per_second"] is None
    assert summary["choices"]["paged_refused"] == "it knows no stop strings"
    assert "does not run here" in shown.stdout
