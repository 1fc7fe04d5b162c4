"""Training the embedded model from the command line, in miniature."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from critwin.samplers.language import LanguageSampler

ROOT = Path(__file__).parents[2]
TINY = {
    "steps": 6,
    "batch_size": 4,
    "warmup_steps": 2,
    "n_layer": 1,
    "n_head": 2,
    "n_embd": 16,
    "validate_every": 3,
    "validation_problems": 8,
    "evaluate_problems": 3,
    "evaluate_samples": 2,
}


@pytest.mark.demos
def test_a_model_is_made_that_the_main_job_can_load(tmp_path: Path) -> None:
    overrides = [f"{key}={value}" for key, value in TINY.items()] + ["keep_steps=[2,6]"]
    command = ["launch", "+exp=train_arithmetic", f"outputs={tmp_path}", "tracker=none"]
    shown = subprocess.run(
        [sys.executable, "-m", *command, *overrides],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    (run,) = (tmp_path / "train_arithmetic").iterdir()
    card = json.loads((run / "model" / "card.json").read_text())
    assert {key: card["settings"][key] for key in TINY} == TINY
    assert "accuracy at temperature 1" in shown.stdout
    sampler = LanguageSampler(path=str(run / "model"), max_new_tokens=4)
    assert len(sampler.fingerprint()) == 64
    record = json.loads((run / "provenance.json").read_text())
    assert record["status"] == "complete"
    assert record["weights"] == card["sha256"]
    kept = [run / "checkpoints" / name for name in ("step-000002", "step-000006")]
    assert json.loads((run / "summary.json").read_text())["checkpoints"] == [p.name for p in kept]
    prints = {LanguageSampler(path=str(p), max_new_tokens=4).fingerprint() for p in kept}
    assert len(prints) == 2
