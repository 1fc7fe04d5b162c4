"""Where each cell of a sweep stands, read from files and from the queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from critwin.errors import RecordsError
from critwin.records import RunDirectory
from experiments import noted_progress
from experiments.experiment import read_provenance
from launch.queue import alive
from launch.sweep import Cell, Submission, Sweep, read_failure, read_submissions

State: TypeAlias = Literal["waiting", "running", "done", "failed", "lost"]


@dataclass(frozen=True)
class Standing:
    """Where a run stands.

    Attributes:
        state: waiting: a job is going to compute it, or nobody was asked to; running: a process
            computes it; done: complete; failed: it ended with an error; lost: it was begun or
            submitted and nobody is at it.
        directory: Its run directory.
        overrides: What tells it from the other cells.
        error: Last line of its traceback, where it failed.
        done: Units of the stage that are done; None where nobody noted it.
        total: Units of the stage.
        stage: What it is at.
        unit: What is counted.
        tokens_per_second: Tokens generated in a second.
        seconds_left: Of the stage, at its speed so far.
        sent: Whether a job that is there has it to compute.
    """

    state: State
    directory: Path
    overrides: tuple[str, ...] = ()
    error: str = ""
    done: int | None = None
    total: int = 0
    stage: str = ""
    unit: str = ""
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    sent: bool = False


def stand(sweep: Sweep, *, base: Path = Path()) -> list[Standing]:
    """Tell of each cell where it stands.

    Args:
        sweep: The sweep.
        base: Folder that its run directories are relative to.
    """
    submissions = list(read_submissions(sweep.folder))
    there = alive(submissions)
    shared = set.intersection(*(set(cell.overrides) for cell in sweep.cells))
    return [_stand_cell(cell, sweep, submissions, there, shared, base) for cell in sweep.cells]


def _stand_cell(
    cell: Cell,
    sweep: Sweep,
    submissions: list[Submission],
    there: Mapping[str, bool],
    shared: set[str],
    base: Path,
) -> Standing:
    own = tuple(override for override in cell.overrides if override not in shared)
    directory = RunDirectory(base / cell.directory)
    standing = stand_run(directory, overrides=own)
    if standing.state in ("done", "running"):
        return standing
    sent = [
        (each.name, job.job)
        for each in submissions
        for job in each.jobs
        if cell.run_id in job.cells
    ]
    failure = read_failure(sweep.folder, cell.run_id)
    latest = sent[0][0] if sent else None
    if failure is not None and failure["submission"] == latest:
        return Standing("failed", directory.path, own, error=failure["error"])
    if any(there[job] for _, job in sent):
        return Standing("waiting", directory.path, own, sent=True)
    if failure is not None:
        return Standing("failed", directory.path, own, error=failure["error"])
    if standing.state == "waiting" and sent:
        return Standing("lost", directory.path, own)
    return standing


def stand_run(directory: RunDirectory, *, overrides: tuple[str, ...] = ()) -> Standing:
    """Tell where a run stands, from its directory alone."""
    path = directory.path
    try:
        record = read_provenance(directory)
        if record is not None and record["status"] == "complete":
            return Standing("done", path, overrides)
        if directory.is_held():
            return _running(directory, overrides)
    except RecordsError as error:
        return Standing("failed", path, overrides, error=str(error))
    if record is None:
        return Standing("waiting", path, overrides)
    if record["status"] == "failed":
        return Standing("failed", path, overrides, error=str(record.get("error", "")))
    return Standing("lost", path, overrides)  # a process that is killed cannot say so itself


def _running(directory: RunDirectory, overrides: tuple[str, ...]) -> Standing:
    note = directory.read_json(noted_progress.NAME)
    if note is None or "stage" not in note:
        return Standing("running", directory.path, overrides)
    done, total = int(str(note["done"])), int(str(note["total"]))
    rate = float(str(note.get("units_per_second", 0.0)))
    speed = note.get("tokens_per_second")
    left = (total - done) / rate if rate > 0 else None
    if "seconds_left" in note:
        left = float(str(note["seconds_left"]))
    return Standing(
        "running",
        directory.path,
        overrides,
        done=done,
        total=total,
        stage=str(note["stage"]),
        unit=str(note["unit"]),
        tokens_per_second=None if speed is None else float(str(speed)),
        seconds_left=left,
    )
