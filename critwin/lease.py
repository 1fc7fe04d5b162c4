"""A claim on a piece of work, kept as a file, that expires when its holder is gone.

Holders are processes, on any machine that sees the folder. A lease is a numbered file,
`<name>-000007`, whose time its holder renews; the highest number holds. Who finds it expired makes
the next number, which only one process can, so nobody ever removes a lease that lives. Locks of the
kernel (flock) are not asked: shared file systems of clusters often do not have them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from critwin.errors import RecordsError

EXPIRES_SECONDS = 120.0
"""A lease that was not renewed for so long is free: several times what the attributes of a file may
lag behind on NFS, and short beside the start of a job."""

RENEW_SECONDS = 10.0

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What a file system answers that has no links."""

DRAFT = re.compile(r"\..+\.(?P<machine>[0-9a-f]{12})-(?P<pid>\d+)")
"""Name of a file that is being written: a dot, the final name, the process."""


class LeaseTaken(RecordsError):
    """Somebody else holds the lease."""


class LeaseLost(RecordsError):
    """The holder was silent for so long that another one took over; it must write no more."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lease.

    Attributes:
        token: Made anew for each holding.
        host: Name of the machine.
        machine: Hash of its boot and its process namespace: where process ids can be looked up.
        pid: Process.
        began: When the process began, as its machine counts.
        job: SLURM job, or null.
    """

    token: str
    host: str
    machine: str
    pid: int
    began: float
    job: str | None

    @classmethod
    def own(cls) -> Holder:
        """Describe this process."""
        pid = os.getpid()
        began = psutil.Process(pid).create_time()
        job = os.environ.get("SLURM_JOB_ID")
        return cls(uuid.uuid4().hex, platform.node(), machine(), pid, began, job)

    def is_dead(self) -> bool:
        """Tell whether its process has ended; False where that cannot be seen from here."""
        if self.machine != machine():
            return False
        try:
            process = psutil.Process(self.pid)
            # one that waits to be reaped runs no more
            gone = bool(process.status() == psutil.STATUS_ZOMBIE)
            return gone or bool(abs(process.create_time() - self.began) > 1.0)
        except psutil.NoSuchProcess:
            return True
        except psutil.Error:
            return False

    def __str__(self) -> str:
        """Name the process, its machine and its job."""
        job = f", job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}"


