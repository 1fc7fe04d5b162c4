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

from critwin.changes import AimedPair
from critwin.fork_allocation import Allocation, Wish, allocate, expected_half_widths
from critwin.fork_blocks import Blocks
from critwin.fork_drawing import draw_forks, fork_seed
from critwin.fork_expectation import Expectation
from critwin.forks import Forks, level_intervals
from critwin.generation import Generation, Prefix
from critwin.protocol import ForkProtocol, Fractions
from critwin.protocol_costs import ProtocolCosts, compare_protocols
from critwin.sampler import ForkingSampler, Path

Ints = npt.NDArray[np.int64]

Labelling: TypeAlias = Callable[[int, Sequence[Generation]], list[str]]
"""Gives the labels of samples that were drawn for the original of that number."""


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
        blocks: The runs of tokens over which forks were spread.
        pilot: Forks whose labels steered the plan; they are no part of the estimate.
        allocation: The plan.
        costs: The plan beside a grid of the paper's fractions, for one pointwise mean half-width:
            the wanted one where the plan is expected to reach it, else what the plan is expected to
            reach. None where no token had a choice: there is nothing to measure.
        drawn: The forks of the plan, all of them.
        aimed: Pairs at which they were aimed.
        windows: Windows that were expected to be certified; None where the curve was the aim.
    """

    original: Original
    path: Path
    blocks: Blocks
    pilot: tuple[Fork, ...]
    allocation: Allocation
    costs: ProtocolCosts | None
    drawn: tuple[Fork, ...]
    aimed: tuple[AimedPair, ...] = ()
    windows: float | None = None

    @property
    def forks(self) -> Forks:
        """The counts that the curves are estimated from."""
        counts = count_forks(self.original, self.path, self.blocks, self.drawn)
        return replace(counts, aimed=self.aimed)


def measure_forks(
    sampler: ForkingSampler[Generation, Prefix],
    originals: Sequence[Original],
    *,
    protocol: ForkProtocol,
    label: Labelling,
) -> list[ForkMeasurement]:
    """Plan and draw the forks of originals, all of them together, to make whole curves precise.

    The pilot steers how many forks each block gets and is not pooled with them; there is none where
    the path alone says enough. The numbers are fixed before the first of them is drawn, and every
    fork that is assigned is drawn to its end.

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
    unseen = [Expectation.from_path(path.probability) for path in paths]
    blocks = [expected.blocks for expected in unseen]
    numbers = pilot_forks(unseen, protocol)
    pilots = draw_stage(sampler, originals, unseen, numbers, stage="pilot", label=label)
    expected = [
        after_pilot(before, original, path, pilot)
        for before, original, path, pilot in zip(unseen, originals, paths, pilots, strict=True)
    ]
    plans = allocate(expected, Wish.of(protocol))
    costs = compared_costs(sampler, originals, expected, plans, wanted=_pointwise(protocol))
    numbers = [plan.forks for plan in plans]
    drawn = draw_stage(sampler, originals, expected, numbers, stage="main", label=label)
    return [
        ForkMeasurement(*parts)
        for parts in zip(originals, paths, blocks, pilots, plans, costs, drawn, strict=True)
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


def pilot_forks(unseen: Sequence[Expectation], protocol: ForkProtocol) -> list[Ints]:
    """Give the pilot's forks in each block of each original: none where the path says enough."""
    nothing = [np.zeros(own.blocks.count, np.int64) for own in unseen]
    if protocol.pilot == 0:
        return nothing
    pilots = allocate(unseen, Wish(max_forks=protocol.pilot))
    if protocol.half_width is None:
        return [plan.forks for plan in pilots]
    before = expected_half_widths(unseen, nothing, Wish.of(protocol))
    return [
        plan.forks if width > protocol.half_width else none
        for plan, none, width in zip(pilots, nothing, before, strict=True)
    ]


def draw_stage(
    sampler: ForkingSampler[Generation, Prefix],
    originals: Sequence[Original],
    expected: Sequence[Expectation],
    forks: Sequence[Ints],
    *,
    stage: str,
    label: Labelling,
) -> list[tuple[Fork, ...]]:
    """Draw and label the forks of one stage, spread over the blocks of each original.

    Args:
        sampler: The sampler.
        originals: Length N.
        expected: Their paths and blocks.
        forks: Forks of each block.
        stage: Name of the stage: stages draw independently.
        label: Gives the labels.
    """
    samples = [original.sample for original in originals]
    seeds = [original.seed for original in originals]
    numbers = [
        own.blocks.spread(own.probability, count, seed=seed, stage=stage)
        for own, count, seed in zip(expected, forks, seeds, strict=True)
    ]
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


def after_pilot(
    unseen: Expectation, original: Original, path: Path, pilot: Sequence[Fork]
) -> Expectation:
    """Give what is expected after the pilot."""
    if not pilot:
        return unseen
    tokens = np.zeros(len(path.probability))
    for fork in pilot:
        tokens[fork.token - 1] += fork.tokens_generated
    counts = count_forks(original, path, unseen.blocks, pilot)
    return Expectation.from_pilot(counts, original.label, tokens=tokens)


def _pointwise(protocol: ForkProtocol) -> float:
    """Give the pointwise mean half-width that is wanted; 0 where none is."""
    same = protocol.over == "mean" and not protocol.joint
    return protocol.half_width if protocol.half_width is not None and same else 0.0


def compared_costs(
    sampler: ForkingSampler[Generation, Prefix],
    originals: Sequence[Original],
    expected: Sequence[Expectation],
    plans: Sequence[Allocation],
    *,
    wanted: float = 0.0,
) -> list[ProtocolCosts | None]:
    """Hold each plan against a grid; None for a path without a choice.

    Args:
        sampler: The sampler, which says where a grid is cut.
        originals: Length N.
        expected: What was expected of the forks of each.
        plans: What was planned.
        wanted: Half-width that is enough, so that a plan which does better is compared at it.
    """
    widths = expected_half_widths(expected, [plan.forks for plan in plans], Wish(max_forks=0))
    widths = np.maximum(widths, wanted)
    return [
        compare_protocols(
            own,
            Fractions().positions(len(own.probability), partial(sampler.snap, original.sample)),
            tokens=plan.tokens,
            half_width=float(width),
        )
        if (own.probability < 1).any()
        else None
        for original, own, plan, width in zip(originals, expected, plans, widths, strict=True)
    ]


def count_forks(original: Original, path: Path, blocks: Blocks, forks: Sequence[Fork]) -> Forks:
    """Count forks of an original that were spread over blocks."""
    return Forks.of(
        original.original_id,
        original.label,
        path,
        position=[fork.token for fork in forks],
        labels=[fork.label for fork in forks],
        blocks=blocks,
    )
