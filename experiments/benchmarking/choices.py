"""How transformers' own ways are set up: as it is fastest here, found by trying."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from experiments.benchmarking.continuous_batching import ContinuousBatching
from experiments.benchmarking.measuring import measure
from experiments.benchmarking.plain_generation import Checkpoint, PlainGeneration
from experiments.benchmarking.work import Cut

if TYPE_CHECKING:
    import torch

W = TypeVar("W")

TRIED_CUTS = 14
"""Cuts of the grid on which ways are tried, evenly spaced among all."""

TRIES = 2
"""Times that each way is tried; the fastest counts."""

PAGED_CUTS = 6
"""Cuts on which continuous batching is tried: it is the slowest of all on a CPU."""

ROWS = (64, 128, 256)
"""Resamples in a call of `generate` that are tried."""

PAGED_ROWS = (32, 64, 128)
"""Rows of continuous batching that are tried on a CPU, where a row attends over all rows' pages."""


@dataclass(frozen=True)
class Trial:
    """What was tried and what was chosen.

    Attributes:
        chosen: Name of the fastest way.
        resamples_per_second: Of each way that was tried, by name.
    """

    chosen: str
    resamples_per_second: dict[str, float]


@dataclass(frozen=True)
class Choices:
    """The ways that are measured.

    Attributes:
        grid: `generate` on the grid.
        many: `generate` where a cut wants many resamples.
        paged: Continuous batching; None where it does not run.
        refusal: Why it does not; None where it does.
        trials: What was tried for each, by name.
    """

    grid: PlainGeneration
    many: PlainGeneration
    paged: ContinuousBatching | None
    refusal: str | None
    trials: dict[str, Trial]


def choose(checkpoint: Checkpoint, cuts: Sequence[Cut]) -> Choices:
    """Try ways to call transformers and keep the fastest of each kind.

    Args:
        checkpoint: The model.
        cuts: The grid.
    """
    some, few = spaced(cuts, TRIED_CUTS), spaced(cuts, PAGED_CUTS)
    many = [replace(max(cuts, key=lambda cut: cut.room), draws=max(ROWS))]
    device = checkpoint.model.device
    alone = PlainGeneration(checkpoint, rows=max(ROWS))
    grid, of_grid = _fastest(
        {"one prefix in a call": alone}
        | {
            f"up to {rows} rows of several prefixes, padded": PlainGeneration(
                checkpoint, rows=rows, mixed=True
            )
            for rows in ROWS
        },
        lambda way: _speed(lambda: way.draw(some), some, device),
    )
    large, of_large = _fastest(
        {f"{rows} rows": PlainGeneration(checkpoint, rows=rows) for rows in ROWS},
        lambda way: _speed(lambda: way.draw(many), many, device),
    )
    trials = {"generate on the grid": of_grid, "generate at every token": of_large}
    paged, refusal = None, ContinuousBatching(checkpoint, rows=None).refusal()
    if refusal is None:
        try:
            paged, trials["continuous batching"] = _fastest(
                _paged_ways(checkpoint), lambda way: _paged_speed(way, few, device)
            )
        except Exception as error:  # noqa: BLE001  (whatever transformers raises is the finding)
            refusal = f"{type(error).__name__}: {error}"
    return Choices(grid, large, paged, refusal, trials)


def spaced(cuts: Sequence[Cut], count: int) -> list[Cut]:
    """Give at most so many cuts, evenly spaced among all."""
    return [cuts[i] for i in range(0, len(cuts), -(-len(cuts) // count))]


def _paged_ways(checkpoint: Checkpoint) -> dict[str, ContinuousBatching]:
    if checkpoint.model.device.type != "cpu":
        return {"its own sizes": ContinuousBatching(checkpoint, rows=None)}
    return {f"{rows} rows": ContinuousBatching(checkpoint, rows=rows) for rows in PAGED_ROWS}


def _paged_speed(way: ContinuousBatching, cuts: Sequence[Cut], device: torch.device) -> float:
    with way.ready(cuts) as draw:
        return _speed(draw, cuts, device)


def _speed(draw: Callable[[], object], cuts: Sequence[Cut], device: torch.device) -> float:
    """Give the resamples per second with which cuts are drawn, at the better of two tries.

    The first call of a shape is slow: kernels are chosen and memory is asked for.
    """
    seconds = min(measure(draw, device)[1].seconds for _ in range(TRIES))
    return sum(cut.draws for cut in cuts) / seconds


def _fastest(ways: Mapping[str, W], speed: Callable[[W], float]) -> tuple[W, Trial]:
    found = {name: speed(way) for name, way in ways.items()}
    chosen = max(found, key=lambda name: found[name])
    return ways[chosen], Trial(chosen, found)