class Lease:
    """A lease that this process may take; hold it with `with`.

    Attributes:
        folder: Where its file is.
        name: Name of the file, without the number.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self._own = Holder.own()
        self._file: Path | None = None
        self._released = threading.Event()
        self._renewing: threading.Thread | None = None

    def take(self) -> None:
        """Take the lease.

        Raises:
            LeaseTaken: Somebody holds it; the message names them.
            RecordsError: The folder cannot be written.
        """
        newest = self._newest()
        if newest is not None:
            holder = _live_holder(newest, self.folder)
            if holder is not None:
                raise LeaseTaken(f"{self.folder} is being computed by another process: {holder}")
        file = self._numbered(1 if newest is None else _number(newest) + 1)
        if not self._write(file):
            raise LeaseTaken(f"{self.folder} is being computed by another process")
        if self._newest() != file:  # an older look at the folder missed the newest
            file.unlink(missing_ok=True)
            raise LeaseTaken(f"{self.folder} is being computed by another process")
        self._file = file
        for old in self._files():
            if _number(old) < _number(file):
                old.unlink(missing_ok=True)
        self._renewing = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._renewing.start()

    def check(self) -> None:
        """Make sure that the lease is still held: before anything is written under it.

        Raises:
            LeaseLost: It is not.
        """
        if self._file is None or self._newest() != self._file:
            raise LeaseLost(f"{self.folder} was taken over by another process; this one stops")

    def release(self) -> None:
        """Let go."""
        self._released.set()
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.unlink()

    def holder(self) -> Holder | None:
        """Give who holds the lease; None where nobody alive does."""
        newest = self._newest()
        return None if newest is None else _live_holder(newest, self.folder)

    def beat(self) -> float | None:
        """Give when the lease was last renewed, as its file system counts; None for a free one."""
        newest = self._newest()
        return None if newest is None else _renewed(newest)

    def __enter__(self) -> Self:
        """Take the lease."""
        self.take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go."""
        self.release()

    def _files(self) -> list[Path]:
        prefix = f"{self.name}-"
        try:
            names = os.listdir(self.folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = [n for n in names if n.startswith(prefix) and n.removeprefix(prefix).isdigit()]
        return [self.folder / name for name in found]

    def _newest(self) -> Path | None:
        return max(self._files(), key=_number, default=None)

    def _numbered(self, number: int) -> Path:
        return self.folder / f"{self.name}-{number:06d}"

    def _write(self, file: Path) -> bool:
        """Make the file, or find that somebody else was first.

        It is written under another name and then linked: who is killed on the way leaves no lease
        that nobody can read, which would hold until it expires.
        """
        draft = self.folder / f".{file.name}-{self._own.token}.{machine()}-{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps(asdict(self._own)), encoding="utf-8")
            os.link(draft, file)
        except FileExistsError:
            if self.folder.is_dir():
                return False
            raise RecordsError(_unwritable(self.folder, "it is a file")) from None
        except OSError as error:
            if error.errno in _NO_LINKS:
                return self._write_in_place(file)
            raise RecordsError(_unwritable(self.folder, error.strerror or str(error))) from None
        finally:
            with suppress(OSError):
                draft.unlink()
        return True

    def _write_in_place(self, file: Path) -> bool:
        """Make the file where the file system has no links."""
        try:
            with file.open("x", encoding="utf-8") as opened:
                opened.write(json.dumps(asdict(self._own)))
        except FileExistsError:
            return False
        except OSError as error:
            with suppress(OSError):
                file.unlink()
            raise RecordsError(_unwritable(self.folder, error.strerror or str(error))) from None
        return True

    def _renew(self) -> None:
        while not self._released.wait(RENEW_SECONDS):
            file = self._file
            if file is not None:
                with suppress(OSError):  # a file system that fails for a while; it may come back
                    os.utime(file)


@lru_cache(maxsize=1)
def machine() -> str:
    """Name the boot and the process namespace: process ids mean the same where it is the same."""
    facts = [platform.node()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with suppress(OSError):
            is_link = os.path.islink(path)
            facts.append(os.readlink(path) if is_link else Path(path).read_text(encoding="ascii"))
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


def draft_name(name: str) -> str:
    """Name a file that this process is going to write and then to rename."""
    return f".{name}.{machine()}-{os.getpid()}"


def is_abandoned(path: Path) -> bool:
    """Tell whether a file is a draft of a process that has ended."""
    found = DRAFT.fullmatch(path.name)
    if found is None:
        return False
    if found["machine"] == machine():
        return not psutil.pid_exists(int(found["pid"]))
    renewed = _renewed(path)
    with _clock(path.parent) as now:
        return renewed is not None and now - renewed > EXPIRES_SECONDS


@contextmanager
def _clock(folder: Path) -> Iterator[float]:
    """Give the time as the folder's file system counts it; clocks of machines differ."""
    probe = folder / draft_name("clock")
    try:
        probe.touch()
        yield probe.stat().st_mtime
    except OSError:
        yield time.time()
    finally:
        with suppress(OSError):
            probe.unlink()


def _live_holder(file: Path, folder: Path) -> Holder | None:
    renewed = _renewed(file)
    if renewed is None:
        return None
    try:
        holder = Holder(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):  # damaged: it holds until it expires
        holder = Holder("", "?", "", 0, 0.0, None)
    if holder.is_dead():
        return None
    with _clock(folder) as now:
        return holder if now - renewed < EXPIRES_SECONDS else None


def _renewed(file: Path) -> float | None:
    try:
        with file.open("rb") as opened:  # opening makes NFS look again
            return os.fstat(opened.fileno()).st_mtime
    except OSError:
        return None


def _unwritable(folder: Path, why: str) -> str:
    return f"{folder} cannot be written ({why}); allowed: a folder with room"


def _number(file: Path) -> int:
    return int(file.name.rpartition("-")[2])
