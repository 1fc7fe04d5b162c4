"""How long a piece of work takes, how much memory, and how much of it the model computes."""

from __future__ import annotations

import ctypes
import gc
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

_PROCESS = Path("/proc/self")


@dataclass(frozen=True)
class Cost:
    """What a piece of work took.

    Attributes:
        seconds: Wall time.
        peak_bytes: Most memory that it held beyond what was held before it; None where the system
            does not tell.
    """

    seconds: float
    peak_bytes: int | None


@dataclass
class ForwardPasses:
    """The forward passes of a model while it was watched.

    Attributes:
        seconds_of: Time inside of them, for each thread that made any.
        rows: Rows of each pass that continued rows by one token.
        decoding: The threads that made such passes.
    """

    seconds_of: dict[int, float] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)
    decoding: set[int] = field(default_factory=set)

    @property
    def lanes(self) -> int:
        """Threads that decoded side by side."""
        return max(len(self.decoding), 1)

    def share_of(self, seconds: float) -> float | None:
        """Give the share of some wall time that was spent in passes; None if there was no pass.

        Threads that decode side by side count by their mean.
        """
        if not self.seconds_of:
            return None
        beside = sum(s for thread, s in self.seconds_of.items() if thread in self.decoding)
        return (sum(self.seconds_of.values()) - beside + beside / self.lanes) / seconds


def measure(
    work: Callable[[], T], device: torch.device, *, held: int | None = None
) -> tuple[T, Cost]:
    """Do a piece of work and tell what it took, the work that a GPU still has to do included.

    Args:
        work: What is done.
        device: Where.
        held: What `held_memory` gave before the work was set up; by default it is asked here.
    """
    held = held_memory(device) if held is None else held
    synchronise(device)
    began = time.perf_counter()
    result = work()
    synchronise(device)
    seconds = time.perf_counter() - began
    peak = _peak_memory(device)
    return result, Cost(seconds, None if held is None or peak is None else max(peak - held, 0))


@contextmanager
def watched(model: Any) -> Iterator[ForwardPasses]:
    """Time the forward passes of a model. On a GPU each is waited for, which slows it down."""
    seen = ForwardPasses()
    began: dict[int, float] = {}

    def before(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids = kwargs.get("input_ids", args[0] if args else None)
        if ids is not None and ids.shape[1] == 1:
            seen.rows.append(int(ids.shape[0]))
            seen.decoding.add(get_ident())
        synchronise(model.device)
        began[get_ident()] = time.perf_counter()

    def after(module: Any, args: tuple[Any, ...], output: Any) -> None:
        synchronise(model.device)
        thread = get_ident()
        spent = time.perf_counter() - began[thread]
        seen.seconds_of[thread] = seen.seconds_of.get(thread, 0.0) + spent

    handles = [
        model.register_forward_pre_hook(before, with_kwargs=True),
        model.register_forward_hook(after),
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def held_memory(device: torch.device) -> int | None:
    """Let the peak be counted from here; give the bytes that are held, None if nobody tells."""
    gc.collect()
    if device.type == "cuda":
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what was freed counts as free again
        (_PROCESS / "clear_refs").write_text("5")  # resets the peak of the resident size
    except (OSError, AttributeError):  # no Linux, or no glibc
        return None
    return _resident("VmRSS")


def synchronise(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def _peak_memory(device: torch.device) -> int | None:
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    return _resident("VmHWM")


def _resident(name: str) -> int | None:
    try:
        status = (_PROCESS / "status").read_text()
    except OSError:
        return None
    found = re.search(rf"^{name}:\s*(\d+) kB$", status, re.MULTILINE)
    return 1024 * int(found[1]) if found else None
