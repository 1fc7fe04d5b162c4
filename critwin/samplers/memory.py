"""How many rows fit into memory, and what running out of it looks like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import psutil

if TYPE_CHECKING:
    import torch

MOST_ROWS = {"cpu": 256}
"""Rows beyond which a step gets no cheaper per row: caches are full. Other devices: see below."""

MOST_ROWS_ELSEWHERE = 1024

LEAST_TOKENS = 16
"""Tokens of a teacher-forced pass that is not split any more when memory runs out."""

T = TypeVar("T")

_CGROUP = Path("/sys/fs/cgroup")


def free_bytes(device: torch.device) -> int:
    """Give the memory that a device has left; for the host what its control group allows."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):  # no such group, or no limit in it
        return free
    return min(free, max(limit - used, 0))


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that host or device memory is full."""
    import torch

    full = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return full or "can't allocate memory" in str(error)


@dataclass
class Together:
    """How much is computed at once; what memory has run out for is not tried again.

    Attributes:
        most: Rows, or tokens, at most.
        least: What is not halved any more, >= 1.
        halvings: How often memory ran out.
    """

    most: int
    least: int = 1
    halvings: int = 0

    def halve(self, error: BaseException, tried: int) -> None:
        """Take half of what was tried.

        Raises:
            BaseException: The error itself, where it does not say that memory is full, or where
                what was tried is the least.
        """
        if not is_out_of_memory(error) or tried <= self.least:
            raise error
        self.most = max(self.least, min(self.most, tried) // 2)
        self.halvings += 1


def in_batches(
    items: Sequence[T],
    work: Callable[[list[T]], None],
    *,
    together: Together,
    size: Callable[[T], int] = lambda _: 1,
) -> None:
    """Work off items in batches; one for which memory runs out is done again in smaller ones.

    Args:
        items: Sorted by size, the greatest last.
        work: Is given one batch after the other. What it leaves behind when it fails is overwritten
            by what it does later.
        together: Bounds the size of a batch, padding to its last item counted. An item alone may be
            greater, and memory that runs out for it is for `work` to handle.
        size: Gives the size of an item.
    """
    waiting = list(items)
    while waiting:
        count = 1
        while count < len(waiting) and (count + 1) * size(waiting[count]) <= together.most:
            count += 1
        batch = waiting[:count]
        try:
            work(batch)
        except (RuntimeError, MemoryError) as error:
            if count == 1:
                raise
            together.halve(error, count * size(batch[-1]))
            continue
        del waiting[:count]


def fitting_rows(
    memory: int, device: torch.device, *, per_token: int, columns: int, shared: float, logits: int
) -> int:
    """Estimate how many rows fit; what it gets wrong is caught when memory runs out.

    Args:
        memory: Bytes that may be used.
        device: Where.
        per_token: Bytes of keys and values of one token.
        columns: Tokens that a row may draw.
        shared: Tokens of shared sequences per row.
        logits: Entries of the vocabulary.

    Returns:
        A number of rows >= 1, at most what is of use on the device.
    """
    # columns are made with room to spare; logits live as scores, logarithms and two doubles
    row = per_token * (2 * columns + shared) + 32 * logits
    most = MOST_ROWS.get(device.type, MOST_ROWS_ELSEWHERE)
    return max(1, min(most, int(memory // max(row, 1))))
