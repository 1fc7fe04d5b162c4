"""Where each cell of a table comes from, and whether a stored table still says what records say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from critwin.errors import CritwinError
from critwin.files import write_text
from critwin.tables.facts import RunFacts
from critwin.tables.forms import FORMS
from critwin.tables.table import Row, Table

TRACE = ".trace.json"
"""Ending of a table's companion file."""

VALUES = ("shown", "value", "lower", "upper")

TOLD = 30
"""Disagreements that a message tells one by one."""


class StoredTableError(CritwinError):
    """A stored table and the records disagree; the message names the cells."""


def traced(table: Table) -> dict[str, Any]:
    """Give a table's companion, fit for JSON: each cell, its run, file and place, each run's files.

    It does not say where run directories lie: wherever they do, the same records give the same
    bytes.
    """
    cells = [
        {
            "row": number,
            "place": place,
            "of": _title(table, row),
            "column": column.heading,
            "shown": cell.shown,
            "value": cell.value,
            "lower": cell.lower,
            "upper": cell.upper,
            "runs": [row.run.run_id],
            "from": table.origin(row, place),
        }
        for number, row in enumerate(table.rows)
        for place, (column, cell) in enumerate(zip(table.columns, row.cells, strict=True))
    ]
    return {
        "table": table.name,
        "caption": table.description.caption,
        "forms": {end: _hash(form(table)) for end, form in FORMS.items()},
        "differences": {one.key: dict(one.values) for one in table.differences},
        "runs": {run.run_id: source(run) for run in table.runs},
        "cells": cells,
    }


def source(run: RunFacts) -> dict[str, Any]:
    """Say what a run is: experiment, commit, hash of its config, its record files by SHA-256."""
    digests = dict(run.digests)
    return {
        "experiment": run.experiment,
        "git_commit": run.provenance.get("git_commit"),
        "git_dirty": run.provenance.get("git_dirty"),
        "code_sha256": run.provenance.get("code_sha256"),
        "config_sha256": digests.pop("config.yaml", None),
        "records": digests,
    }


def described(run: RunFacts) -> dict[str, Any]:
    """Describe a run for the provenance record of one that reads it."""
    return {"run_id": run.run_id, "identity": dict(run.identity), **source(run)}


def write_table(table: Table, folder: Path) -> list[Path]:
    """Write a table in every form, and its companion.

    Returns:
        The files.
    """
    written = {f"{table.name}.{end}": form(table) for end, form in FORMS.items()}
    companion = json.dumps(traced(table), indent=1, ensure_ascii=False, allow_nan=False)
    written[f"{table.name}{TRACE}"] = companion + "\n"
    for name, text in written.items():
        write_text(folder / name, text)
    return [folder / name for name in written]


def disagreements(stored: Path, tables: Sequence[Table]) -> Iterator[str]:
    """Compare stored tables with what the records say now, and tell what is not the same.

    Args:
        stored: The folder with the tables.
        tables: The tables, filled anew.
    """
    companions = {path.name.removesuffix(TRACE): path for path in stored.glob(f"*{TRACE}")}
    made = {table.name: table for table in tables}
    for name in sorted(companions.keys() | made.keys()):
        if name not in made:
            yield f"{name}: the runs give no such table any more"
        elif name not in companions:
            yield f"{name}: no such table is stored"
        else:
            yield from _compare(stored, companions[name], made[name])


def _compare(stored: Path, companion: Path, table: Table) -> Iterator[str]:
    try:
        before: dict[str, Any] = json.loads(companion.read_text(encoding="utf-8"))
        old = {(cell["row"], cell["place"]): cell for cell in before["cells"]}
        known, forms = before["runs"], before["forms"]
    except (OSError, ValueError, KeyError, TypeError):
        yield f"{table.name}: {companion.name} is damaged"
        return
    now = traced(table)
    new = {(cell["row"], cell["place"]): cell for cell in now["cells"]}
    for key in sorted(old.keys() | new.keys()):
        one, other = old.get(key), new.get(key)
        if one is None or other is None:
            there = other or one
            assert there is not None
            gone = "is not stored" if one is None else "is stored, and the records give none"
            yield f"{table.name}, {_cell(there)} {gone}"
        elif any(one[k] != other[k] for k in ("of", "column", *VALUES, "runs")):
            said = [_said(cell, in_full=one["shown"] == other["shown"]) for cell in (one, other)]
            yield f"{table.name}, {_cell(other)}: stored {said[0]}, the records say {said[1]}"
    yield from _files(table.name, known, now["runs"])
    for end, form in FORMS.items():
        path = stored / f"{table.name}.{end}"
        text = path.read_text(encoding="utf-8") if path.is_file() else None
        if text is None or _hash(text) != forms[end]:
            yield f"{path.name} was changed or removed after it was written"
        elif text != form(table):
            yield f"{path.name} is not what the records give"


def _files(
    name: str, known: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Tell which record files of runs changed, and so which rows rest on others than then."""
    for run_id in sorted(known.keys() & now.keys()):
        old, new = known[run_id]["records"], now[run_id]["records"]
        changed = sorted(f for f in old.keys() | new.keys() if old.get(f) != new.get(f))
        if changed:
            yield f"{name}, every cell of run {run_id}: changed since: {', '.join(changed)}"


def message(found: Sequence[str], stored: Path) -> str:
    """Put disagreements into one message."""
    told = [*found[:TOLD], *([f"and {len(found) - TOLD} more"] if len(found) > TOLD else [])]
    return f"the tables in {stored} and the records disagree:\n  " + "\n  ".join(told)


def _title(table: Table, row: Row) -> str:
    """Name a row by its texts."""
    texts = [cell.text for cell in row.cells if cell.text is not None]
    return ", ".join(texts) or row.run.run_id


def _cell(cell: Mapping[str, Any]) -> str:
    return f"row {cell['row'] + 1} ({cell['of']}), {cell['column']}"


def _said(cell: Mapping[str, Any], *, in_full: bool) -> str:
    """Show a cell; with all its digits where they are what differs."""
    return str([cell[key] for key in VALUES[1:]]) if in_full else str(cell["shown"])


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
