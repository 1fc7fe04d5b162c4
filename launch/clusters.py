"""What a sweep runs on: the `cluster` group. Hydra's launchers read the values from the config."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field

from critwin.errors import ParameterError


class Cluster:
    """Where the cells of `-m` are computed."""

    def check(self) -> None:
        """Refuse what cannot be reached from here; asked before a sweep is submitted.

        Raises:
            ParameterError: The cluster is not there.
        """


@dataclass(frozen=True, kw_only=True)
class Local(Cluster):
    """Processes of this machine.

    Attributes:
        timeout_min: A cell is stopped after so many minutes, >= 1.
    """

    timeout_min: int = 10080

    def __post_init__(self) -> None:
        if self.timeout_min < 1:
            raise ParameterError("timeout_min", self.timeout_min, "a whole number >= 1")


@dataclass(frozen=True, kw_only=True)
class Debug(Cluster):
    """This process, one cell after the other."""


@dataclass(frozen=True, kw_only=True)
class Slurm(Cluster):
    """A SLURM cluster; None leaves the cluster's default.

    Attributes:
        partition: Partition.
        account: Account.
        qos: Quality of service.
        constraint: Node features.
        timeout_min: Time limit of a cell in minutes, >= 60: below, submitit 1.5.4 takes every
            preemption for a time-out.
        max_num_timeout: How often a cell that met its limit is requeued, >= 0.
        signal_delay_s: Seconds between the warning and the limit, >= 1.
        cpus_per_task: CPUs of a cell, >= 1.
        gpus_per_node: GPUs of a cell.
        gres: Generic resources, in place of `gpus_per_node`.
        mem_gb: Memory of a cell.
        array_parallelism: Cells that may run at the same time, >= 1.
        setup: Shell lines that run before the job.
        additional_parameters: Other sbatch options by name.
    """

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
    array_parallelism: int = 256
    setup: list[str] | None = None
    additional_parameters: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        least = {
            "timeout_min": 60,
            "max_num_timeout": 0,
            "signal_delay_s": 1,
            "cpus_per_task": 1,
            "array_parallelism": 1,
        }
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ParameterError(name, getattr(self, name), f"a whole number >= {low}")

    def check(self) -> None:
        """Refuse a machine from which nothing can be submitted."""
        if shutil.which("sbatch") is None:
            raise ParameterError(
                "cluster", "slurm", "local or debug here, because sbatch is not on the PATH"
            )
