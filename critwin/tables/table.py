"""A table filled from runs: rows in an order that the runs' own order does not change."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from critwin.tables.description import Column, TableDescription
from critwin.tables.facts import RunFacts
from critwin.tables.numbers import MISSING, Cell
from critwin.tables.settings import (
    SHOWN_GROUPS,
    SHOWN_KEYS,
    Difference,
    described,
    differences,
    distinguishing,
    short,
    value_text,
)

FILES = {"row": "row", "run": "provenance.json", "identity": "provenance.json"}
"""File of a run that a path's root is read from, where it is not `<root>.json`."""


@dataclass(frozen=True)
class Row:
    """A row, and the run that it comes from.

    Attributes:
        run: The run.
        cells: One for each column.
    """

    run: RunFacts
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A table, before it is written in any form.

    Attributes:
        name: Of its files.
        description: What it is made of.
        columns: Its columns, those that tell runs apart among them.
        rows: Its rows, in order.
        note: Stands below it.
        differences: The settings that its runs do not share.
    """

    name: str
    description: TableDescription
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str
    differences: tuple[Difference, ...]

    @property
    def runs(self) -> list[RunFacts]:
        """The runs that gave rows, by id."""
        return list({row.run.run_id: row.run for row in _by_id(self.rows)}.values())

    def origin(self, row: Row, place: int) -> str:
        """Say which file of its run a cell is read from, and where in it."""
        path = self.columns[place].value
        root, _, rest = path.partition(".")
        if root == "row":
            rows = self.description.rows
            inside = f".{rest}" if rest else ""
            if rows.endswith(".parquet"):
                return f"{rows}: {rest}"
            if rows == "published":
                return f"summary.json and critwin/assets/published: {rest}"
            root, _, within = rows.partition(".")
            return f"{FILES.get(root, f'{root}.json')}: {within}[]{inside}"
        return f"{FILES.get(root, f'{root}.json')}: {path if root == 'run' else rest}"


def fill(
    name: str,
    description: TableDescription,
    runs: Sequence[RunFacts],
    *,
    names: Mapping[str, str] | None = None,
) -> Table | None:
    """Fill a table from the runs that have a part in it.

    Settings that the runs do not share stand in the table: one or two in columns of their own, more
    by a letter that the note explains.

    Args:
        name: Of its files.
        description: What it is made of.
        runs: Finished runs, each once.
        names: What to call models, problem sets, rules and the like, by what runs call them.

    Returns:
        The table; None where no run has a part in it.

    Raises:
        RecordsError: A table file of a run is damaged.
    """
    columns, called = description.table_columns, dict(names or {})
    found: list[tuple[Any, Row]] = []
    for run in sorted(runs, key=lambda run: run.run_id):
        for place, entry in enumerate(description.entries(run)):
            cells = tuple(_called(column.of(run, entry), called) for column in columns)
            found.append((place, Row(run, cells)))
    if not found:
        return None
    rows = _sorted(found, columns)
    own = list({row.run.run_id: row.run for row in rows}.values())
    told = differences(own) if description.settings else []
    same = _alike(rows, told) if description.settings else []
    added = [*told, *(one for one in distinguishing(own, same) if one not in told)]
    note = description.note
    if added:
        columns, rows, explained = _add(columns, rows, added)
        note = " ".join(part for part in (note, explained) if part)
    return Table(name, description, columns, tuple(rows), note, tuple(told))


def _by_id(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row.run.run_id)


def _called(cell: Cell, names: Mapping[str, str]) -> Cell:
    return replace(cell, text=names.get(cell.text, cell.text)) if cell.text is not None else cell


def _sorted(found: Sequence[tuple[Any, Row]], columns: Sequence[Column]) -> list[Row]:
    """Order by what is said of the run, then as the run has its rows; the same whatever came."""
    leading = [
        i
        for i, column in enumerate(columns)
        if column.kind == "text" and not _within_run(column.value)
    ]

    def key(one: tuple[Any, Row]) -> tuple[Any, ...]:
        place, row = one
        words = tuple(_natural(row.cells[i].text or "") for i in leading)
        return words, row.run.run_id, place

    return [row for _, row in sorted(found, key=key)]


def _within_run(path: str) -> bool:
    """Tell whether a path tells rows of one run apart, so that the run's own order counts."""
    return path.startswith("row") and path not in ("row.dataset", "row.model")


def _natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Order texts with numbers in them as a reader would."""
    parts = re.split(r"(\d+)", text.casefold())
    return tuple((1, int(p), "") if p.isdigit() else (0, 0, p) for p in parts)


def _alike(rows: Sequence[Row], told: Sequence[Difference]) -> list[list[str]]:
    """Give the ids of runs whose rows read the same, the settings told."""
    groups: dict[object, list[str]] = {}
    for row in rows:
        texts = tuple(cell.text for cell in row.cells if cell.text is not None)
        known = repr([one.values.get(row.run.run_id) for one in told])
        ids = groups.setdefault((texts, row.run.experiment, known), [])
        if row.run.run_id not in ids:
            ids.append(row.run.run_id)
    return [ids for ids in groups.values() if len(ids) > 1]


def _add(
    columns: tuple[Column, ...], rows: Sequence[Row], added: Sequence[Difference]
) -> tuple[tuple[Column, ...], list[Row], str]:
    """Put what tells runs apart behind the columns that name them."""
    texts_end = next((i for i, c in enumerate(columns) if c.kind != "text"), len(columns))
    of_run = [i + 1 for i in range(texts_end) if columns[i].value.startswith("run.")]
    at = max(of_run, default=texts_end)
    keys = [one.key for one in added]
    taken = [*keys, *(column.heading for column in columns)]
    if len(added) <= SHOWN_KEYS:
        headings = [short(key, taken).replace("_", " ") for key in keys]
        new = tuple(
            Column(heading, f"identity.{key}") for heading, key in zip(headings, keys, strict=True)
        )
        texts = {row.run.run_id: [_value(one, row.run.run_id) for one in added] for row in rows}
        explained = ""
    else:
        new = (Column("settings", "identity"),)
        texts, explained = _letters(rows, added)
    made = [
        Row(
            row.run,
            (
                *row.cells[:at],
                *(Cell(text=text) for text in texts[row.run.run_id]),
                *row.cells[at:],
            ),
        )
        for row in rows
    ]
    return (*columns[:at], *new, *columns[at:]), made, explained


def _value(one: Difference, run_id: str) -> str:
    return value_text(one.values[run_id]) if run_id in one.values else MISSING


def _letters(rows: Sequence[Row], added: Sequence[Difference]) -> tuple[dict[str, list[str]], str]:
    """Give each run the letter of its settings, and say what each letter means."""
    ids = dict.fromkeys(row.run.run_id for row in rows)
    of = {run_id: described(run_id, added) or "nothing that others have" for run_id in ids}
    letters = {text: _letter(i) for i, text in enumerate(dict.fromkeys(of.values()))}
    told = [f"{letter}: {text}" for text, letter in list(letters.items())[:SHOWN_GROUPS]]
    if len(letters) > SHOWN_GROUPS:
        told.append(f"and {len(letters) - SHOWN_GROUPS} more, in the companion file")
    return {run_id: [letters[text]] for run_id, text in of.items()}, (
        f"Settings: {'; '.join(told)}."
    )


def _letter(number: int) -> str:
    """Give a, b, ..., z, aa, ab, ..."""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("a") + rest) + text
    return text
