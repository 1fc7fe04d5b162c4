"""From finished runs to a paper: tables in four forms, figures, and a page that links them all."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from critwin.errors import ParameterError
from critwin.records import RunDirectory
from critwin.tables.description import TableDescription
from critwin.tables.index_page import write_index
from critwin.tables.settings import Difference, value_text
from critwin.tables.table import Table, fill
from critwin.tables.trace import (
    StoredTableError,
    described,
    disagreements,
    message,
    write_table,
)
from experiments.experiment import Accounts, Experiment
from experiments.paper_figures import write_paper_figures
from experiments.recounting import recounted
from experiments.runs import READERS, Collected, collect
from experiments.tracker import Progress, Tracker

SHOWN_ROWS = 30
"""Rows of a table that the terminal shows."""


@dataclass(frozen=True, kw_only=True)
class PaperTables(Experiment):
    """Put the numbers of finished runs into tables and figures, or check those that stand.

    Attributes:
        runs: What leads to finished runs (experiments/runs.py).
        tables: What tables there are, by name; those are made that some run has a part in.
        names: What to call models, problem sets and the like, by what runs call them.
        strict: Whether unfinished runs, runs that are there twice and tables whose runs differ in
            prompt, sampler, feature or rule are errors.
        figures: Whether figures are drawn.
        checking: Whether stored tables are held against the records, and nothing is written over;
            its key is `check`.
        stored: Folder of the tables to check; None: those of the same runs and descriptions.
    """

    runs: tuple[str, ...]
    tables: Mapping[str, TableDescription]
    names: Mapping[str, str]
    strict: bool = False
    figures: bool = True
    checking: bool = field(default=False, metadata={"key": "check"})
    stored: str | None = None

    name: ClassVar[str] = "paper_tables"
    stage: ClassVar[str] = "tables"
    axis: ClassVar[str] = "tables_done"
    always: ClassVar[bool] = True
    execution: ClassVar[frozenset[str]] = frozenset({"runs", "strict", "stored"})

    @property
    def products(self) -> tuple[str, ...]:
        """Tables and page; of a check, what it found."""
        return ("summary.json",) if self.checking else ("summary.json", "tables", "index.html")

    @cached_property
    def collected(self) -> Collected:
        """The runs, read once.

        Raises:
            ParameterError: A name leads nowhere, or none of the runs is finished.
        """
        found = collect("runs", self.runs, but=READERS - {"compare"})
        if self.strict and found.left_out:
            allowed = f"finished runs, each once, as strict=true asks: {'; '.join(found.left_out)}"
            raise ParameterError("runs", list(self.runs), allowed)
        if not found.runs:
            why = "; ".join(found.left_out) or "there are only runs that read others"
            raise ParameterError("runs", list(self.runs), f"one finished run or more: {why}")
        return found

    @cached_property
    def filled(self) -> dict[str, Table | None]:
        """Each table, filled; None where no run has a part in it."""
        runs = self.collected.runs
        return {
            name: fill(name, described, runs, names=self.names)
            for name, described in self.tables.items()
        }

    @property
    def made(self) -> list[Table]:
        """The tables that some run has a part in."""
        return [table for table in self.filled.values() if table is not None]

    def check(self) -> None:
        """Refuse names that lead to no finished run, and what `strict` asks to refuse."""
        _ = self.collected
        if not self.tables:
            raise ParameterError("tables", {}, "one description of a table or more")
        if self.stored is not None and not self.checking:
            raise ParameterError("stored", self.stored, "null, but with check=true")
        if self.checking and self.stored is not None and not Path(self.stored).is_dir():
            raise ParameterError("stored", self.stored, "a folder of tables")
        if not self.made:
            holding = ", ".join(sorted({run.experiment for run in self.collected.runs}))
            allowed = f"runs with a part in {', '.join(self.tables)}; these are of {holding}"
            raise ParameterError("runs", list(self.runs), allowed)
        if self.strict:
            for table in self.made:
                if table.differences:
                    told = "; ".join(_told(one) for one in table.differences)
                    allowed = f"runs alike in all that strict=true asks; in {table.name} they "
                    raise ParameterError("runs", list(self.runs), f"{allowed}differ in {told}")

    def fingerprint(self) -> str:
        """Hash which runs are read, whatever their order; not their records: they are checked."""
        ids = sorted(run.run_id for run in self.collected.runs)
        return hashlib.sha256("\n".join(ids).encode()).hexdigest()

    def sources(self) -> list[dict[str, object]]:
        """Describe the runs that are read."""
        return [described(run) for run in self.collected.runs]

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        """Write the tables, figures and page, or check the tables that are stored."""
        began = time.perf_counter()
        if self.checking:
            self._check_stored(directory, progress)
            return Accounts(seconds={"check": time.perf_counter() - began})
        made = self.made
        progress.begin("tables", len(made), unit="tables")
        written = []
        for number, table in enumerate(made, start=1):
            written += write_table(table, directory.path / "tables")
            progress.advance(1)
            tracker.log({"tables_done": number})
        progress.end()
        drawn_from = time.perf_counter()
        figures: list[Path] = []
        if self.figures:
            figures = write_paper_figures(
                self.collected.runs, directory.path / "figures", names=self.names
            )
        _forget_others(directory.path, [*written, *figures])
        end = time.perf_counter()
        directory.write_json("summary", self._summary(figures))
        write_index(directory.path, made, self.collected.runs, self._remarks())
        return Accounts(seconds={"tables": drawn_from - began, "figures": end - drawn_from})

    def _check_stored(self, directory: RunDirectory, progress: Progress) -> None:
        stored = Path(self.stored or "")
        if self.stored is None:
            twin = replace(self, checking=False)
            stored = directory.path.parent / twin.run_id() / "tables"
        if not any(stored.glob("*.trace.json")):
            raise StoredTableError(
                f"{stored} holds no tables; allowed: a folder that paper_tables wrote, stored=DIR, "
                "or runs for which the same command without check=true was run"
            )
        found = [*disagreements(stored, self.made), *self._recount(progress)]
        if found:
            raise StoredTableError(message(found, stored))
        cells = sum(len(table.rows) * len(table.columns) for table in self.made)
        runs = len(self.collected.runs)
        told = {
            "title": "Stored tables and records agree",
            "columns": ["tables", "cells", "runs", "disagreeing"],
            "rows": [[len(self.made), cells, runs, 0]],
            "note": f"{stored}",
        }
        directory.write_json("summary", {"stored": str(stored), "tables": [told]})

    def _recount(self, progress: Progress) -> Iterator[str]:
        """Hold each run's headline numbers against its own records, counted anew."""
        runs = list({run.run_id: run for table in self.made for run in table.runs}.values())
        progress.begin("records counted anew", len(runs), unit="runs")
        for run in runs:
            for line in recounted(run):
                tables = ", ".join(t.name for t in self.made if run in t.runs)
                yield f"{tables}, run {run.run_id}: {line}"
            progress.advance(1)
        progress.end()

    def _remarks(self) -> list[str]:
        """Say what was left out, what runs differ in, and which tables were not made."""
        remarks = [f"left out: {line}" for line in self.collected.left_out]
        for table in self.made:
            remarks += [f"{table.name}: runs differ in {_told(one)}" for one in table.differences]
        none = [name for name, table in self.filled.items() if table is None]
        if none:
            remarks.append(f"not made, for no run has a part in them: {', '.join(none)}")
        return remarks

    def _summary(self, figures: Sequence[Path]) -> dict[str, Any]:
        return {
            "runs": len(self.collected.runs),
            "left_out": list(self.collected.left_out),
            "made": {table.name: len(table.rows) for table in self.made},
            "figures": sorted({path.stem for path in figures}),
            "remarks": self._remarks(),
            "tables": [_shown(table) for table in self.made],
        }


