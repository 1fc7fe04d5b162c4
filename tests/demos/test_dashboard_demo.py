"""Every key of the dashboard, held against what a real run leaves in its offline W&B file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from launch.dashboard_panels import COLUMNS
from tests.launch.conftest import read_records

ROOT = Path(__file__).parents[2]
CLOCKS = {"_step", "_absolute_runtime", "_runtime", "_timestamp"}
"""What W&B itself knows of every run."""

# a low threshold, so that some right and some wrong answers have a window, and some have none
SMALL = ("dataset.n_problems=8", "originals_per_problem=2", "sampler.half_width=0.1")
RULE = ("window=paper_jump", "window.threshold=0.05")


def launch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "launch", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "WANDB_MODE": "offline", "PYTHONPATH": str(ROOT), "COLUMNS": "120"},
    )


def logged(run: Path) -> tuple[set[str], set[str], set[str]]:
    """Give the keys of the history, of the summary and of the config of an offline run."""
    history: set[str] = set()
    summary: set[str] = set()
    config: set[str] = set()
    for record in read_records(run):
        kind = record.WhichOneof("record_type")
        if kind == "history":
            history |= {
                item.nested_key[0] if item.nested_key else item.key for item in record.history.item
            }
        elif kind == "summary":
            summary |= {
                item.nested_key[0] if item.nested_key else item.key
                for item in record.summary.update
            }
        elif kind == "run":
            for item in record.run.config.update:
                config |= set(paths(item.key, json.loads(item.value_json)))
    # W&B's server makes a summary of the history
    return history, history | summary, config


def paths(key: str, value: Any) -> list[str]:
    inner = (
        [p for k, v in value.items() for p in paths(f"{key}.{k}", v)]
        if isinstance(value, dict)
        else []
    )
    return [key, *inner]


def keys(panel: dict[str, Any]) -> tuple[set[str], set[str], set[str]]:
    """Give the keys that a panel reads from histories, summaries and configs."""
    config = panel["config"]
    by = {config["groupBy"].replace(".value.", ".")} if config.get("groupBy") else set()
    if panel["viewType"] == "Run History Line Plot":
        return {config["xAxis"], *config["metrics"]} - CLOCKS, set(), by
    if panel["viewType"] == "Bar Chart":
        return set(), set(config["metrics"]), by
    if panel["viewType"] == "Scatter Plot":
        axes = (config["xAxis"], config["yAxis"])
        return set(), {axis.removeprefix("summary:") for axis in axes}, by
    if panel["viewType"] == "Media Browser":
        return set(config["mediaKeys"]), set(), by
    assert panel["viewType"] == "Weave", "a kind of panel that this test does not know"
    pick = config["panel2Config"]["exp"]["fromOp"]
    assert pick["name"] == "pick"
    assert pick["inputs"]["obj"]["fromOp"]["name"] == "run-summary"
    return set(), {pick["inputs"]["key"]["val"]}, by


@pytest.mark.demos
def test_no_panel_points_at_a_key_that_no_run_logs(tmp_path: Path) -> None:
    ran = launch(tmp_path, "+exp=llm_math", *SMALL, *RULE)
    assert ran.returncode == 0, ran.stderr
    (run,) = (tmp_path / "outputs" / "llm_math").iterdir()
    history, summary, config = logged(run)
    shown = launch(tmp_path, "+exp=dashboard", "dry_run=true", "specification=told.json")
    assert shown.returncode == 0, shown.stderr
    told = json.loads((tmp_path / "told.json").read_text())
    sections = told["spec"]["section"]["panelBankConfig"]["sections"]
    panels = [panel for section in sections for panel in section["panels"]]
    assert len(panels) > 10
    for panel in panels:
        needed = keys(panel)
        assert any(needed[:2]), panel
        for wanted, known in zip(needed, (history, summary, config), strict=True):
            assert wanted <= known, (panel["config"].get("chartTitle"), wanted - known)
    (runs,) = told["spec"]["section"]["runSets"]
    columns = set(runs["runFeed"]["columnOrder"]) - {"run:displayName"}
    assert columns == set(COLUMNS)
    for column in columns:
        kind, _, key = column.partition(":")
        assert key in {"config": config, "summary": summary}[kind], column
