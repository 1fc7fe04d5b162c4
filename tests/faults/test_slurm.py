"""Sweeps on a real SLURM, and what its faults do to them."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.harm import preempt
from tests.faults.sweeping import (
    MARKOV,
    launch,
    parts,
    processes,
    records,
    states,
    status,
    submissions,
    sweep_folder,
    wait_until,
)

pytestmark = [
    pytest.mark.faults,
    pytest.mark.usefixtures("slurm"),
    pytest.mark.xdist_group("slurm"),
]

SLURM = ("cluster=slurm", "cluster.cpus_per_task=1", "cluster.detach=true", "tracker=none", "-m")
TINY = (*MARKOV, "dataset.n_problems=2", "sampler.n=2", *SLURM)
LONG = (*MARKOV, "dataset.n_problems=200", "sampler.n=60", "seed=1")


def ask(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def job_facts(job: str) -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S*)", ask("scontrol", "show", "job", job)))


def jobs_of(folder: Path) -> list[str]:
    return [job["job"] for each in submissions(folder) for job in each["jobs"]]


def queued(folder: Path) -> set[str]:
    there = set(ask("squeue", "--noheader", "--array", "--format=%i").split())
    return there & set(jobs_of(folder))


def test_a_failed_cell_is_failed_everywhere_and_alone(tmp_path: Path) -> None:
    swept = (*TINY, "seed=1,2")
    launch(tmp_path, *swept, "outputs=plan", "dry_run=true")
    launch(tmp_path, *MARKOV, "dataset.n_problems=2", "sampler.n=2", "seed=2", "dry_run=true")
    assert not list(tmp_path.iterdir()), "a dry run writes nothing"
    planned = launch(tmp_path, *swept, "dry_run=true").stdout
    ids = re.findall(r"waiting +\S*/([0-9a-f]{16})", planned)
    assert len(ids) == 2
    assert "2 would go out in 2 jobs on slurm" in planned
    blocked = tmp_path / "outputs" / "llm_math" / ids[0]
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    launch(tmp_path, *swept)
    wait_until(lambda: not queued(tmp_path), "the queue is empty")
    shown = status(tmp_path)
    assert shown.returncode == 1
    assert re.search(rf"failed +\S*{ids[0]}", shown.stdout)
    assert "cannot be written" in shown.stdout
    assert re.search(rf"done +\S*{ids[1]}", shown.stdout)
    found = [job_facts(job)["JobState"] for job in jobs_of(tmp_path)]
    assert found == ["FAILED", "COMPLETED"]
    blocked.unlink()
    launch(tmp_path, *swept)
    _, second = submissions(tmp_path)
    assert [job["cells"] for job in second["jobs"]] == [[ids[0]]], "what is missing, nothing else"
    wait_until(lambda: not queued(tmp_path), "the queue is empty")
    assert status(tmp_path).returncode == 0


def test_long_arrays_are_split_and_what_waits_is_not_submitted_again(tmp_path: Path) -> None:
    longest = int(re.search(r"MaxArraySize\s*=\s*(\d+)", ask("scontrol", "show", "config"))[1])
    if longest > 50:
        pytest.skip(f"MaxArraySize is {longest} here: too many jobs for a test")
    seeds = ",".join(map(str, range(longest + 1)))
    later = "+cluster.additional_parameters.begin='now+1hour'"
    swept = (*TINY, f"seed={seeds}", later)
    shown = launch(tmp_path, *swept)
    jobs = jobs_of(tmp_path)
    assert len(jobs) == longest + 1
    assert len({job.partition("_")[0] for job in jobs}) == 2
    assert set(states(tmp_path)) == {"waiting"}
    assert "where it stands: " in shown.stdout
    launch(tmp_path, *swept)
    assert len(submissions(tmp_path)) == 1
    ask("scancel", *{job.partition("_")[0] for job in jobs})
    wait_until(lambda: set(states(tmp_path)) == {"lost"}, "cancelled jobs are gone")
    assert status(tmp_path).returncode == 1


def test_every_fault_of_the_cluster_in_turn(tmp_path: Path) -> None:
    """One job is requeued, warned, preempted and killed, and loses its node: nothing else is."""
    launch(tmp_path, *LONG, *SLURM)
    (job,) = jobs_of(tmp_path)

    def works() -> None:
        """Wait until a part more stands, made by a process that is there."""
        wait_until(lambda: processes(tmp_path, "launch.worker"), "a worker")
        before = parts(tmp_path)
        wait_until(lambda: parts(tmp_path) > before, f"part {before + 1}")

    def restarts() -> int:
        return int(job_facts(job)["Restarts"])

    def starts_again_after(fault: Callable[[], object]) -> None:
        """Wait until SLURM has put it back into its queue, has started it again, and it works."""
        before = restarts()
        fault()
        wait_until(lambda: restarts() > before, "it is requeued")
        wait_until(lambda: job_facts(job)["JobState"] == "RUNNING", "it runs again")
        works()

    def urgent_job() -> None:
        assert preempt(seconds=1)

    works()
    starts_again_after(lambda: ask("scontrol", "requeue", job))
    starts_again_after(lambda: ask("scancel", "--signal=USR2", job))  # what comes before the limit
    starts_again_after(urgent_job)  # at once: ended, and put back into the queue
    with grace_of(60):  # told to end a minute before: what ends in time, SLURM takes for ended
        starts_again_after(urgent_job)
    (worker,) = processes(tmp_path, "launch.worker")
    (supervisor, *_) = worker.parents()
    worker.kill()
    worker.wait(30)
    works()
    assert supervisor.is_running(), "it started another worker"
    _stop_slurmd_for_a_while()
    wait_until(lambda: not queued(tmp_path), "the queue is empty")
    if states(tmp_path) != ["done"]:  # SLURM may have given the job up with its node
        launch(tmp_path, *LONG, *SLURM)
        wait_until(lambda: not queued(tmp_path), "the queue is empty")
    assert status(tmp_path).returncode == 0
    launch(tmp_path, *LONG, "outputs=quiet", "tracker=none")
    assert records(tmp_path / "outputs") == records(tmp_path / "quiet")


@contextmanager
def grace_of(seconds: int) -> Iterator[None]:
    """Let jobs that are preempted have so long to end by themselves."""
    update = ("scontrol", "update", "PartitionName=test")
    ask(*update, f"GraceTime={seconds}")
    try:
        yield
    finally:
        ask(*update, "GraceTime=0")


def _stop_slurmd_for_a_while() -> None:
    daemon = Path("/run/slurmd.pid").read_text().strip()
    ask("kill", "-9", daemon)
    wait_until(
        lambda: "down" in ask("sinfo", "--noheader", "--format=%T"), "the node is down", seconds=120
    )
    ask("slurmd")
    wait_until(
        lambda: re.search("idle|mixed|alloc", ask("sinfo", "--noheader", "--format=%T")),
        "the node is back",
        seconds=120,
    )
    time.sleep(1)


def test_a_cancelled_job_is_lost_and_goes_on_when_submitted_again(tmp_path: Path) -> None:
    launch(tmp_path, *LONG, *SLURM)
    wait_until(lambda: parts(tmp_path) >= 2, "it works")
    before = parts(tmp_path)
    ask("scancel", *jobs_of(tmp_path))
    wait_until(lambda: states(tmp_path) == ["lost"], "nobody is at it")
    assert parts(tmp_path) >= before, "what was computed is kept"
    assert sweep_folder(tmp_path).joinpath("logs").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif("CRITWIN_FAULTS" not in os.environ, reason="long: CRITWIN_FAULTS=60 asks")
def test_a_real_time_limit(tmp_path: Path) -> None:
    """SLURM allows limits of whole minutes, and warns up to a minute too early."""
    cell = (*MARKOV, "dataset.n_problems=800", "sampler.n=100", "seed=1", *SLURM)
    launch(tmp_path, *cell, "+cluster.additional_parameters.time=2", "cluster.signal_delay_s=30")
    (job,) = jobs_of(tmp_path)
    wait_until(lambda: parts(tmp_path) >= 1, "it works")
    assert job_facts(job)["TimeLimit"] == "00:02:00"
    wait_until(lambda: job_facts(job)["Restarts"] == "1", "the limit, and a requeue")
    before = parts(tmp_path)
    wait_until(lambda: parts(tmp_path) > before, "it goes on")
    ask("scancel", job)
    log = "".join(path.read_text() for path in tmp_path.glob("multirun/*/*/logs/*/*_log.err"))
    assert "Caught signal SIGUSR2" in log
