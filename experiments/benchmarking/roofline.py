"""What a machine could do at most on a model's own matrices.

A step of decoding multiplies every matrix of the model with the rows of its batch, and reads the
keys and values of what stands before each row. The products are timed alone; the reading is counted
in bytes, at the bandwidth with which memory is copied. Everything else that a step does is free
here, rows that have ended take no place in it, and what the processor's cache holds may be read
faster than memory.

Source: Williams, Waterman, Patterson (2009), "Roofline", Communications of the ACM 52(4), 65-76.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from critwin.fork_drawing import first_departure
from critwin.generation import Generation
from critwin.sampler import Level
from experiments.benchmarking.measuring import ForwardPasses, synchronise

if TYPE_CHECKING:
    import torch

REPEATS = 30
"""Times that something is done; the fastest counts."""

COPIED = 2**28
"""Bytes that are copied to measure bandwidth: more than processors hold in their caches."""


@dataclass(frozen=True)
class Roofline:
    """The most that the machine could do, at the batch size that the engine used.

    Attributes:
        rows: Rows of a step, the median of the engine's.
        lanes: Steps that the engine does side by side, each on its share of the cores.
        product_seconds: The model's matrix products with so many rows, on such a share.
        matrix_bytes: Bytes of the matrices.
        bandwidth: Bytes per second that are read or written when memory is copied.
        drawn: Tokens drawn.
        computed: Those of them that have to go through the model.
        run: Rows that the engine's steps had in all; more than `computed` where rows idle.
        read_bytes: Bytes of keys and values that have to be read for them.
        tokens_per_second: Tokens drawn in a second at most.
    """

    rows: int
    lanes: int
    product_seconds: float
    matrix_bytes: int
    bandwidth: float
    drawn: int
    computed: int
    run: int
    read_bytes: int
    tokens_per_second: float


def roofline(
    model: Any,
    *,
    passes: ForwardPasses,
    originals: Sequence[Generation],
    levels: Sequence[Sequence[Level]],
    drawn: Sequence[Sequence[Sequence[Generation]]],
) -> Roofline:
    """Measure the roofline of a model for the grid that an engine drew.

    Args:
        model: A causal language model, in eval mode, on its device.
        passes: The forward passes of the engine, some of them steps of decoding.
        originals: The originals.
        levels: Levels at which each of them was cut.
        drawn: The resamples, for each original and level.
    """
    import torch

    rows, threads = round(median(passes.rows)), torch.get_num_threads()
    with torch.inference_mode():
        matrices = _matrices(model)
        torch.set_num_threads(max(threads // passes.lanes, 1))
        seconds = _products(matrices, rows, model.device)
        torch.set_num_threads(threads)
        bandwidth = _bandwidth(model.device)
        each = token_bytes(model)
    steps = Steps.of(originals, levels, drawn)
    least = steps.computed * seconds / (rows * passes.lanes) + steps.read * each / bandwidth
    return Roofline(
        rows=rows,
        lanes=passes.lanes,
        product_seconds=seconds,
        matrix_bytes=sum(m.weight.numel() * m.weight.element_size() for m in matrices),
        bandwidth=bandwidth,
        drawn=steps.drawn,
        computed=steps.computed,
        run=sum(passes.rows),
        read_bytes=steps.read * each,
        tokens_per_second=steps.drawn / least,
    )


def _matrices(model: Any) -> list[Any]:
    """Give the modules that multiply rows with a matrix."""
    import torch
    from transformers.pytorch_utils import Conv1D

    return [module for module in model.modules() if isinstance(module, torch.nn.Linear | Conv1D)]


def _products(matrices: Sequence[Any], rows: int, device: torch.device) -> float:
    import torch

    inputs = [
        torch.randn(rows, _inputs(module), dtype=module.weight.dtype, device=device)
        for module in matrices
    ]

    def step() -> None:
        for module, x in zip(matrices, inputs, strict=True):
            module(x)

    return _fastest(step, device)


def _inputs(module: Any) -> int:
    return int(module.in_features if hasattr(module, "in_features") else module.nx)


def _bandwidth(device: torch.device) -> float:
    """Measure the bytes that are read and written in a second when memory is copied."""
    import torch

    source = torch.ones(COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * COPIED / _fastest(lambda: target.copy_(source), device)


def _fastest(work: Callable[[], object], device: torch.device) -> float:
    times = []
    for _ in range(REPEATS):
        synchronise(device)
        began = time.perf_counter()
        work()
        synchronise(device)
        times.append(time.perf_counter() - began)
    return min(times)


def token_bytes(model: Any) -> int:
    """Give the bytes of the keys and values of one token."""
    import torch

    ids = torch.ones((1, 1), dtype=torch.long, device=model.device)
    layers = model(input_ids=ids, attention_mask=ids, use_cache=True).past_key_values.layers
    held = [tensor for layer in layers for tensor in (layer.keys, layer.values)]
    return sum(tensor.numel() * tensor.element_size() for tensor in held)


@dataclass(frozen=True)
class Steps:
    """What no engine can leave out that decodes each resample that leaves its original by itself.

    As long as a resample follows its original, the original's own pass has computed all of it.

    Attributes:
        drawn: Tokens drawn.
        computed: Tokens that have to go through the model: those between the one with which a
            resample leaves its original and its last one.
        read: Tokens whose keys and values are read for them. A row reads what it has drawn since it
            left; what stands before is read once per step for all rows of an original.
    """

    drawn: int
    computed: int
    read: int

    @classmethod
    def of(
        cls,
        originals: Sequence[Generation],
        levels: Sequence[Sequence[Level]],
        drawn: Sequence[Sequence[Sequence[Generation]]],
    ) -> Steps:
        """Count the steps of resamples, given for each original and level."""
        tokens = computed = read = 0
        for x, own_levels, own in zip(originals, levels, drawn, strict=True):
            steps, shared = [0], 0
            for level, draws in zip(own_levels, own, strict=True):
                for resample in draws:
                    tokens += len(resample.token_ids) - level
                    left = first_departure(x.token_ids, resample.token_ids, level=level)
                    if left is not None:
                        steps.append(len(resample.token_ids) - left)
                        shared = max(shared, len(x.prompt_ids) + left - 1)
            computed += sum(steps)
            read += shared * max(steps) + sum(n * (n + 1) // 2 for n in steps)
        return cls(tokens, computed, read)
