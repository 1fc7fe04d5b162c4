"""The fork protocol carried out: paths, a pilot, a plan for each original, and the forks.

Every stage of all originals goes to the sampler in one call, so that its batches are full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from critwin.fork_allocation import (
    Allocation,
    Expectation,
    ProtocolCosts,
    allocate,
    compare_protocols,
    expected_half_width,
)
from critwin.fork_drawing import draw_forks, fork_seed
from critwin.forks import Forks, level_intervals
from critwin.generation import Generation, Prefix
from critwin.protocol import ForkProtocol, Fractions
from critwin.sampler import ForkingSampler, Path

Ints = npt.NDArray[np.int64]

Labelling: TypeAlias = Callable[[int, Sequence[Generation]], list[str]]
"""Gives the labels of samples that were drawn for the original of that number."""

Stage: TypeAlias = Literal["pilot", "main"]


@dataclass(frozen=True, slots=True)
class Original:
    """A sample whose generation is studied.

    Attributes:
        original_id: Its name.
        sample: The sample.
        label: Its label.
        seed: Seed of everything that is drawn for it.
    """

    original_id: str
    sample: Generation
    label: str
    seed: int


@dataclass(frozen=True, slots=True)
class Fork:
    """A fork that was drawn and labelled.

    Attributes:
        token: The token at which it left its original, counted from 1.
        replicate: Its number among the forks of this token and stage, from 0.
        seed: Its seed.
        sample: The whole sample, what it shares with the original included.
        label: Its label.
    """

    token: int
    replicate: int
    seed: int
    sample: Generation
    label: str

    @property
    def tokens_generated(self) -> int:
        """Tokens drawn for it: the one that left, and those after it."""
        return len(self.sample.token_ids) - self.token + 1


@dataclass(frozen=True)
class ForkMeasurement:
    """What the fork protocol gave for one original.

    Attributes:
        original: The original.
        path: How probable its tokens were.
        pilot: Forks whose labels steered the plan; they are no part of the estimate.
        allocation: The plan.
        costs: The plan beside a grid of the paper's fractions, for one pointwise mean half-width:
            the wanted one where the plan is expected to reach it, else what the plan is expected to
            reach. None where no token had a choice: there is nothing to measure.
        drawn: The forks of the plan, all of them.
    """

    original: Original
    path: Path
    pilot: tuple[Fork, ...]
    allocation: Allocation
    costs: ProtocolCosts | None
    drawn: tuple[Fork, ...]

    @property
    def forks(self) -> Forks:
        """The counts that the curves are estimated from."""
        return _counted(self.original, self.path, self.drawn)


def measure_forks(
    sampler: ForkingSampler[Generation, Prefix],
    originals: Sequence[Original],
    *,
    protocol: ForkProtocol,
    label: Labelling,
) -> list[ForkMeasurement]:
    """Plan and draw the forks of originals, all of them together.

    The pilot steers how many forks stand at each token and is not pooled with them. The numbers are
    fixed before the first of them is drawn, and every fork that is assigned is drawn to its end.

    Args:
        sampler: The sampler that made the originals.
        originals: Length N.
        protocol: Precision, budgets and pilot; the sampling parameters are the sampler's own.
        label: Gives the labels of samples that belong to one of the originals, called once for each
            original and stage that has any.

    Returns:
        One measurement per original, in their order.
    """
    paths = sampler.paths([original.sample for original in originals])
    numbers = [_pilot_forks(path, protocol) for path in paths]
    pilots = _draw(sampler, originals, numbers, stage="pilot", label=label)
    plans = [
        _plan(original, path, pilot, protocol, snap=partial(sampler.snap, original.sample))
        for original, path, pilot in zip(originals, paths, pilots, strict=True)
    ]
    numbers = [allocation.forks for allocation, _ in plans]
    drawn = _draw(sampler, originals, numbers, stage="main", label=label)
    return [
        ForkMeasurement(original, path, pilot, *plan, forks)
        for original, path, pilot, plan, forks in zip(
            originals, paths, pilots, plans, drawn, strict=True
        )
    ]


def reached_half_width(
    forks: Forks,
    label: str,
    *,
    over: Literal["mean", "maximum"] = "mean",
    joint: bool = False,
    level: float = 0.95,
) -> float:
    """Give the half-width of the intervals of a label's curve over the positions 0..n-1.

    Args:
        forks: The counts.
        label: The label.
        over: Whether it is the mean or the maximum over the positions.
        joint: Whether the intervals cover at all positions at once.
        level: Their coverage, in (0, 1).
    """
    lower, upper = level_intervals(forks, label, level=level, joint=joint)
    half = (upper - lower)[: forks.length] / 2
    return float(half.mean() if over == "mean" else half.max())


def _pilot_forks(path: Path, protocol: ForkProtocol) -> Ints:
    if protocol.pilot == 0:
        return np.zeros(len(path.probability), dtype=np.int64)
    expected = Expectation.from_path(path.probability)
    return allocate(expected, max_forks=protocol.pilot, least=0).forks


def _draw(
    sampler: ForkingSampler[Generation, Prefix],
    originals: Sequence[Original],
    numbers: Sequence[Ints],
    *,
    stage: Stage,
    label: Labelling,
) -> list[tuple[Fork, ...]]:
    samples = [original.sample for original in originals]
    seeds = [original.seed for original in originals]
    drawn = draw_forks(sampler, samples, numbers, stage=stage, seeds=seeds)
    found = []
    for i, (own, number) in enumerate(zip(drawn, numbers, strict=True)):
        labels = label(i, [x for _, x in own]) if own else []
        replicates = [replicate for count in number.tolist() for replicate in range(count)]
        found.append(
            tuple(
                Fork(u, replicate, fork_seed(seeds[i], stage, u, replicate), x, name)
                for (u, x), replicate, name in zip(own, replicates, labels, strict=True)
            )
        )
    return found


def _plan(
    original: Original,
    path: Path,
    pilot: Sequence[Fork],
    protocol: ForkProtocol,
    *,
    snap: Callable[[float], int],
) -> tuple[Allocation, ProtocolCosts | None]:
    expected = _expected(original, path, pilot)
    allocation = allocate(
        expected,
        half_width=protocol.half_width,
        max_forks=protocol.max_forks,
        max_tokens=protocol.max_tokens,
        over=protocol.over,
        joint=protocol.joint,
    )
    if (path.probability == 1).all():
        return allocation, None
    half_width = expected_half_width(expected, allocation.forks)
    if protocol.half_width is not None and protocol.over == "mean" and not protocol.joint:
        half_width = max(half_width, protocol.half_width)
    pointwise = replace(allocation, half_width=half_width, over="mean", joint=False)
    levels = Fractions().positions(len(path.probability), snap)
    return allocation, compare_protocols(expected, pointwise, levels)


def _expected(original: Original, path: Path, pilot: Sequence[Fork]) -> Expectation:
    if not pilot:
        return Expectation.from_path(path.probability)
    tokens = np.zeros(len(path.probability))
    for fork in pilot:
        tokens[fork.token - 1] += fork.tokens_generated
    seen = _counted(original, path, pilot)
    return Expectation.from_pilot(seen, original.label, tokens=tokens)


def _counted(original: Original, path: Path, forks: Sequence[Fork]) -> Forks:
    return Forks.of(
        original.original_id,
        original.label,
        path,
        position=[fork.token for fork in forks],
        labels=[fork.label for fork in forks],
    )
