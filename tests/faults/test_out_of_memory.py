"""A machine without memory, by a memory cgroup: the kernel kills the worker, nothing is lost."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.sweeping import ROOT, launch, records, states, status, wait_until

pytestmark = pytest.mark.faults

CELL = (
    "+exp=llm_math",
    "sampler=fractions",
    "sampler.n=2",
    "originals_per_problem=2",
    "dataset.n_problems=4",
    "seed=1",
    "tracker=none",
)
SWEPT = (*CELL, "sampler.temperature=null", "cluster=local", "cluster.detach=true", "-m")
CGROUPS = Path("/sys/fs/cgroup")
TOO_LITTLE_MB, ENOUGH_MB = 280, 8000
"""The embedded model's worker needs more than the first; what starts it needs less."""


@dataclass(frozen=True)
class Memory:
    """A memory cgroup.

    Attributes:
        folder: Its folder.
        limit: Name of the file that holds its limit.
    """

    folder: Path
    limit: str

    def make(self) -> bool:
        """Make it; False where that is not allowed."""
        with suppress(OSError):
            self.folder.mkdir()
            if (self.folder / self.limit).exists():
                return True
            self.folder.rmdir()
        return False

    def allow(self, megabytes: int) -> None:
        """Set its limit."""
        (self.folder / self.limit).write_text(str(megabytes << 20))

    def kills(self) -> int:
        """Count the processes that the kernel killed in it."""
        names = ("memory.oom_control", "memory.events")
        text = "".join(p.read_text() for n in names if (p := self.folder / n).exists())
        return sum(int(line.split()[1]) for line in text.splitlines() if line[:9] == "oom_kill ")

    def launch(self, folder: Path, *arguments: str) -> None:
        """Run a command line in it."""
        command = shlex.join([sys.executable, "-m", "launch", *arguments])
        inside = f"echo $$ > {self.folder}/cgroup.procs && exec {command}"
        own = {"PYTHONPATH": str(ROOT), "NETRC": str(folder / "none"), "OMP_NUM_THREADS": "1"}
        subprocess.run(["sh", "-c", inside], cwd=folder, env={**os.environ, **own}, check=True)


@pytest.fixture
def memory() -> Iterator[Memory]:
    """Make a memory cgroup, of the first version or the second."""
    name = f"critwin-{uuid.uuid4().hex[:8]}"
    kinds = (("memory", "memory.limit_in_bytes"), ("", "memory.max"))
    offered = (Memory(CGROUPS / at / name, file) for at, file in kinds)
    made = next((each for each in offered if each.make()), None)
    if made is None:
        pytest.skip("a memory cgroup takes root and a system of cgroups that can be written")
    yield made
    wait_until(lambda: not (made.folder / "cgroup.procs").read_text(), "it is empty")
    made.folder.rmdir()


def test_the_cell_fails_with_the_reason_and_goes_on_with_memory(
    memory: Memory, tmp_path: Path
) -> None:
    memory.allow(TOO_LITTLE_MB)
    memory.launch(tmp_path, *SWEPT)
    wait_until(lambda: states(tmp_path) == ["failed"], "it has failed")
    assert memory.kills() >= 3, "the kernel killed it again and again"
    shown = status(tmp_path).stdout
    assert "signal 9 and came no further; out of memory? model.memory_gb" in shown
    memory.allow(ENOUGH_MB)
    memory.launch(tmp_path, *SWEPT)
    wait_until(lambda: states(tmp_path) == ["done"], "it is done")
    launch(tmp_path, *CELL, "sampler.temperature=null", "outputs=quiet")
    assert records(tmp_path / "outputs") == records(tmp_path / "quiet")
