"""What submitit runs in a job: it starts the worker, and deals with signals and dead workers.

It loads no model, so it answers a signal at once, also while the worker is deep in a kernel.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from critwin.errors import CritwinError
from launch.queue import go_back
from launch.sweep import note_failure, read_cell
from launch.worker import ALL_WELL, MEMORY_FULL, SOME_FAILED, STOPPED, Order

log = logging.getLogger("submitit")

DEATHS = 3
"""A cell whose process was killed so often without a new part in between has failed."""

STOP_SECONDS = 20.0


class JobError(CritwinError):
    """A job did not do all it had to; SLURM shows it as failed."""


@dataclass
class Supervisor:
    """Works off an order.

    Attributes:
        order: Path of the order's file.
    """

    order: str

    def __call__(self) -> None:
        """Start workers until the order is done.

        Raises:
            JobError: A cell failed, or the worker was told to stop.
        """
        order = Order.read(Path(self.order))
        deaths: Counter[tuple[str, int]] = Counter()
        while True:
            code, cell = self._work()
            if code == ALL_WELL:
                return
            if code == SOME_FAILED:
                raise JobError("a cell failed; its log says why, above")
            if code == STOPPED:
                raise JobError(_stopped())
            if code == MEMORY_FULL:
                continue
            ending = f"signal {-code}" if code < 0 else f"exit code {code}"
            log.warning("the worker ended with %s at cell %s", ending, cell or "none yet")
            deaths[cell, _progress(order, cell)] += 1
            if deaths[cell, _progress(order, cell)] >= DEATHS:
                if not cell:
                    raise JobError(f"the worker ended with {ending} before its first cell")
                error = f"its process ended {DEATHS} times with {ending} and came no further"
                if code == -signal.SIGKILL:
                    error += "; out of memory? model.memory_gb makes batches smaller"
                note_failure(Path(order.sweep), cell, submission=order.submission, error=error)

    def checkpoint(self) -> Any:
        """Stop the worker and give what is to be run after the requeue: the same."""
        from submitit.helpers import DelayedSubmission

        self._stop()
        return DelayedSubmission(Supervisor(self.order))

    def _work(self) -> tuple[int, str]:
        """Let one worker work; give how it ended and the cell that it was at."""
        reader, writer = os.pipe()
        worker = subprocess.Popen(
            [sys.executable, "-u", "-m", "launch.worker", self.order, str(writer)],
            stdin=subprocess.PIPE,
            pass_fds=(writer,),
            preexec_fn=_become_worker,
        )
        os.close(writer)
        self._worker = worker
        before = signal.getsignal(signal.SIGTERM)

        def forward(number: int, frame: object) -> None:
            worker.terminate()
            if callable(before):
                before(number, frame)  # type: ignore[arg-type]

        signal.signal(signal.SIGTERM, forward)
        try:
            with os.fdopen(reader) as told:
                cell = ""
                for line in told:
                    cell = line.strip()
            return worker.wait(), cell
        finally:
            signal.signal(signal.SIGTERM, before)
            self._stop()

    def _stop(self) -> None:
        worker: subprocess.Popen[bytes] | None = getattr(self, "_worker", None)
        if worker is None:
            return
        if worker.poll() is None:
            worker.terminate()
            try:
                worker.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        if worker.stdin is not None:
            worker.stdin.close()


def _stopped() -> str:
    """Say what becomes of a job that was told to stop; a preempted one goes back to the queue."""
    if go_back():
        return "preempted; it is in the queue again and goes on from here"
    return "told to stop; the same sweep goes on from here"


def _become_worker() -> None:
    """Let the worker live through the signal that is meant for its supervisor, and die before it.

    Where memory is out, the kernel is to end the process that takes it: the other tells what was.
    """
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def _progress(order: Order, run_id: str) -> int:
    """Count what a run has written: a process that got further was not killed by the same thing."""
    if not run_id:
        return 0
    run = Path(read_cell(Path(order.sweep), run_id).directory)
    return sum(not path.name.startswith(".") for path in run.rglob("*.parquet"))