def _told(one: Difference) -> str:
    """Say how many runs have which value of a setting."""
    values: dict[str, int] = {}
    for value in one.values.values():
        values[value_text(value)] = values.get(value_text(value), 0) + 1
    told = [f"{text} ({count})" for text, count in list(values.items())[:4]]
    more = [f"{len(values) - 4} more values"] if len(values) > 4 else []
    return f"{one.key}: {', '.join([*told, *more])}"


def _shown(table: Table) -> dict[str, Any]:
    """Give a table as the terminal shows it."""
    rows = [[cell.shown for cell in row.cells] for row in table.rows[:SHOWN_ROWS]]
    left = len(table.rows) - len(rows)
    note = [table.note, f"{left} rows more in tables/{table.name}.md" if left else ""]
    return {
        "title": f"{table.name}: {table.description.caption}",
        "columns": [column.heading for column in table.columns],
        "rows": rows,
        "note": " ".join(filter(None, note)),
    }


def _forget_others(folder: Path, written: Sequence[Path]) -> None:
    """Remove what an earlier start wrote and this one did not: the runs it came from have changed.

    Only the folders that paper_tables itself fills are looked into.
    """
    kept = {path.resolve() for path in written}
    for part in ("tables", "figures"):
        for path in (folder / part).glob("*"):
            if path.resolve() not in kept and path.is_file():
                path.unlink()
