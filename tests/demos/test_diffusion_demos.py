"""Experiments on the embedded diffusion model from the command line, small."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.demos.launching import launch_in


def launch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return launch_in(folder, *arguments, columns=140)


def run_of(folder: Path, name: str) -> tuple[Path, dict[str, Any]]:
    (run,) = (folder / "outputs" / name).iterdir()
    return run, json.loads((run / "summary.json").read_text())


@pytest.mark.demos
def test_digits_are_decided_on_the_way(tmp_path: Path) -> None:
    small = ("originals=40", "sampler.positions=[0,8,14]", "model.steps=20")
    shown = launch(tmp_path, "+exp=diffusion_digits", *small)
    assert shown.returncode == 0, shown.stderr
    run, summary = run_of(tmp_path, "diffusion_digits")
    theory, means = summary["tables"]
    assert theory["columns"] == ["quantity", "theory", "measured", "lower", "upper", "verdict"]
    assert len(theory["rows"]) >= 8
    assert "verdict" in shown.stdout
    assert summary["times"]["speciation"] == pytest.approx(0.5, abs=0.1)
    # from noise alone one of ten classes agrees by chance; near the end nearly all do
    agreement = {row[1]: row[3] for row in means["rows"] if row[0] == "digit"}
    assert agreement[0] < 0.35 < 0.75 < agreement[14]
    assert {p.stem for p in (run / "figures").glob("*.pdf")} == {"agreement", "pictures", "windows"}
    pictures = pd.read_parquet(run / "pictures.parquet")
    assert pictures["png"].str[1:4].eq(b"PNG").all()
    assert len(pd.read_parquet(run / "resamples.parquet")) == 40 * 3 * 2
    again = launch(tmp_path, "+exp=diffusion_digits", *small)
    assert "Already complete" in again.stdout


@pytest.mark.demos
def test_clones_and_the_benchmark(tmp_path: Path) -> None:
    small = ("originals=4", "sampler.count=3", "sampler.draws=4", "model.steps=20")
    shown = launch(tmp_path, "+exp=diffusion_clone", *small)
    assert shown.returncode == 0, shown.stderr
    run, _ = run_of(tmp_path, "diffusion_clone")
    assert set(pd.read_parquet(run / "resamples.parquet")["kind"]) == {"clone"}
    small = ("originals=4", "plain_originals=1", "rounds=2", "sampler.count=3", "model.steps=10")
    shown = launch(tmp_path, "+exp=benchmark_diffusion", *small)
    assert shown.returncode == 0, shown.stderr
    _, summary = run_of(tmp_path, "benchmark_diffusion")
    assert summary["greatest_difference"] < 1e-3
    assert "ratio" in shown.stdout


@pytest.mark.demos
def test_a_model_of_digits_is_trained_that_the_sampler_loads(tmp_path: Path) -> None:
    tiny = ("steps=4", "batch_size=4", "channels=[8,8]", "noise_steps=6", "validate_every=2")
    few = ("classifier_steps=5", "evaluate_samples=20", "threads=1")
    shown = launch(tmp_path, "+exp=train_digits", *tiny, *few)
    assert shown.returncode == 0, shown.stderr
    run, summary = run_of(tmp_path, "train_digits")
    assert summary["sha256"]
    assert "python -m launch +exp=train_digits" in (run / "model" / "README.md").read_text()
    assert {path.name for path in (run / "model").iterdir()} >= {"model_index.json", "classifier"}
    record = json.loads((run / "provenance.json").read_text())
    assert record["weights"] == summary["sha256"]


@pytest.mark.demos
def test_inner_levels_and_the_speed_of_exact_samplers(tmp_path: Path) -> None:
    small = ("model.depth=3", "model.symbols=4", "originals=200", "grid=5")
    shown = launch(tmp_path, "+exp=random_hierarchy_levels", *small)
    assert shown.returncode == 0, shown.stderr
    run, summary = run_of(tmp_path, "random_hierarchy_levels")
    assert summary["verdicts"] == {"agrees": 12}
    half = list(summary["half_way"].values())
    assert half == sorted(half, reverse=True), "the higher a node, the more leaves it takes"
    assert (run / "figures" / "levels.pdf").is_file()
    small = ("originals=100", "resamples=20000", "rounds=2", "dimensions=8")
    shown = launch(tmp_path, "+exp=benchmark_mixture", *small)
    assert shown.returncode == 0, shown.stderr
    _, summary = run_of(tmp_path, "benchmark_mixture")
    assert summary["tables"][0]["rows"][0][-1] == "agrees"


@pytest.mark.demos
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("+exp=diffusion_digits", "model.scheduler=heun"), ("model.scheduler", "dpm_solver_sde")),
        (
            ("+exp=diffusion_digits", "model.scheduler=ddim"),
            ("sampler.draws is 2", "draws no noise"),
        ),
        (("+exp=diffusion_digits", "sampler.n=3"), ("sampler.n is 3", "observations are apart")),
        (("+exp=diffusion_digits", "after=['4','12']"), ("after", "digits")),
        (
            ("+exp=diffusion_digits", "source=held_out", "originals=500"),
            ("originals is 500", "300"),
        ),
        (
            ("+exp=diffusion_digits", "features.digit.min_confidence=2"),
            ("min_confidence", "[0, 1]"),
        ),
        (("+exp=diffusion_digits", "model.path=nowhere/at/all"), ("model.path", "hub name")),
        (("+exp=diffusion_clone", "model.scheduler=ddim"), ("model.scheduler", "eta > 0")),
        (("+exp=diffusion_clone", "conditions=[a cat]"), ("conditions", "unconditional")),
        (("+exp=stable_diffusion", "model.guidance=-1"), ("model.guidance", "[0, inf)")),
        (("+exp=stable_diffusion", "sampler.positions=[100]"), ("sampler.positions", "below")),
        (("+exp=stable_diffusion", "features.light.region=[0,0,3,1]"), ("features.light.region",)),
        (("+exp=train_digits", "channels=[30,64]"), ("channels is [30, 64]", "multiples of 8")),
        (("+exp=benchmark_diffusion", "rounds=1"), ("rounds is 1", ">= 2")),
    ],
)
def test_bad_values_are_refused(
    arguments: tuple[str, ...], words: tuple[str, ...], tmp_path: Path
) -> None:
    shown = launch(tmp_path, *arguments)
    assert shown.returncode == 2, shown.stderr
    assert [word for word in words if word not in shown.stderr] == [], shown.stderr
    assert "Traceback" not in shown.stderr
    assert not list(tmp_path.iterdir())
