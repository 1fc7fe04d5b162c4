"""The fork protocol with windows as its aim: rounds of a pilot, a list of pairs, and the forks.

Every stage of all originals goes to the sampler in one call, so that its batches are full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from critwin.changes import Sought
from critwin.fork_aiming import Aimed, Numbers, Task, first_look, next_look, plan_main
from critwin.fork_allocation import Wish, allocate, allocated
from critwin.fork_blocks import Blocks
from critwin.fork_expectation import Expectation
from critwin.fork_measuring import (
    Fork,
    ForkMeasurement,
    Labelling,
    Original,
    after_pilot,
    compared_costs,
    count_forks,
    draw_stage,
)
from critwin.generation import Generation, Prefix
from critwin.protocol import ForkProtocol
from critwin.sampler import ForkingSampler, Path

Ints = npt.NDArray[np.int64]


def measure_windows(
    sampler: ForkingSampler[Generation, Prefix],
    originals: Sequence[Original],
    *,
    protocol: ForkProtocol,
    sought: Sought,
    label: Labelling,
) -> list[ForkMeasurement]:
    """Draw forks of originals that are aimed at windows of their own labels.

    As many tokens are spent as the protocol's wishes ask for when nothing is known of the labels,
    the pilot's among them. What the pilot's rounds saw chooses pairs and numbers, and enters
    nothing else. Where no window seems possible what is left makes the curve precise, as far as
    that was wanted.

    Args:
        sampler: The sampler that made the originals.
        originals: Length N.
        protocol: Precision and budgets; the sampling parameters are the sampler's own.
        sought: What the window rule asks for.
        label: As for `measure_forks`.

    Returns:
        One measurement per original, in their order.
    """
    paths = sampler.paths([original.sample for original in originals])
    unseen = [Expectation.from_path(path.probability) for path in paths]
    wish = Wish.of(protocol)
    tasks = [
        Task(own.probability, own.cost, True, sought, plan.tokens, original.seed)
        for own, plan, original in zip(unseen, allocate(unseen, wish), originals, strict=True)
    ]
    pilots = _pilot(sampler, originals, tasks, label)
    each = zip(unseen, tasks, originals, paths, pilots, strict=True)
    planned = [_aim(*one, wish=wish) for one in each]
    expected, made = [own for own, _ in planned], [aim for _, aim in planned]
    plans = allocated(
        expected, [aim.numbers.forks for aim in made], replace(wish, half_width=None, max_tokens=0)
    )
    costs = compared_costs(sampler, originals, expected, plans)
    numbers = [plan.forks for plan in plans]
    drawn = draw_stage(sampler, originals, expected, numbers, stage="main", label=label)
    return [
        ForkMeasurement(
            original=originals[i],
            path=paths[i],
            blocks=aim.numbers.blocks,
            pilot=pilots[i],
            allocation=plans[i],
            costs=costs[i],
            drawn=drawn[i],
            aimed=aim.pairs,
            windows=aim.windows,
        )
        for i, aim in enumerate(made)
    ]


def _pilot(
    sampler: ForkingSampler[Generation, Prefix],
    originals: Sequence[Original],
    tasks: Sequence[Task],
    label: Labelling,
) -> list[tuple[Fork, ...]]:
    """Draw the rounds of the pilot: one call for each, of all originals that need it."""
    looks: list[Numbers | None] = [first_look(task) for task in tasks]
    paths = [Path(task.probability) for task in tasks]
    pilots: list[tuple[Fork, ...]] = [() for _ in tasks]
    turn = 0
    unseen = [Expectation.from_path(task.probability) for task in tasks]
    while any(look is not None for look in looks):
        unseen = [
            own if look is None else replace(own, blocks=look.blocks)
            for own, look in zip(unseen, looks, strict=True)
        ]
        forks = [
            np.zeros(own.blocks.count, np.int64) if look is None else look.forks
            for own, look in zip(unseen, looks, strict=True)
        ]
        stage = f"pilot {turn}"
        drawn = draw_stage(sampler, originals, unseen, forks, stage=stage, label=label)
        pilots = [_after(one, own) for one, own in zip(pilots, drawn, strict=True)]
        looks = [
            None if look is None else _next(task, original, path, pilot, turn)
            for look, task, original, path, pilot in zip(
                looks, tasks, originals, paths, pilots, strict=True
            )
        ]
        turn += 1
    return pilots


def _next(
    task: Task, original: Original, path: Path, pilot: Sequence[Fork], turn: int
) -> Numbers | None:
    hits, trials, spent = _counts(original, path, pilot)
    return next_look(task, hits, trials, spent=spent, turn=turn)


def _aim(
    before: Expectation,
    task: Task,
    original: Original,
    path: Path,
    pilot: tuple[Fork, ...],
    *,
    wish: Wish,
) -> tuple[Expectation, Aimed]:
    """Give what the pilot of an original lets expect, over the runs of its main stage's plan."""
    own = after_pilot(before, original, path, pilot)
    hits, trials, spent = _counts(original, path, pilot)
    aim = plan_main(replace(task, cost=own.cost), hits, trials, spent, own, wish)
    return replace(own, blocks=aim.numbers.blocks), aim


def _counts(original: Original, path: Path, pilot: Sequence[Fork]) -> tuple[Ints, Ints, float]:
    """Give a pilot's forks at each token with the label, all of them, and their tokens."""
    blocks = Blocks.single(len(path.probability))
    counts = count_forks(original, path, blocks, pilot)
    spent = sum(fork.tokens_generated for fork in pilot)
    return counts.hits(original.label), counts.trials, float(spent)


def _after(pilot: tuple[Fork, ...], drawn: Sequence[Fork]) -> tuple[Fork, ...]:
    """Put the forks of a round behind those before it, numbered on at each token."""
    before = Counter(fork.token for fork in pilot)
    return (*pilot, *(replace(f, replicate=f.replicate + before[f.token]) for f in drawn))
