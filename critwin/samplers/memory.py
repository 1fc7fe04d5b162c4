"""How many rows fit into memory, and what running out of it looks like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch

MOST_ROWS = {"cpu": 256}
"""Rows beyond which a step gets no cheaper per row: caches are full. Other devices: see below."""

MOST_ROWS_ELSEWHERE = 1024

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
