"""The folder of a sweep: its manifest, written before anything is submitted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from critwin.provenance import git_state
from critwin.records import write_text


@dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Attributes:
        run_id: Identity of the run.
        directory: Its run directory.
        overrides: What the command line and the sweep say about it.
    """

    run_id: str
    directory: str
    overrides: tuple[str, ...]


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
        """Write `manifest.json`.

        Raises:
            RecordsError: The folder cannot be written.
        """
        commit, dirty = git_state(Path(__file__).parent)
        manifest = {
            "sweep": self.sweep_id,
            "experiment": self.experiment,
            "submitted": datetime.now(UTC).isoformat(timespec="seconds"),
            "git_commit": commit,
            "git_dirty": dirty,
            "cells": [asdict(cell) for cell in self.cells],
        }
        write_text(self.folder / "manifest.json", json.dumps(manifest, indent=2) + "\n")


def twins(cells: Sequence[Cell]) -> tuple[int, int] | None:
    """Find two cells that are the same run."""
    seen: dict[str, int] = {}
    for index, cell in enumerate(cells):
        if cell.run_id in seen:
            return seen[cell.run_id], index
        seen[cell.run_id] = index
    return None
