"""A finished run that another one reads: what it holds, and why it is refused where it is not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from critwin.budget_tables import FOLDS
from critwin.errors import ParameterError, RecordsError
from critwin.fork_folds import FoldedForks
from critwin.problem import Problem, read_problems
from critwin.protocol import EveryToken, ForkProtocol, Fractions, Sampling
from critwin.records import ADDED, ORIGINALS, PLANS, PROBLEMS, RESAMPLES, RunDirectory
from experiments.experiment import read_provenance
from experiments.runs import run_directories

PROTOCOLS: dict[str, type[Sampling]] = {
    f"{kind.__module__}.{kind.__qualname__}": kind
    for kind in (Fractions, EveryToken, ForkProtocol, FoldedForks)
}
SCHEMAS = {
    "problems": PROBLEMS,
    "originals": ORIGINALS,
    "resamples": RESAMPLES,
    "plans": PLANS,
    "folds": FOLDS,
}
BESIDE: tuple[tuple[type[Sampling], str], ...] = ((ForkProtocol, "plans"), (FoldedForks, "folds"))
"""The table that stands beside originals and resamples under a protocol."""


@dataclass(frozen=True)
class Source:
    """A finished run that resampled originals.

    Attributes:
        directory: Its run directory.
        record: Its provenance record.
        measured: Components of the run that drew: its own, or those of the run that it labels anew.
        protocol: How originals were resampled.
    """

    directory: RunDirectory
    record: Mapping[str, Any]
    measured: Mapping[str, Any]
    protocol: Sampling

    @property
    def names(self) -> tuple[str, ...]:
        """The tables that were drawn, and the problems."""
        beside = [table for kind, table in BESIDE if isinstance(self.protocol, kind)]
        return ("problems", "originals", "resamples", *beside)

    @cached_property
    def tables(self) -> dict[str, pa.Table]:
        """The tables, read once.

        Raises:
            RecordsError: One is missing or damaged, or does not belong to the others.
        """
        tables = {name: self.directory.read(name) for name in self.names}
        if "plans" in tables:
            tables["plans"] = _with_aims(tables["plans"])
        for name, table in tables.items():
            needed = [f for f in SCHEMAS[name] if f.name not in ADDED.get(name, frozenset())]
            lacking = [field.name for field in needed if field not in list(table.schema)]
            if lacking:
                path = self.directory.path / f"{name}.parquet"
                raise RecordsError(f"{path} lacks {', '.join(lacking)}")
        for name, column, of in (
            ("originals", "problem_id", "problems"),
            ("resamples", "original_id", "originals"),
            ("plans", "original_id", "originals"),
            ("folds", "original_id", "originals"),
        ):
            if name in tables:
                known = tables[of][column].combine_chunks()
                strange = pc.invert(pc.is_in(tables[name][column], value_set=known))
                if pc.any(strange).as_py():
                    raise RecordsError(f"{of}.parquet lacks some {column} of {name}.parquet")
        return tables

    @cached_property
    def digests(self) -> dict[str, str]:
        """Hex SHA-256 of each table's file."""
        files = {name: self.directory.path / f"{name}.parquet" for name in self.names}
        return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}

    def problems(self) -> list[Problem]:
        """Give the problems that the originals answer."""
        return read_problems(self.tables["problems"])

    def described(self) -> dict[str, object]:
        """Describe the run for the provenance record of the one that reads it."""
        return {
            "run_id": self.record["run_id"],
            "experiment": self.record["experiment"],
            "records": self.digests,
            "identity": self.measured,
        }


def finished_run(key: str, path: str) -> Source:
    """Open a finished run that resampled originals.

    Args:
        key: The key that names it, for the message.
        path: Its run directory; `~` is the home folder.

    Raises:
        ParameterError: It is none; the message says why.
    """
    try:
        return _opened(Path(path).expanduser())
    except RecordsError as error:
        allowed = "the directory of a finished run that resampled originals, as llm_math leaves it"
        raise ParameterError(key, [path], f"{allowed} ({error})") from None


def finished_runs(key: str, names: Sequence[str]) -> list[Source]:
    """Open the finished runs that names lead to, in their order.

    Args:
        key: The key that holds the names, for messages.
        names: As `experiments.runs` reads them: run directories, sweeps, patterns.

    Raises:
        ParameterError: One leads to none, or to a run that is not finished; the message says why.
    """
    found: list[Source] = []
    for name in names:
        try:
            paths = [str(path) for path in run_directories(key, [name])]
        except RecordsError as error:
            raise ParameterError(key, name, str(error)) from None
        except ParameterError:
            paths = [name]  # no run is there: opening it says why
        found += [finished_run(key, path) for path in paths]
    return found


def _opened(folder: Path) -> Source:
    if not folder.is_dir():
        raise RecordsError("there is no such folder")
    directory = RunDirectory(folder)
    record: Mapping[str, Any] | None = read_provenance(directory)
    if record is None:
        raise RecordsError("it holds no provenance.json")
    lacking = [key for key in ("run_id", "experiment", "identity") if key not in record]
    if lacking:
        raise RecordsError(f"its provenance.json lacks {', '.join(lacking)}")
    if record["status"] != "complete":
        raise RecordsError(f"its status is {record['status']}")
    measured = record["identity"]
    if record.get("sources"):
        measured = record["sources"][0]["identity"]
    source = Source(directory, record, measured, _protocol(record["experiment"], measured))
    _ = source.tables
    return source


def _protocol(experiment: str, measured: Mapping[str, Any]) -> Sampling:
    """Make the protocol again from its description in a provenance record."""
    described = dict(measured.get("sampler") or {})
    kind = PROTOCOLS.get(str(described.pop("class", None)))
    if kind is None:
        raise RecordsError(f"{experiment} resamples no originals")
    try:
        return kind(**described)
    except (TypeError, ParameterError) as error:
        raise RecordsError(f"its provenance.json is damaged: sampler, {error}") from None


def _with_aims(plans: pa.Table) -> pa.Table:
    """Add the columns that plans did not have when every one was for a curve."""
    for i, field in enumerate(PLANS):
        if field.name in ("aimed", "windows_expected") and field.name not in plans.schema.names:
            plans = plans.add_column(i, field, pa.nulls(plans.num_rows, field.type))
    return plans
