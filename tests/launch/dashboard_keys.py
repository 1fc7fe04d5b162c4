"""Every key of the dashboard, held against what a real run left in its offline W&B file."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from launch.dashboard import Dashboard
from launch.dashboard_panels import COLUMNS
from tests.launch.conftest import read_records

CLOCKS = {"_step", "_absolute_runtime", "_runtime", "_timestamp"}
"""What W&B itself knows of every run."""


def keys_that_lack(run: Path, folder: Path) -> dict[str, set[str]]:
    """Give the keys of panels and columns that a run does not log, by the title of the panel.

    Args:
        run: The directory of a finished run that W&B mirrored offline; some of its right and of its
            wrong answers have windows, some have none, so that all numbers exist.
        folder: Where the specification is written.
    """
    told = folder / "dashboard.json"
    Dashboard(sweep="sweep", specification=str(told)).rehearse(Console(file=StringIO()))
    section = json.loads(told.read_text())["spec"]["section"]
    panels = [p for shelf in section["panelBankConfig"]["sections"] for p in shelf["panels"]]
    assert len(panels) > 10
    known = _logged(run)
    lacking = {}
    for number, panel in enumerate(panels):
        needed = _keys(panel)
        assert any(needed[:2]), panel
        missing = set().union(*(a - b for a, b in zip(needed, known, strict=True)))
        lacking[f"{number} {panel['config'].get('chartTitle')}"] = missing
    shown = set(section["runSets"][0]["runFeed"]["columnOrder"]) - {"run:displayName"}
    assert shown == set(COLUMNS)
    there = {f"summary:{key}" for key in known[1]} | {f"config:{key}" for key in known[2]}
    lacking["columns"] = shown - there
    return {title: missing for title, missing in lacking.items() if missing}


def _logged(run: Path) -> tuple[set[str], set[str], set[str]]:
    """Give the keys of the history, of the summary and of the config of an offline run."""
    history: set[str] = set()
    summary: set[str] = set()
    config: set[str] = set()
    for record in read_records(run):
        kind = record.WhichOneof("record_type")
        if kind == "history":
            history |= {_key(item) for item in record.history.item}
        elif kind == "summary":
            summary |= {_key(item) for item in record.summary.update}
        elif kind == "run":
            for item in record.run.config.update:
                config |= set(_paths(item.key, json.loads(item.value_json)))
    return history, history | summary, config  # W&B's server makes a summary of the history


def _key(item: Any) -> str:
    return str(item.nested_key[0] if item.nested_key else item.key)


def _paths(key: str, value: object) -> list[str]:
    inner = value.items() if isinstance(value, dict) else ()
    return [key, *(path for name, v in inner for path in _paths(f"{key}.{name}", v))]


def _keys(panel: dict[str, Any]) -> tuple[set[str], set[str], set[str]]:
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
    assert panel["viewType"] == "Weave", "a kind of panel that is not known here"
    pick = config["panel2Config"]["exp"]["fromOp"]
    assert pick["name"] == "pick"
    assert pick["inputs"]["obj"]["fromOp"]["name"] == "run-summary"
    return set(), {pick["inputs"]["key"]["val"]}, by
