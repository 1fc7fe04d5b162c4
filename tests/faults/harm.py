"""Harm of many kinds, done to a sweep at random, seeded times, and counted."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psutil

from tests.faults.sweeping import launch, processes, submissions, wait_until
from tests.faults.sweeping import states as states_of

CELLS_PER_ROUND = 8


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[bool]:
    """Put a small file system at a folder; False where that is not allowed here."""
    folder.mkdir()
    mounted = False
    if os.getuid() == 0:
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Torment:
    """Submits sweeps and does harm to them until there was enough of it.

    Attributes:
        done: How often each kind of harm was done.
        rounds: Sweeps of eight cells that were needed for so many faults.
        submissions: How often one was submitted, over all rounds.
    """

    def __init__(
        self,
        folder: Path,
        cells: tuple[str, ...],
        *,
        cluster: tuple[str, ...],
        seed: int,
        disk: bool,
        pauses: tuple[float, float] = (0.3, 2.5),
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder = folder
        self.cells = cells
        self.cluster = cluster
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.rounds = self.submissions = 0
        self.pauses = pauses
        self.tell = tell
        kinds = [self.kill_worker, self.kill_supervisor, self.terminate, self.kill_tracker]
        kinds += [self.truncate]
        if "cluster=slurm" in cluster:
            kinds += [self.requeue, self.warn, self.preempt]
        self.kinds: list[Callable[[], bool]] = kinds + ([self.fill_disk] if disk else [])

    @property
    def faults(self) -> int:
        """Give how much harm was done."""
        return self.done.total()

    def seeds(self, number: int) -> str:
        """Give the seeds of the cells of a round, from 0."""
        first = number * CELLS_PER_ROUND + 1
        return f"seed={','.join(map(str, range(first, first + CELLS_PER_ROUND)))}"

    def carry_out(self, faults: int) -> None:
        """Do so much harm, then let what is left come to its end."""
        for number in count():
            self._round(number, faults)
            if self.faults >= faults:
                break
        self.rounds = number + 1
        found = (submissions(self.folder, self._sweeps(i)) for i in range(self.rounds))
        self.submissions = sum(map(len, found))

    def _round(self, number: int, faults: int) -> None:
        self.number = number
        self._submit()
        while self._states() != {"done"}:
            if not {"running", "waiting"} & self._states():
                self._submit()
            if self.faults >= faults:
                wait_until(self._is_over, "the jobs have ended", seconds=3600)
                continue
            time.sleep(self.random.uniform(*self.pauses))
            self._strike()

    def _is_over(self) -> bool:
        return not {"running", "waiting"} & self._states()

    def _sweeps(self, number: int) -> str:
        return f"round-{number}"

    def _states(self) -> set[str]:
        return set(states_of(self.folder, self._sweeps(self.number)))

    def _submit(self) -> None:
        where = (f"multirun={self._sweeps(self.number)}", "cluster.detach=true", "-m")
        cells = (*self.cells, self.seeds(self.number), *self.cluster, *where)
        done = launch(self.folder, *cells, check=False)
        assert done.returncode in (0, 1), done.stderr

    def _strike(self) -> None:
        """Do one kind of harm, if there is something to do it to."""
        kind = self.random.choice(self.kinds)
        # most of them while a run is being computed, some while processes start or end
        if "running" not in self._states() and self.random.random() < 0.8:
            return
        if kind():
            self.done[kind.__name__] += 1
            states = states_of(self.folder, self._sweeps(self.number))
            self.tell(f"fault {self.faults} {kind.__name__}: {' '.join(states)}")

    def victim(self, module: str) -> psutil.Process | None:
        """Choose a process of the sweep that runs a module."""
        there = processes(self.folder, module)
        return self.random.choice(there) if there else None

    def kill_worker(self) -> bool:
        """Kill a worker, as the kernel does when memory is out."""
        return self._signal("launch.worker", "kill")

    def terminate(self) -> bool:
        """Ask a worker to end."""
        return self._signal("launch.worker", "terminate")

    def kill_supervisor(self) -> bool:
        """Kill what started a worker."""
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

    def requeue(self) -> bool:
        """Put a job back into the queue."""
        return self._slurm("scontrol", "requeue")

    def warn(self) -> bool:
        """Send a job the signal that comes before a limit."""
        return self._slurm("scancel", "--signal=USR2")

    def preempt(self) -> bool:
        """Let a job of higher priority take the whole node."""
        return bool(self._running()) and preempt(seconds=1)

    def _slurm(self, *command: str) -> bool:
        running = self._running()
        if not running:
            return False
        done = subprocess.run([*command, self.random.choice(running)], capture_output=True)
        return done.returncode == 0

    def _running(self) -> list[str]:
        shown = subprocess.run(
            ["squeue", "--noheader", "--array", "--states=R", "--format=%i"],
            capture_output=True,
            text=True,
        ).stdout.split()
        sent = submissions(self.folder, self._sweeps(self.number))
        return sorted({job["job"] for each in sent for job in each["jobs"]} & set(shown))


def preempt(*, seconds: int) -> bool:
    """Let a job of higher priority take the node of .ci/slurm for so long; False where it cannot.

    SLURM puts the jobs that it takes the node from back into its queue.
    """
    command = ["sbatch", "--partition=urgent", "--output=/dev/null", f"--wrap=sleep {seconds}"]
    return subprocess.run(command, capture_output=True).returncode == 0
