"""What a sweep runs on: the `cluster` group. The launcher reads the values from the config."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from critwin.errors import ParameterError

CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where the cells of `-m` are computed."""

    name: ClassVar[str]
    max_parallel: int | None = None
    cells_per_job: int | None = None
    shards: int = 1
    detach: bool = False

    def check(self) -> None:
        """Refuse what cannot be reached from here; asked before a sweep is submitted.

        Raises:
            ParameterError: The cluster is not there.
        """

    def at_once(self) -> int:
        """Give how many jobs may run at the same time."""
        return self.max_parallel or 1

    def _check_at_least(self, least: Mapping[str, int]) -> None:
        for name, low in {**least, "max_parallel": 1, "cells_per_job": 1, "shards": 1}.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise ParameterError(name, value, f"a whole number >= {low}")


@dataclass(frozen=True, kw_only=True)
class Local(Cluster):
    """Processes of this machine.

    Attributes:
        max_parallel: Jobs that run at the same time, >= 1; None for one per GPU, without GPUs one
            for two cores.
        cells_per_job: Cells of a job at most; None shares them out evenly.
        shards: Jobs that work on one run together, >= 1.
        detach: Whether to return when the jobs have started.
        timeout_min: A job is stopped after so many minutes, >= 1.
    """

    name: ClassVar[str] = "local"
    timeout_min: int = 10080

    def __post_init__(self) -> None:
        self._check_at_least({"timeout_min": 1})

    def at_once(self) -> int:
        """Give how many jobs may run at the same time."""
        return self.max_parallel or len(visible_gpus()) or max(1, (os.cpu_count() or 1) // 2)


@dataclass(frozen=True, kw_only=True)
class Debug(Cluster):
    """This process, one cell after the other."""

    name: ClassVar[str] = "debug"

    def __post_init__(self) -> None:
        given = {"max_parallel": None, "cells_per_job": None, "shards": 1, "detach": False}
        for key, only in given.items():
            if getattr(self, key) != only:
                allowed = f"{only} alone, because debug is this one process"
                raise ParameterError(key, getattr(self, key), allowed)


@dataclass(frozen=True, kw_only=True)
class Slurm(Cluster):
    """A SLURM cluster; None leaves the cluster's default.

    Attributes:
        max_parallel: Jobs that may run at the same time, >= 1.
        cells_per_job: Cells of a job at most, >= 1; None: as many as keep `max_parallel` jobs busy.
        shards: Jobs that work on one run together, >= 1.
        detach: Whether to return when the jobs are submitted.
        partition: Partition.
        account: Account.
        qos: Quality of service.
        constraint: Node features.
        timeout_min: Time limit of a job in minutes, >= 60: below, submitit 1.5.4 takes every
            preemption for a time-out.
        max_num_timeout: How often a job that met its limit is requeued, >= 0.
        signal_delay_s: Seconds between the warning and the limit, >= 1.
        cpus_per_task: CPUs of a job, >= 1.
        gpus_per_node: GPUs of a job.
        gres: Generic resources, in place of `gpus_per_node`.
        mem_gb: Memory of a job.
        setup: Shell lines that run before the job.
        additional_parameters: Other sbatch options by name.
    """

    name: ClassVar[str] = "slurm"
    max_parallel: int | None = 256
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    timeout_min: int = 240
    max_num_timeout: int = 20
    signal_delay_s: int = 120
    cpus_per_task: int = 4
    gpus_per_node: int | None = None
    gres: str | None = None
    mem_gb: int | None = None
    setup: list[str] | None = None
    additional_parameters: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_at_least(
            {"timeout_min": 60, "max_num_timeout": 0, "signal_delay_s": 1, "cpus_per_task": 1}
        )
        texts = {key: getattr(self, key) for key in ("partition", "account", "qos", "constraint")}
        texts |= {"gres": self.gres}
        for key, value in self.additional_parameters.items():
            if not re.fullmatch(r"[A-Za-z][\w-]*", str(key)):
                raise ParameterError("additional_parameters", key, "names of sbatch options")
            texts[f"additional_parameters.{key}"] = value
        for key, value in texts.items():
            # they stand in a script of the shell, in quotes; a line of their own would be a command
            if CONTROL.search(str(value)):
                raise ParameterError(key, value, "a text on one line")

    def check(self) -> None:
        """Refuse a machine from which nothing can be submitted."""
        if shutil.which("sbatch") is None:
            raise ParameterError(
                "cluster", "slurm", "local or debug here, because sbatch is not on the PATH"
            )


def visible_gpus() -> list[str]:
    """Name the GPUs that this process may use, without importing torch."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name for name in chosen.split(",") if name.strip()]
    found = [path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")]
    return sorted(found, key=int)
