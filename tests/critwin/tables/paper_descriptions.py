"""The project's own descriptions of tables, read as plain YAML."""

from __future__ import annotations

from pathlib import Path

import yaml

from critwin.tables.description import TableDescription
from critwin.tables.facts import RunFacts
from critwin.tables.table import Table, fill

FOLDER = Path(__file__).parents[3] / "conf" / "table"


def description(name: str) -> TableDescription:
    values = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    values.pop("_target_")
    return TableDescription(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    )


DESCRIPTIONS = {path.stem: description(path.stem) for path in sorted(FOLDER.glob("*.yaml"))}


def filled(runs: list[RunFacts], *, names: dict[str, str] | None = None) -> dict[str, Table]:
    made = {n: fill(n, d, runs, names=names) for n, d in DESCRIPTIONS.items()}
    return {name: table for name, table in made.items() if table is not None}
