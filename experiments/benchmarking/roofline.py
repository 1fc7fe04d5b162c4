"""What a machine could do at most on a model's own matrices.

A step of decoding multiplies every matrix of the model with the rows of its batch, and reads the
keys and values of what stands before each row. The products are timed alone; the reading is counted
in bytes, at the bandwidth with which memory is copied. Everything else that a step does is free
here, and what is kept in the processor's cache may be read faster than memory.

Source: Williams, Waterman, Patterson (2009), "Roofline", Communications of the ACM 52(4), 65-76.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

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
        cache_bytes_per_token: Bytes of keys and values that have to be read for a token drawn, a
            prefix counted once for all rows that share it.
        tokens_per_second: Tokens drawn in a second at most.
    """

    rows: int
    lanes: int
    product_seconds: float
    matrix_bytes: int
    bandwidth: float
    cache_bytes_per_token: float
    tokens_per_second: float


def roofline(
    model: Any,
    *,
    passes: ForwardPasses,
    levels: Sequence[Sequence[Level]],
    drawn: Sequence[Sequence[Sequence[Generation]]],
) -> Roofline:
    """Measure the roofline of a model for the grid that an engine drew.

    Args:
        model: A causal language model, in eval mode, on its device.
        passes: The forward passes of the engine, some of them steps of decoding.
        levels: Levels at which each original was cut.
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
        read = read_tokens(levels, drawn) * token_bytes(model)
    return Roofline(
        rows=rows,
        lanes=passes.lanes,
        product_seconds=seconds,
        matrix_bytes=sum(m.weight.numel() * m.weight.element_size() for m in matrices),
        bandwidth=bandwidth,
        cache_bytes_per_token=read,
        tokens_per_second=1 / (seconds / (rows * passes.lanes) + read / bandwidth),
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


def read_tokens(
    levels: Sequence[Sequence[Level]], drawn: Sequence[Sequence[Sequence[Generation]]]
) -> float:
    """Give the tokens whose keys and values have to be read for each token drawn.

    A row reads what it has drawn itself. Prompt and kept tokens are read once per step for all rows
    of an original, in as many steps as its longest resample has.
    """
    read, tokens = 0.0, 0
    for own_levels, own in zip(levels, drawn, strict=True):
        lengths = [
            len(x.token_ids) - level
            for level, draws in zip(own_levels, own, strict=True)
            for x in draws
        ]
        shared = len(own[0][0].prompt_ids) + max(own_levels)
        read += shared * max(lengths) + sum(n * (n - 1) / 2 for n in lengths)
        tokens += sum(lengths)
    return read / tokens
