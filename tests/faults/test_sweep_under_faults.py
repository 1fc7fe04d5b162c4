"""A sweep of eight cells under faults at random, seeded times equals a quiet one, byte for byte.

Short by default; `CRITWIN_FAULTS=60` asks for so many faults (docs/sweeps.md has what that gave),
`CRITWIN_FAULTS_SEED` for other times. On SLURM where one answers, else on this machine.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.faults.sweeping import (
    MARKOV,
    launch,
    processes,
    records,
    states,
    status,
    submissions,
    sweep_folder,
    wait_until,
)

pytestmark = pytest.mark.faults

FAULTS = int(os.environ.get("CRITWIN_FAULTS", "12"))
SEED = int(os.environ.get("CRITWIN_FAULTS_SEED", "1"))
CELLS = (*MARKOV, "dataset.n_problems=40", "sampler.n=100", "seed=1,2,3,4,5,6,7,8")
EMBEDDED = (
    "+exp=llm_math",
    "sampler=fractions",
    "sampler.n=6",
    "originals_per_problem=2",
    "dataset.n_problems=24",
    "sampler.temperature=0.6,0.8,1.0,1.2",
)
QUIET = ("outputs=quiet", "multirun=still", "cluster=debug", "tracker=none", "-m")
DISK_MB = 48


def has_slurm() -> bool:
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(["sinfo"], capture_output=True, timeout=20).returncode == 0
    return False


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Put a small file system at a folder; False where that is not allowed here."""
    folder.mkdir()
    mounted = False
    if os.getuid() == 0:
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Faults:
    """Does harm to a sweep, and counts it."""

    def __init__(self, folder: Path, *, slurm: bool, disk: bool) -> None:
        self.folder = folder
        self.random = random.Random(SEED)
        self.done: Counter[str] = Counter()
        kinds = [self.kill_worker, self.terminate, self.kill_tracker, self.truncate]
        kinds += [self.requeue, self.warn] if slurm else [self.kill_supervisor]
        kinds += [self.fill_disk] if disk else []
        self.kinds = kinds

    def strike(self) -> None:
        """Do one kind of harm, if there is something to do it to."""
        kind = self.random.choice(self.kinds)
        # most of them while a run is being computed, some while processes start or end
        if "running" not in states(self.folder) and self.random.random() < 0.8:
            return
        if kind():
            self.done[kind.__name__] += 1

    def victim(self, module: str) -> psutil.Process | None:
        there = processes(self.folder, module)
        return self.random.choice(there) if there else None

    def kill_worker(self) -> bool:
        return self._signal("launch.worker", "kill")

    def terminate(self) -> bool:
        return self._signal("launch.worker", "terminate")

    def kill_supervisor(self) -> bool:
        return self._signal("launch.entry", "kill")

    def _signal(self, module: str, how: str) -> bool:
        victim = self.victim(module)
        with suppress(psutil.Error):
            if victim is not None:
                getattr(victim, how)()
                return True
        return False

    def kill_tracker(self) -> bool:
        """Kill the W&B service of a worker."""
        worker = self.victim("launch.worker")
        with suppress(psutil.Error):
            for child in worker.children(recursive=True) if worker else []:
                if "wandb" in child.name() or "gpu_stats" in child.name():
                    child.kill()
                    return True
        return False

    def truncate(self) -> bool:
        """Kill a worker and cut off the end of the newest part, as a crash of the machine may."""
        victim = self.victim("launch.worker")
        if victim is None:
            return False
        with suppress(psutil.Error):
            victim.kill()
            victim.wait(10)
        found = list(self.folder.glob("outputs/llm_math/*/.parts/*.parquet"))
        with suppress(OSError, ValueError):
            newest = max(found, key=lambda path: path.stat().st_mtime)
            with newest.open("r+b") as file:
                file.truncate(newest.stat().st_size // 2)
        return True

    def requeue(self) -> bool:
        return self._slurm("scontrol", "requeue")

    def warn(self) -> bool:
        return self._slurm("scancel", "--signal=USR2")

    def _slurm(self, *command: str) -> bool:
        shown = subprocess.run(
            ["squeue", "--noheader", "--array", "--states=R", "--format=%i"],
            capture_output=True,
            text=True,
        ).stdout.split()
        own = {job["job"] for each in submissions(self.folder) for job in each["jobs"]}
        running = sorted(own & set(shown))
        if not running:
            return False
        done = subprocess.run([*command, self.random.choice(running)], capture_output=True)
        return done.returncode == 0

    def fill_disk(self) -> bool:
        """Leave no room for two seconds."""
        filler = self.folder / "outputs" / "filler"
        with suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(b"\0" * 65536)
                file.flush()
        time.sleep(2)
        filler.unlink()
        return True


def submit(folder: Path, cells: tuple[str, ...], *, slurm: bool) -> None:
    cluster = (
        ("cluster=slurm", "cluster.cpus_per_task=1", "cluster.max_parallel=3")
        if slurm
        else ("cluster=local", "cluster.max_parallel=2")
    )
    done = launch(folder, *cells, *cluster, "cluster.detach=true", "-m", check=False)
    assert done.returncode in (0, 1), done.stderr


def at_work(folder: Path, *, slurm: bool) -> bool:
    return "running" in (there := states(folder)) or "waiting" in there


def torment(folder: Path, cells: tuple[str, ...], faults: Faults, *, slurm: bool) -> int:
    """Submit, do harm, submit again where all has stopped; give how often it was submitted."""
    submit(folder, cells, slurm=slurm)
    while sum(faults.done.values()) < FAULTS:
        time.sleep(faults.random.uniform(0.5, 3.0))
        faults.strike()
        if not at_work(folder, slurm=slurm):
            if set(states(folder)) == {"done"}:
                break
            submit(folder, cells, slurm=slurm)
    for _ in range(20):
        wait_until(lambda: not at_work(folder, slurm=slurm), "the jobs have ended", seconds=900)
        if set(states(folder)) == {"done"}:
            break
        submit(folder, cells, slurm=slurm)
    return len(submissions(folder))


def keys_of(outputs: Path) -> list[tuple]:
    columns = ["original_id", "kind", "position", "replicate", "seed"]
    found = []
    for path in sorted(outputs.rglob("resamples.parquet")):
        rows = pq.read_table(path, columns=columns).to_pylist()
        found += [(path.parent.name, *row.values()) for row in rows]
    return found


def test_records_are_those_of_a_quiet_sweep(tmp_path: Path, capsys) -> None:
    slurm = has_slurm()
    if os.environ.get("CRITWIN_CI"):
        assert slurm, "CI promises a SLURM"
    with small_disk(tmp_path / "outputs") as disk:
        faults = Faults(tmp_path, slurm=slurm, disk=disk)
        times = torment(tmp_path, CELLS, faults, slurm=slurm)
        shown = status(tmp_path)
        assert shown.returncode == 0, shown.stdout
        launch(
            tmp_path,
            *CELLS,
            "outputs=quiet",
            "multirun=still",
            "cluster=debug",
            "tracker=none",
            "-m",
        )
        with capsys.disabled():
            sys.stdout.write(
                f"\n{sum(faults.done.values())} faults {dict(faults.done)}, {times} submissions"
                + "\n"
            )
        assert len(states(tmp_path)) == 8
        assert sum(faults.done.values()) >= FAULTS, "the sweep was over before the faults were"
        keys = keys_of(tmp_path / "outputs")
        assert len(keys) == len(set(keys)), "no row twice"
        assert set(keys) == set(keys_of(tmp_path / "quiet")), "none missing"
        assert records(tmp_path / "outputs") == records(tmp_path / "quiet")
        assert not list((tmp_path / "outputs").rglob(".parts"))
    assert sweep_folder(tmp_path).exists()


@pytest.mark.skipif(
    "CRITWIN_FAULTS" not in os.environ, reason="long: CRITWIN_FAULTS=60 asks for it"
)
@pytest.mark.parametrize("deterministic", [True, False])
def test_the_embedded_model_under_faults(tmp_path: Path, deterministic: bool, capsys) -> None:
    slurm = has_slurm()
    cells = (*EMBEDDED, f"model.deterministic={str(deterministic).lower()}", "seed=1,2")
    faults = Faults(tmp_path, slurm=slurm, disk=False)
    times = torment(tmp_path, cells, faults, slurm=slurm)
    assert status(tmp_path).returncode == 0
    launch(
        tmp_path, *cells, "outputs=quiet", "multirun=still", "cluster=debug", "tracker=none", "-m"
    )
    one, other = keys_of(tmp_path / "outputs"), keys_of(tmp_path / "quiet")
    assert len(one) == len(set(one))
    assert set(one) == set(other)
    flips = count_flips(tmp_path / "outputs", tmp_path / "quiet")
    with capsys.disabled():
        sys.stdout.write(
            f"\n{dict(faults.done)}, {times} submissions, {flips} of {len(one)} resamples differ"
            + "\n"
        )
    if deterministic:
        assert records(tmp_path / "outputs") == records(tmp_path / "quiet")


def count_flips(one: Path, other: Path) -> int:
    """Count resamples with the same seed and another text."""
    differ = 0
    for path in sorted(one.rglob("resamples.parquet")):
        texts = [
            pq.read_table(where, columns=["text"])["text"].to_pylist()
            for where in (path, other / path.relative_to(one))
        ]
        differ += sum(a != b for a, b in zip(*texts, strict=True))
    return differ
