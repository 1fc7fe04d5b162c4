"""Parts of a run that several processes make together, each part by one of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from critwin.lease import Lease, LeaseTaken
from critwin.records import RunDirectory

WAIT_SECONDS = 2.0
"""Between two looks at parts that other processes are making."""


def undone_parts(
    directory: RunDirectory,
    tables: Sequence[str],
    count: int,
    *,
    wait: bool = True,
    wanted: Callable[[], bool] = lambda: True,
) -> Iterator[int]:
    """Give the numbers of parts that are not there, each claimed until the next is asked for.

    Any number of processes may do so at once, for each part one. Parts that others are making
    are waited for, and are given where their makers die.

    Args:
        directory: The run directory.
        tables: Tables that are written together.
        count: Number of parts of each.
        wait: Whether to wait; else it ends when nothing is left to claim.
        wanted: Asked before each claim; it ends when they are wanted no more.
    """
    missing = list(range(count))
    while missing and wanted():
        missing = [i for i in missing if not _has_parts(directory, tables, i)]
        claimed = False
        for index in missing:
            if not wanted():
                return
            claim = Lease(directory.parts, f".claim-{tables[-1]}-{index:06d}")
            try:
                claim.take()
            except LeaseTaken:
                continue
            try:
                if not _has_parts(directory, tables, index):  # it may have come meanwhile
                    claimed = True
                    yield index
            finally:
                claim.release()
        if missing and not claimed:
            if not wait:
                return
            time.sleep(WAIT_SECONDS)


def _has_parts(directory: RunDirectory, tables: Sequence[str], index: int) -> bool:
    return all(directory.has_part(table, index) for table in tables)
