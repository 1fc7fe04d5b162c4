"""submitit's executors, with what they need here: a checked start, arrays that are not too long."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psutil
from submitit import LocalExecutor, SlurmExecutor
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.helpers import clean_env

from critwin.errors import CritwinError
from critwin.lease import machine
from launch.entry import make_private
from launch.packing import split_arrays
from launch.supervisor import Supervisor
from launch.sweep import Assignment

MAX_ARRAY_SIZE = 1001
"""SLURM's default, for where it cannot be asked."""


class SubmissionError(CritwinError):
    """SLURM does not take a job."""


class _Local(LocalExecutor):
    @property
    def _submitit_command_str(self) -> str:
        return _command(self.python, self.folder)


class _Slurm(SlurmExecutor):
    @property
    def _submitit_command_str(self) -> str:
        return _command(self.python, self.folder)


def _command(python: str, folder: Path) -> str:
    return f"{python} -u -m launch.entry {shlex.quote(str(folder))}"


def start_local(
    orders: Sequence[Path],
    cells: Sequence[Sequence[str]],
    *,
    logs: Path,
    timeout_min: int,
    detach: bool,
) -> tuple[list[Assignment], list[Any]]:
    """Start jobs as processes of this machine.

    Args:
        orders: The order of each job.
        cells: The run ids of each job.
        logs: Folder of submitit's files.
        timeout_min: A job is stopped after so many minutes.
        detach: Whether they outlive the terminal.

    Returns:
        The jobs, and submitit's own handles on them.
    """
    make_private(logs)
    executor = _Local(folder=logs / "%j", max_num_timeout=0)
    executor.update_parameters(timeout_min=timeout_min, signal_delay_s=30)
    sent, handles = [], []
    with _private_files(), _detached() if detach else nullcontext():
        for order, own in zip(orders, cells, strict=True):
            job = executor.submit(Supervisor(str(order)))
            began = psutil.Process(int(job.job_id)).create_time()
            sent.append(Assignment(str(job.job_id), tuple(own), machine(), began))
            handles.append(job)
    return sent, handles


def submit_slurm(
    orders: Sequence[Path],
    cells: Sequence[Sequence[str]],
    *,
    logs: Path,
    parameters: Mapping[str, Any],
) -> Iterator[list[Assignment]]:
    """Submit jobs to SLURM as arrays.

    Args:
        orders: The order of each job.
        cells: The run ids of each job.
        logs: Folder of submitit's files.
        parameters: As hydra-submitit-launcher names them.

    Yields:
        The jobs of each array, as soon as SLURM has it.

    Raises:
        SubmissionError: SLURM does not take an array; those before it are submitted.
    """
    make_private(logs)
    values = {key: value for key, value in parameters.items() if value is not None}
    executor = _Slurm(folder=logs / "%j", max_num_timeout=values.pop("max_num_timeout"))
    arrays = split_arrays(len(orders), max_array_size())
    parallel = max(1, values.pop("array_parallelism") // max(1, len(arrays)))
    # since 22.05 srun does not take over what sbatch was asked for
    setup = [*values.pop("setup", []), "export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK"]
    values = executor._convert_parameters(values)
    try:
        executor.update_parameters(**values, setup=setup, array_parallelism=parallel)
        for array in arrays:
            with _private_files(), clean_env():
                jobs = executor.submit_array([Supervisor(str(orders[i])) for i in array])
            yield [
                Assignment(str(job.job_id), tuple(cells[i]))
                for i, job in zip(array, jobs, strict=True)
            ]
    except ValueError as error:
        raise SubmissionError(f"hydra.launcher: {str(error).splitlines()[0]}") from None
    except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError) as error:
        lines = [line for line in str(error).splitlines() if "error" in line.lower()]
        raise SubmissionError(f"sbatch refuses: {(lines or [str(error)])[-1].strip()}") from None


def max_array_size() -> int:
    """Ask SLURM how long an array may be; its largest index is one less."""
    try:
        shown = subprocess.run(
            ["scontrol", "show", "config"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return MAX_ARRAY_SIZE
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", shown, re.MULTILINE)
    return max(1, int(found[1])) if found else MAX_ARRAY_SIZE


@contextmanager
def _detached() -> Iterator[None]:
    """Start processes that no terminal ends, and that keep open nothing that is read from here.

    Whoever waits for the end of our output (ssh, a pipe) would else wait for theirs.
    """
    ignored = (signal.SIGHUP, signal.SIGINT)
    handlers = [signal.signal(number, signal.SIG_IGN) for number in ignored]
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = [os.dup(number) for number in range(3)]
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        for number in range(3):
            os.dup2(nothing, number)
        yield
    finally:
        for number, copy in enumerate(kept):
            os.dup2(copy, number)
            os.close(copy)
        os.close(nothing)
        for number, handler in zip(ignored, handlers, strict=True):
            signal.signal(number, handler)


@contextmanager
def _private_files() -> Iterator[None]:
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
