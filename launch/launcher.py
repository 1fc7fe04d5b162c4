"""The launcher of `-m`: a Hydra plugin on submitit's executors.

hydra-submitit-launcher waits for every job and reads pickles of their results, so that one killed
job hides all others, a failed one looks complete to SLURM, and nothing can be submitted and left
alone. Here results are files: jobs are sent out, and what became of them is read from the runs.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, configure_log
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from critwin.errors import CritwinError
from critwin.lease import machine
from launch.build import component
from launch.clusters import Cluster, Local, Slurm, visible_gpus
from launch.planning import jobs_for, missing
from launch.queue import alive
from launch.standing import stand
from launch.sweep import (
    Assignment,
    Cell,
    Submission,
    Sweep,
    open_submission,
    read_sweep,
    write_json,
    write_submission,
)
from launch.worker import Order, Worker

log = logging.getLogger(__name__)

LOOK_SECONDS = {"local": 1.0, "slurm": 10.0}
"""Between two looks at the jobs; each is one question to SLURM, however many there are."""
TELL_SECONDS = 30.0


class SweepLauncher(Launcher):
    """Submits what is missing of a sweep, and waits for it unless the cluster says `detach`.

    Hydra takes launchers from packages called hydra_plugins alone, and imports all of those at
    every start: `register` puts this one among them by name.
    """

    def __init__(self, **parameters: Any) -> None:
        self._parameters = parameters
        self._config: DictConfig | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take the config of the command line."""
        self._config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Send out the jobs; results are files, so nothing is returned."""
        assert self._config is not None
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        node = OmegaConf.to_container(self._config.cluster, resolve=True)
        cluster: Cluster = component(node, "cluster", Cluster)
        sweep = read_sweep(Path(str(self._config.hydra.sweep.dir)))
        parameters = {key: plain(value) for key, value in self._parameters.items()}
        try:
            submit(sweep, cluster, parameters)
        except CritwinError as error:
            raise CompactHydraException(f"critwin: {error}") from None  # shown without a traceback
        return []


PACKAGE, NAME = "hydra_plugins", "critwin"
SweepLauncher.__module__ = f"{PACKAGE}.{NAME}"


def register() -> None:
    """Make the launcher known to Hydra, which looks it up by the name of its module."""
    Plugins.instance().register(SweepLauncher)
    package = sys.modules.setdefault(PACKAGE, ModuleType(PACKAGE))
    sys.modules[SweepLauncher.__module__] = sys.modules[__name__]
    setattr(package, NAME, sys.modules[__name__])


def plain(value: object) -> object:
    """Turn a node of a config into a plain value."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def submit(sweep: Sweep, cluster: Cluster, parameters: dict[str, Any]) -> None:
    """Submit the missing cells of a sweep, and wait unless the cluster says `detach`."""
    cells, standings = missing(sweep)
    kept = len(sweep.cells) - len(cells)
    if kept:
        log.info("%d of %d cells are done or being computed", kept, len(standings))
    if not cells:
        return
    jobs = jobs_for(cells, cluster)
    submission = open_submission(sweep.folder, cluster.name)
    orders = [
        _write_order(sweep, submission, number, job, cluster) for number, job in enumerate(jobs)
    ]
    log.info("%d cells in %d jobs on %s", len(cells), len(jobs), cluster.name)
    ids = [[cell.run_id for cell in job] for job in jobs]
    logs = sweep.folder.resolve() / "logs"
    handles: list[Any] = []
    from launch.executors import start_local, submit_slurm  # submitit, where it is needed

    if isinstance(cluster, Slurm):
        for sent in submit_slurm(orders, ids, logs=logs, parameters=parameters):
            submission = replace(submission, jobs=(*submission.jobs, *sent))
            write_submission(sweep.folder, submission)
    elif isinstance(cluster, Local):
        started, handles = start_local(
            orders, ids, logs=logs, timeout_min=parameters["timeout_min"], detach=cluster.detach
        )
        submission = replace(submission, jobs=tuple(started))
        write_submission(sweep.folder, submission)
    else:
        _work_here(sweep, submission, orders[0])
        return
    log.info("jobs: %s", " ".join(job.job for job in submission.jobs))
    if not cluster.detach:
        _wait(sweep, submission, handles)


def _write_order(
    sweep: Sweep, submission: Submission, number: int, cells: Sequence[Cell], cluster: Cluster
) -> Path:
    environment = _local_environment(number, cluster) if isinstance(cluster, Local) else None
    path = sweep.folder.resolve() / "submissions" / submission.name / f"order-{number:04d}.json"
    order = {
        "sweep": str(sweep.folder.resolve()),
        "submission": submission.name,
        "facts": dict(submission.facts),
        "cells": [cell.run_id for cell in cells],
        "shards": cluster.shards,
        "environment": environment,
        "umask": _umask(),
    }
    write_json(path, order)
    return path


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _local_environment(number: int, cluster: Local) -> dict[str, str | None]:
    """Share out GPUs and cores; submitit's local executor would hide every GPU."""
    gpus = visible_gpus()
    values: dict[str, str | None] = {
        "CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]
        if gpus
        else os.environ.get("CUDA_VISIBLE_DEVICES")
    }
    if "OMP_NUM_THREADS" not in os.environ:
        values["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // cluster.at_once()))
    return values


def _work_here(sweep: Sweep, submission: Submission, order: Path) -> None:
    task = Order.read(order)
    began = psutil.Process().create_time()
    own = Assignment(str(os.getpid()), tuple(task.cells), machine(), began)
    write_submission(sweep.folder, replace(submission, jobs=(own,)))
    Worker(task).work()


def _wait(sweep: Sweep, submission: Submission, handles: Sequence[Any]) -> None:
    """Wait until no job is left; an interrupt leaves those of SLURM where they are."""
    told = time.monotonic()
    try:
        while any(alive([submission]).values()):
            for handle in handles:
                handle.done()  # reaps its process
            time.sleep(LOOK_SECONDS[submission.cluster])
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                _tell(sweep)
    except KeyboardInterrupt:
        if submission.cluster == "slurm":
            jobs = {job.job.partition("_")[0] for job in submission.jobs}
            log.warning("the jobs go on; to end them: scancel %s", " ".join(sorted(jobs)))
        raise


def _tell(sweep: Sweep) -> None:
    states = [each.state for each in stand(sweep)]
    log.info(", ".join(f"{states.count(name)} {name}" for name in dict.fromkeys(states)))
