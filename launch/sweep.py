"""The folder of a sweep: what its cells are and what was submitted for them, all of it JSON.

`manifest.json` names the cells, `cells/` holds the config and the content hashes of each, and
`submissions/` what every command sent out. Jobs read these files and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from critwin.errors import RecordsError
from critwin.files import write_text
from critwin.provenance import code_hash, git_state


@dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Attributes:
        run_id: Identity of the run.
        directory: Its run directory.
        overrides: What the command line and the sweep say about it.
        config: The resolved config.
        identity: What determines its numbers, content hashes included; fit for JSON.
        words: Names of the components chosen.
        loads: Names the model that it loads; cells with the same name share it.
        always: Whether it is done anew where it is complete.
    """

    run_id: str
    directory: str
    overrides: tuple[str, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    identity: object = None
    words: tuple[str, ...] = ()
    loads: str = ""
    always: bool = False


@dataclass(frozen=True)
class Assignment:
    """A job that was sent out.

    Attributes:
        job: Its id: of SLURM, or of a process.
        cells: Run ids of what it computes.
        machine: Where the process runs, as a lease names it; empty for SLURM.
        began: When the process began; 0 for SLURM.
    """

    job: str
    cells: tuple[str, ...]
    machine: str = ""
    began: float = 0.0


@dataclass(frozen=True)
class Submission:
    """What one command sent out for a sweep.

    Attributes:
        name: Its time and a random part.
        cluster: What it was sent to: debug, local or slurm.
        jobs: In the order in which they were sent.
        facts: Commit and hash of the code when it was sent.
    """

    name: str
    cluster: str
    jobs: tuple[Assignment, ...]
    facts: Mapping[str, object]


@dataclass(frozen=True)
class Sweep:
    """The cells that one command computes.

    Attributes:
        experiment: Name of the experiment.
        root: Folder of all sweeps.
        cells: In the order of submission.
    """

    experiment: str
    root: Path
    cells: tuple[Cell, ...]

    @property
    def sweep_id(self) -> str:
        """Hash of the run ids, whatever their order: the same sweep has the same folder."""
        ids = json.dumps(sorted(cell.run_id for cell in self.cells))
        return hashlib.sha256(ids.encode()).hexdigest()[:16]

    @property
    def folder(self) -> Path:
        """Where manifest and logs are."""
        return self.root / self.experiment / self.sweep_id

    def write_manifest(self) -> None:
        """Write `manifest.json` and the cells.

        Raises:
            RecordsError: The folder cannot be written.
        """
        commit, dirty = git_state(Path(__file__).parent)
        brief = ("run_id", "directory", "overrides")
        manifest = {
            "sweep": self.sweep_id,
            "experiment": self.experiment,
            "submitted": now(),
            "started_in": os.getcwd(),
            "git_commit": commit,
            "git_dirty": dirty,
            "cells": [{key: getattr(cell, key) for key in brief} for cell in self.cells],
        }
        for cell in self.cells:
            write_json(self.folder / "cells" / f"{cell.run_id}.json", asdict(cell))
        write_json(self.folder / "manifest.json", manifest)


def read_sweep(folder: Path) -> Sweep:
    """Read the sweep of a folder.

    Raises:
        RecordsError: The folder holds no whole sweep.
    """
    manifest = read_json(folder / "manifest.json")
    cells = [read_cell(folder, brief["run_id"]) for brief in manifest["cells"]]
    return Sweep(manifest["experiment"], folder.parents[1], tuple(cells))


def read_cell(folder: Path, run_id: str) -> Cell:
    """Read a cell of a sweep's folder.

    Raises:
        RecordsError: It is not there or damaged.
    """
    values = read_json(folder / "cells" / f"{run_id}.json")
    for key in ("overrides", "words"):
        values[key] = tuple(values[key])
    return Cell(**values)


def open_submission(folder: Path, cluster: str) -> Submission:
    """Begin a submission: nothing is sent yet."""
    commit, dirty = git_state(Path(__file__).parent)
    facts = {
        "submitted": now(),
        "git_commit": commit,
        "git_dirty": dirty,
        "code_sha256": code_hash(),
    }
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{uuid.uuid4().hex[:6]}"
    submission = Submission(name, cluster, (), facts)
    write_submission(folder, submission)
    return submission


def write_submission(folder: Path, submission: Submission) -> None:
    """Write down what was sent out so far."""
    write_json(folder / "submissions" / submission.name / "submission.json", asdict(submission))


def read_submissions(folder: Path) -> Iterator[Submission]:
    """Give the submissions of a sweep, the newest first."""
    for path in sorted(folder.glob("submissions/*/submission.json"), reverse=True):
        values = read_json(path)
        jobs = tuple(
            Assignment(**{**job, "cells": tuple(job["cells"])}) for job in values.pop("jobs")
        )
        yield Submission(**values, jobs=jobs)


def note_failure(folder: Path, run_id: str, *, submission: str, error: str) -> None:
    """Write down that a cell failed."""
    note = {"submission": submission, "error": error, "time": now()}
    write_json(folder / "failures" / f"{run_id}.json", note)


def read_failure(folder: Path, run_id: str) -> dict[str, Any] | None:
    """Give the note of a cell that failed; None where there is none."""
    path = folder / "failures" / f"{run_id}.json"
    return read_json(path) if path.exists() else None


def forget_failure(folder: Path, run_id: str) -> None:
    """Remove the note: the cell is tried again."""
    (folder / "failures" / f"{run_id}.json").unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write a JSON file whole."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        RecordsError: It is not there or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordsError(f"{path} cannot be read ({error}); allowed: as -m writes it") from None


def now() -> str:
    """Give the time as records have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def twins(cells: Sequence[Cell]) -> tuple[int, int] | None:
    """Find two cells that are the same run."""
    seen: dict[str, int] = {}
    for index, cell in enumerate(cells):
        if cell.run_id in seen:
            return seen[cell.run_id], index
        seen[cell.run_id] = index
    return None
