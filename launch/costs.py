"""What runs would cost: measured once for each kind of run, and remembered for the next time."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from critwin.errors import CritwinError, RecordsError
from critwin.identity import identity
from critwin.planning import Total
from experiments.estimates import Cost
from experiments.experiment import Experiment
from experiments.tracker import Progress, Silent
from launch.build import LAUNCHER_KEYS, Job, first_line
from launch.clusters import visible_gpus
from launch.sweep import read_json, write_json

log = logging.getLogger(__name__)

ALIKE = ("seed", *LAUNCHER_KEYS)
"""Keys that do not change what a run costs: cells that differ in them alone share a pilot."""


def costs_of(
    jobs: Sequence[Job], *, measure: bool, progress: Progress
) -> tuple[list[Cost | None], list[str]]:
    """Give what each run would cost, and a line for each kind of which that cannot be measured.

    Args:
        jobs: The runs.
        measure: Whether to measure, which loads models; else what is remembered is given.
        progress: Shows the pilots.
    """
    kinds = [kind_of(job) for job in jobs]
    known = {kind: _remembered(kind) for kind in kinds}
    pairs = zip(kinds, jobs, strict=True)
    missing = {kind: job for kind, job in pairs if known[kind] is None and _can_say(job)}
    unknown: list[str] = []
    if measure and missing:
        progress.begin("pilots", len(missing), unit="kinds of runs")
        for kind, job in missing.items():
            try:
                known[kind] = job.experiment.cost(progress=Silent())
            except Exception as error:  # noqa: BLE001  (whatever a model raises: the list is shown)
                unknown.append(_reason(job, error))
            _remember(kind, known[kind])
            progress.advance(1)
        progress.end()
    return [known[kind] for kind in kinds], unknown


def kind_of(job: Job) -> str:
    """Hash what a run's cost depends on: its config without the seed, content, and this machine."""
    described = identity(job.experiment.determining())
    assert isinstance(described, dict)
    facts = {
        "config": {key: value for key, value in job.values.items() if key not in ALIKE},
        "identity": {key: value for key, value in described.items() if key not in ALIKE},
        "machine": [platform.node(), *visible_gpus()],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _can_say(job: Job) -> bool:
    kind = type(job.experiment)
    return any(
        getattr(kind, name) is not getattr(Experiment, name) for name in ("cost", "estimate")
    )


def _reason(job: Job, error: Exception) -> str:
    kind = "" if isinstance(error, CritwinError) else f"{type(error).__name__}: "
    return f"no cost of {' '.join(job.experiment.tags())}: {kind}{first_line(error)}"


def _folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "critwin" / "costs"


def _remembered(kind: str) -> Cost | None:
    path = _folder() / f"{kind}.json"
    try:
        values = read_json(path) if path.exists() else None
        if values is None:
            return None
        totals = {key: Total(**values[key]) for key in ("tokens", "seconds")}
        return Cost(**totals, device=str(values["device"]))
    except (RecordsError, OSError, KeyError, TypeError):
        log.debug("measured anew: %s", path)
        return None


def _remember(kind: str, cost: Cost | None) -> None:
    if cost is not None:
        with suppress(RecordsError, OSError):
            write_json(_folder() / f"{kind}.json", asdict(cost))
