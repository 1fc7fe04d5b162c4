"""Processes that grade answers in mathematics, each under a time limit that nothing can outlive.

math-verify's own limit is an alarm: it works in a main thread only, and what it interrupts counts
as unequal. Here a formula that takes too long gets no verdict, and a process that hangs is killed
and started again.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from critwin.errors import CritwinError

COMMAND = (sys.executable, "-m", "critwin.features.math_worker")
PROCESSOR_SECONDS = 10.0
"""Processor time after which a process that does not answer is killed; it stops itself after half
of that, unless it hangs inside of one operation."""
SECONDS = 120.0
"""Time after which a process that does not even compute is killed."""
START_SECONDS = 300.0
"""Time that a process may take until it is ready: it imports sympy, on a busy machine too."""
PER_PROCESS = 24
"""Requests for which another process is worth its start."""
STARTS = 3
"""Times that a process is started that a signal ends before it is ready: the run was meant."""
LOOK = 0.2
"""Seconds between looks at a process that has not answered."""


class Process:
    """One grading process; started when it is asked, killed when it does not answer."""

    def __init__(self, command: Sequence[str], processor_seconds: float, seconds: float) -> None:
        self._command = list(command)
        self._limits = (processor_seconds, seconds)
        self._running: subprocess.Popen[bytes] | None = None
        self._read = b""

    def ask(self, request: Sequence[object]) -> Any:
        """Give the reply to a request; None where there is none in time.

        A process that dies is started again, and the request is put once more: it may have been
        killed for what an earlier one left behind.
        """
        for _ in range(2):
            if self._running is None:
                self._start()
            assert self._running is not None
            assert self._running.stdin is not None
            try:
                self._running.stdin.write(json.dumps(list(request)).encode() + b"\n")
                self._running.stdin.flush()
                return self._reply(*self._limits)
            except TimeoutError:
                self.close()
                return None
            except (BrokenPipeError, EOFError):
                self.close()
        return None

    def close(self) -> None:
        """End the process."""
        if self._running is None:
            return
        self._running.kill()
        self._running.wait()
        for pipe in (self._running.stdin, self._running.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._running, self._read = None, b""

    def _start(self) -> None:
        for _ in range(STARTS):
            self._running = self._spawn()
            with suppress(TimeoutError, EOFError):
                if self._reply(START_SECONDS, START_SECONDS) == "ready":
                    return
            code = None
            with suppress(subprocess.TimeoutExpired):
                code = self._running.wait(1)
            self.close()
            if code is None or code >= 0:
                break
        raise CritwinError(
            f"the grading process does not start: {' '.join(self._command)}; allowed: an "
            "installation in which this command waits for a line"
        )

    def _spawn(self) -> subprocess.Popen[bytes]:
        path = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        return subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the run, which ends the process itself
            # a set of sympy's must be written in one order everywhere
            env=os.environ
            | {"PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(filter(None, path))},
        )

    def _reply(self, processor_seconds: float, seconds: float) -> Any:
        assert self._running is not None
        assert self._running.stdout is not None
        watched = psutil.Process(self._running.pid)
        began, used = time.monotonic(), _used(watched)
        while b"\n" not in self._read:
            ready, _, _ = select.select([self._running.stdout], [], [], LOOK)
            if ready:
                piece = os.read(self._running.stdout.fileno(), 1 << 16)
                if not piece:
                    raise EOFError
                self._read += piece
            elif _used(watched) - used > processor_seconds or time.monotonic() - began > seconds:
                raise TimeoutError
        line, _, self._read = self._read.partition(b"\n")
        return json.loads(line)


def _used(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


class GradingPool:
    """Grading processes that share the requests of a batch.

    Args:
        command: What each process runs.
        processes: Most processes.
        processor_seconds: Processor time after which one that does not answer is killed.
        seconds: Time after which it is killed in any case.
    """

    def __init__(
        self,
        command: Sequence[str] = COMMAND,
        *,
        processes: int | None = None,
        processor_seconds: float = PROCESSOR_SECONDS,
        seconds: float = SECONDS,
    ) -> None:
        count = len(os.sched_getaffinity(0)) if processes is None else processes
        self._processes = [
            Process(command, processor_seconds, seconds) for _ in range(max(1, min(count, 8)))
        ]
        self._lock = threading.Lock()

    def ask(self, requests: Sequence[Sequence[object]]) -> list[Any]:
        """Give the reply to each request; None where there was none in time."""
        replies: list[Any] = [None] * len(requests)
        left = deque(enumerate(requests))

        def work(process: Process) -> None:
            with suppress(IndexError):
                while True:
                    at, request = left.popleft()
                    replies[at] = process.ask(request)

        with self._lock:
            wanted = self._processes[: 1 + len(requests) // PER_PROCESS]
            if len(wanted) == 1:
                work(wanted[0])
            else:
                with ThreadPoolExecutor(len(wanted)) as threads:
                    list(threads.map(work, wanted))
        return replies

    def close(self) -> None:
        """End the processes; they are started again when they are asked."""
        for process in self._processes:
            process.close()


_pools: dict[int, GradingPool] = {}


def grading_pool() -> GradingPool:
    """Give this process's pool; a forked process has its own."""
    pid = os.getpid()
    if pid not in _pools:
        _pools.clear()
        _pools[pid] = GradingPool()
        atexit.register(_pools[pid].close)
    return _pools[pid]
