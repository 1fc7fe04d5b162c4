"""Records of finished runs as a data set: a folder that `datasets` loads, with a card."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import pyarrow as pa

from critwin.dataset_folder import SCHEMAS, Part, write_dataset
from critwin.errors import ParameterError
from critwin.preference_pairs import preference_pairs
from critwin.problem import ProblemSet
from critwin.records import RunDirectory
from critwin.tables.facts import RunFacts
from critwin.tables.trace import described
from experiments.experiment import Accounts, Experiment
from experiments.runs import READERS, Collected, collect
from experiments.tracker import Progress, Tracker

PROBLEM_SETS = "critwin.problems."
"""Where problem sets are; the class that says a licence is looked up nowhere else."""


@dataclass(frozen=True, kw_only=True)
class Export(Experiment):
    """Put the records of finished runs, and certified jumps as preference pairs, into a data set.

    Attributes:
        runs: What leads to finished runs (experiments/runs.py).
        names: What to call models and problem sets, by what runs call them.
        strict: Whether unfinished runs and runs that are there twice are errors.
    """

    runs: tuple[str, ...]
    names: Mapping[str, str]
    strict: bool = False

    name: ClassVar[str] = "export"
    stage: ClassVar[str] = "export"
    axis: ClassVar[str] = "runs_exported"
    always: ClassVar[bool] = True
    execution: ClassVar[frozenset[str]] = frozenset({"runs", "strict"})

    @property
    def products(self) -> tuple[str, ...]:
        """The data set and the summary."""
        return ("summary.json", "dataset")

    @cached_property
    def collected(self) -> Collected:
        """The runs with originals, read once.

        Raises:
            ParameterError: A name leads nowhere, or no run has originals.
        """
        found = collect("runs", self.runs, but=READERS)
        if self.strict and found.left_out:
            allowed = f"finished runs, each once, as strict=true asks: {'; '.join(found.left_out)}"
            raise ParameterError("runs", list(self.runs), allowed)
        having = tuple(r for r in found.runs if (r.path / "originals.parquet").is_file())
        without = [f"{r.path} holds no originals" for r in found.runs if r not in having]
        left_out = (*found.left_out, *without)
        if not having:
            allowed = f"one finished run with originals or more: {'; '.join(left_out)}"
            raise ParameterError("runs", list(self.runs), allowed)
        return Collected(having, left_out)

    def check(self) -> None:
        """Refuse names that lead to no run with originals."""
        _ = self.collected

    def fingerprint(self) -> str:
        """Hash identities and records of the runs that are read, whatever their order."""
        content = sorted((run.run_id, sorted(run.digests.items())) for run in self.collected.runs)
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def sources(self) -> list[dict[str, object]]:
        """Describe the runs that are read."""
        return [described(run) for run in self.collected.runs]

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        """Write the data set anew."""
        began = time.perf_counter()
        runs = self.collected.runs
        progress.begin("export", len(runs), unit="runs")
        parts = []
        for number, run in enumerate(runs, start=1):
            parts.append(Part(run, _tables(run), licence_of(run)))
            progress.advance(1)
            tracker.log({"runs_exported": number})
        folder = directory.path / "dataset"
        shutil.rmtree(folder / "data", ignore_errors=True)
        written = write_dataset(folder, parts, names=self.names)
        progress.end()
        rows = {
            name: sum(part.tables[name].num_rows for part in parts if name in part.tables)
            for name in written
        }
        directory.write_json("summary", self._summary(rows))
        return Accounts(seconds={"export": time.perf_counter() - began})

    def _summary(self, rows: Mapping[str, int]) -> dict[str, Any]:
        table = {
            "title": "Exported",
            "columns": ["table", "rows"],
            "rows": [[name, count] for name, count in rows.items()],
            "note": " ".join(f"Left out: {line}." for line in self.collected.left_out),
        }
        return {
            "runs": len(self.collected.runs),
            "rows": dict(rows),
            "left_out": list(self.collected.left_out),
            "tables": [table],
        }


def _tables(run: RunFacts) -> dict[str, pa.Table]:
    """Read the tables of a run, and make its preference pairs where it has what they need."""
    directory = RunDirectory(run.path)
    tables = {
        name: directory.read(name) for name in SCHEMAS if (run.path / f"{name}.parquet").is_file()
    }
    if {"originals", "resamples", "windows"} <= tables.keys():
        attribution = tables.get("attribution")
        tables["pairs"] = preference_pairs(
            tables["originals"].to_pandas(),
            tables["resamples"].to_pandas(),
            attribution=None if attribution is None else attribution.to_pandas(),
            windows=tables["windows"].to_pandas(),
        )
    return tables


def licence_of(run: RunFacts) -> str:
    """Give the licence of a run's problems: its config's word, else that of the problem set."""
    said = (run.config.get("dataset") or {}).get("licence")
    if isinstance(said, str) and said:
        return said
    module, _, kind = str((run.identity.get("dataset") or {}).get("class")).rpartition(".")
    if not module.startswith(PROBLEM_SETS):
        return ProblemSet.licence
    try:
        found = getattr(importlib.import_module(module), kind)
    except (ImportError, AttributeError):
        return ProblemSet.licence  # made by a version with other problem sets
    return str(getattr(found, "licence", ProblemSet.licence))
