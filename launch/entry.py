"""`python -m launch.entry FOLDER`: a submitit job, after a look at who could have written it.

submitit keeps what a job runs in a pickle. It is read only from a folder of this user that nobody
else can write.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
from pathlib import Path

from critwin.errors import CritwinError

PRIVATE = 0o700


class ForeignError(CritwinError):
    """A job's files could have been written by somebody else."""


def make_private(folder: Path) -> None:
    """Make a folder that only this user can read and write.

    Raises:
        ForeignError: It is there and belongs to somebody else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid == os.getuid():
        folder.chmod(PRIVATE)
    check_private(folder)


def check_private(folder: Path) -> None:
    """Refuse a folder that somebody else can write.

    Raises:
        ForeignError: It is one, or no folder.
    """
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o077:
        raise ForeignError(
            f"{folder} belongs to user {state.st_uid}, mode {stat.filemode(state.st_mode)}; "
            "allowed: a folder that is yours alone, drwx------"
        )


def _stop(number: int, frame: object) -> None:
    """End before submitit listens; a preempted job goes back to the queue."""
    from launch.queue import go_back

    go_back()
    sys.exit(128 + number)


def main() -> None:
    """Check the folder, then hand over to submitit."""
    # until submitit listens, the warning before a limit must not kill what it warns
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    from submitit.core.submission import submitit_main

    folder = Path(sys.argv[1])
    check_private(folder.parent if "%" in folder.name else folder)
    submitit_main()


if __name__ == "__main__":
    main()
