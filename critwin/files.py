"""Files that are written whole: a reader, or a kill, never meets half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from critwin.errors import RecordsError
from critwin.lease import draft_name


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write to; what is there at the end takes the place of `path`."""
    temporary = path.with_name(draft_name(path.name))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RecordsError(unwritable(path, error)) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def unwritable(path: Path, error: OSError) -> str:
    """Say that a file or folder cannot be written, and why."""
    return f"{path} cannot be written ({error.strerror or error}); allowed: a folder with room"
