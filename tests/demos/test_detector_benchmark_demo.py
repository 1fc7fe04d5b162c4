"""The benchmark of window rules from the command line, small; and how fast detection is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from critwin.fork_blocks import Blocks
from critwin.forks import Forks
from critwin.windows.confident_jump import ConfidentJump
from tests.critwin.windows.known_curves import bare, grid_of

ROOT = Path(__file__).parents[2]


@pytest.mark.demos
def test_confident_windows_are_not_false(tmp_path: Path) -> None:
    small = ["originals=0", "draws=[25]", "tokens=[30000]", "replicates=1", "empty_replicates=3"]
    small += ["tracker=none"]
    shown = subprocess.run(
        [sys.executable, "-m", "launch", "+exp=detector_benchmark", *small, f"outputs={tmp_path}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "120"},
    )
    assert shown.returncode == 0, shown.stderr
    (run,) = (tmp_path / "detector_benchmark").iterdir()
    assert (run / "figures" / "detection.pdf").is_file()
    summary = json.loads((run / "summary.json").read_text())
    rows = {(r["equal"], r["kind"], r["rule"]): r for r in summary["results"]}
    own = [rows[key] for key in rows if key[2] == "confident_jump"]
    alarmed = sum(r["alarmed"] * r["trajectories"] for r in own)
    total = sum(r["trajectories"] for r in own)
    # 5 % promised, and 3 standard errors of it
    assert alarmed / total <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / total)
    # at equal tokens forks with certified windows place more than the usual rule on resamples
    certified = rows["tokens", "forks", "confident_jump"]
    step = rows["tokens", "every token", "step"]
    assert certified["precision"] > step["precision"]
    # with their alarms brought down to 5 % of what is empty, steps find less than certified windows
    calibrated = rows["draws", "every token", "step_calibrated"]
    assert rows["draws", "every token", "confident_jump"]["within"] >= calibrated["within"]
    assert (run / "calibration.parquet").is_file()
    assert "Windows found" in shown.stdout
    assert "of real data nobody" in " ".join(shown.stdout.split())


@pytest.mark.demos
@pytest.mark.parametrize("kind", ["forks", "every token"])
def test_seconds_for_a_thousand_trajectories_of_a_thousand_tokens(
    kind: str, record_property: pytest.RecordProperty, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is asserted of the seconds: they are shown. A tenth of the trajectories is timed."""
    rng, rule, n, many = np.random.default_rng(0), ConfidentJump(), 1000, 100
    curves = []
    for _ in range(many):
        if kind == "forks":
            # fluent text: one token in four is a choice, H about 20; one of them decides
            probability = np.where(rng.random(n) < 0.25, 1 - rng.beta(0.4, 4, n), 1.0)
            probability[600] = 0.3
            d = np.where(np.arange(n) == 600, 0.05, 0.95)
            trials = np.where(probability < 1, 10, 0)
            hits = rng.binomial(trials, d)
            counts = np.stack([hits, trials - hits], axis=1)
            curves.append(
                bare(
                    Forks(
                        "x",
                        "a",
                        probability,
                        ("a", "b"),
                        counts,
                        n,
                        Blocks.by_surprisal(probability),
                    ),
                    "a",
                )
            )
        else:
            p = np.where(np.arange(n) < 600, 0.2, 0.95)
            share = np.append(rng.binomial(25, p) / 25, 1.0)
            curves.append(grid_of(np.arange(n + 1), share, 25))
    began = time.process_time()
    found = [rule.search(curve) for curve in curves]
    seconds = (time.process_time() - began) * 1000 / many
    assert len(found) == many
    record_property("seconds", seconds)
    with capsys.disabled():
        told = (
            f"confident_jump, {kind}: {seconds:.1f} s of CPU per 1000 trajectories of 1000 tokens"
        )
        sys.stdout.write(f"\n{told}\n")
