"""Which jobs that were sent out are still there, waiting or running."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Iterable

import psutil

from critwin.lease import machine
from launch.sweep import Assignment, Submission

ASK_SECONDS = 30


def alive(submissions: Iterable[Submission]) -> dict[str, bool]:
    """Tell of each job whether it is still there.

    One of which nobody can tell (SLURM does not answer, a process of another machine) counts as
    there: that it is submitted again needs more than a doubt.

    Returns:
        By job id.
    """
    known = list(submissions)
    queued = _queued() if any(each.cluster == "slurm" for each in known) else set()
    there = {}
    for submission in known:
        for job in submission.jobs:
            if submission.cluster == "slurm":
                there[job.job] = queued is None or job.job in queued
            else:
                there[job.job] = _is_process(job)
    return there


def _is_process(job: Assignment) -> bool:
    if job.machine != machine():
        return True
    try:
        process = psutil.Process(int(job.job))
        same = abs(process.create_time() - job.began) <= 1.0
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _queued() -> set[str] | None:
    """Give the ids of this user's jobs that SLURM has, arrays one by one; None: it does not say."""
    try:
        shown = subprocess.run(
            ["squeue", "--noheader", "--array", "--user", getpass.getuser(), "--format=%i"],
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return set(shown.split())  # one that completes may be on its way to be requeued
