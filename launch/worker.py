"""The process that computes the cells of a job, one after the other: `python -m launch.worker`.

It reads JSON and YAML, no pickle. Its supervisor waits for it, tells it to stop and starts it again
when it was killed.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from critwin.errors import CritwinError
from critwin.identity import identity
from critwin.lease import LeaseTaken
from critwin.provenance import code_hash
from critwin.records import RunDirectory
from experiments.experiment import help_out
from launch.build import Job, build_values
from launch.run import Terminated, start
from launch.sweep import (
    Cell,
    forget_failure,
    note_failure,
    read_cell,
    read_failure,
    read_json,
)

log = logging.getLogger("launch.worker")  # also where this module is __main__

ALL_WELL, SOME_FAILED, MEMORY_FULL, STOPPED = 0, 1, 75, 143
"""Exit codes of a worker; after MEMORY_FULL another process goes on with what is left."""

LOOK_SECONDS = 2.0
GIVE_UP_SECONDS = 30.0
"""A worker that was told to stop and is still in a long call is ended after so long."""


class ChangedError(CritwinError):
    """What a run stands on is not what it was when the sweep was submitted."""


@dataclass(frozen=True)
class Order:
    """What a job has to do.

    Attributes:
        sweep: Folder of the sweep.
        submission: Name of the submission.
        facts: Commit and hash of the code at submission.
        cells: Run ids, in order.
        shards: Jobs that work on each of them together.
        environment: Variables to set; null ones are removed.
        umask: Of the user who submitted, for run directories.
    """

    sweep: str
    submission: str
    facts: dict[str, Any]
    cells: list[str]
    shards: int = 1
    environment: dict[str, str | None] | None = None
    umask: int = 0o077

    @classmethod
    def read(cls, path: Path) -> Order:
        """Read the order of a job."""
        return cls(**read_json(path))


class Worker:
    """Computes the cells of an order.

    Attributes:
        failed: Run ids of cells that failed, in this process or an earlier one of the submission.
    """

    def __init__(self, order: Order, *, tell: Callable[[str], None] = lambda _: None) -> None:
        self._order = order
        self._folder = Path(order.sweep)
        self._tell = tell
        self.failed: list[str] = []
        self.memory_full = False

    def work(self) -> int:
        """Compute what is not computed yet; give the exit code."""
        left = [read_cell(self._folder, run_id) for run_id in self._order.cells]
        elsewhere = [cell for cell in left if not self._attempt(cell)]
        for cell in elsewhere:
            if _wait_for(RunDirectory(Path(cell.directory))):
                self._attempt(cell)
        if self.memory_full:
            return MEMORY_FULL
        return SOME_FAILED if self.failed else ALL_WELL

    def _attempt(self, cell: Cell) -> bool:
        """Compute a cell; False where another process is at it."""
        failure = read_failure(self._folder, cell.run_id)
        if failure is not None and failure["submission"] == self._order.submission:
            self.failed.append(cell.run_id)
            return True
        if self.memory_full:
            return True  # the next process takes it
        forget_failure(self._folder, cell.run_id)
        self._tell(f"{cell.run_id}\n")
        log.info("cell %s: %s", cell.run_id, " ".join(cell.overrides))
        try:
            self._compute(cell)
        except LeaseTaken as taken:
            log.info("%s", taken)
            return False
        except CritwinError as error:
            self._fail(cell, error)
        except Exception as error:  # noqa: BLE001  (one cell must not take the others with it)
            self._fail(cell, error)
        return True

    def _compute(self, cell: Cell) -> None:
        job = build_values(cell.config)
        self._compare(cell, job)
        try:
            start(job, group=self._folder.name, words=cell.words, submitted=self._submitted())
        except LeaseTaken:
            if self._order.shards == 1 or not job.experiment.shared:
                raise
            directory = RunDirectory(job.directory())
            log.info("another process carries it out; this one makes parts")
            help_out(job.experiment, directory)

    def _compare(self, cell: Cell, job: Job) -> None:
        """Refuse a run whose dataset or weights changed since it was submitted."""
        if job.directory().name == cell.run_id:
            return
        there = json.loads(json.dumps(identity(job.experiment.determining())))
        changes = differences(cell.identity, there)
        raise ChangedError(
            f"run {cell.run_id} is now {job.directory().name}: {'; '.join(changes)}; allowed: what "
            "was there when the sweep was submitted; put it back, or submit again"
        )

    def _submitted(self) -> dict[str, object]:
        facts = self._order.facts
        there = code_hash()
        changed = there != facts["code_sha256"]
        if changed:
            log.warning(
                "the code was changed after submission (%s, now %s); the run goes on with the new "
                "code, and its record says so",
                facts["code_sha256"][:12],
                there[:12],
            )
        return {**facts, "code_changed": changed}

    def _fail(self, cell: Cell, error: Exception) -> None:
        log.exception("the run failed")
        text = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        if type(error).__name__ == "OutOfMemoryError":  # torch's own, not imported for its name
            self.memory_full = True
            text += "; model.memory_gb or model.batch_size makes batches smaller"
        self.failed.append(cell.run_id)
        note_failure(self._folder, cell.run_id, submission=self._order.submission, error=text)


def differences(before: object, after: object, path: str = "") -> list[str]:
    """Say where two identities differ, each with both values."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [*before, *(key for key in after if key not in before)]
        return [
            line
            for key in keys
            for line in differences(
                before.get(key), after.get(key), f"{path}.{key}" if path else str(key)
            )
        ]
    return [] if before == after else [f"{path} was {before}, is {after}"]


def _wait_for(directory: RunDirectory) -> bool:
    """Wait until a run that another process holds is free or seen to be alive.

    Returns:
        Whether it is free; one whose holder gives signs of life is left to it.
    """
    first = directory.lease.beat()
    while directory.is_held():
        beat = directory.lease.beat()
        if first is not None and beat is not None and beat > first:
            log.info("%s is computed elsewhere", directory.path)
            return False
        time.sleep(LOOK_SECONDS)
    return True


def main(arguments: Sequence[str]) -> None:
    """Work off an order: `ORDER PIPE`, the pipe being told which cell is begun."""
    path, pipe = arguments
    order = Order.read(Path(path))
    _set_environment(order.environment or {})
    os.umask(order.umask)
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"
    )
    for name in ("launch", "experiments", "critwin"):
        logging.getLogger(name).setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_stop_without_supervisor, daemon=True).start()

    def tell(text: str) -> None:
        os.write(int(pipe), text.encode())

    try:
        code = Worker(order, tell=tell).work()
    except KeyboardInterrupt:
        log.warning("stopped; the same command goes on from here")
        code = STOPPED
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)


def _set_environment(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _stop(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    killer = threading.Timer(GIVE_UP_SECONDS, os._exit, (STOPPED,))
    killer.daemon = True
    killer.start()
    raise Terminated


def _stop_without_supervisor() -> None:
    """Stop when the supervisor is gone: its end of our input closes with it."""
    while os.read(0, 1):  # no buffered reader: it would hold its lock at the end
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1:])
