"""Which jobs that were sent out are still there, and whether SLURM takes this one's place away."""

from __future__ import annotations

import getpass
import os
import re
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


def go_back() -> bool:
    """Put this job back into SLURM's queue, where it is told to end because it is preempted.

    Where preemption leaves a time of grace, the steps of a job are told to end by the signal that
    `scancel` sends, too, and SLURM takes those that do so in time for ended.

    Returns:
        Whether it is in the queue again.
    """
    job = os.environ.get("SLURM_JOB_ID", "")
    # a local sweep inside a job of SLURM's is not that job
    if os.environ.get("SUBMITIT_EXECUTOR") != "slurm" or not _is_preempted(job):
        return False
    return _answer("scontrol", "requeue", job) is not None


def _is_preempted(job: str) -> bool:
    found = re.search(r"\bPreemptTime=(\S+)", _answer("scontrol", "show", "job", job) or "")
    return found is not None and found[1] != "None"


def _queued() -> set[str] | None:
    """Give the ids of this user's jobs that SLURM has, arrays one by one; None: it does not say."""
    ids = ("squeue", "--noheader", "--array", "--user", getpass.getuser(), "--format=%i")
    shown = _answer(*ids)
    # one that completes may be on its way to be requeued
    return None if shown is None else set(shown.split())


def _answer(*command: str) -> str | None:
    """Ask SLURM; None where it does not answer."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=ASK_SECONDS, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
