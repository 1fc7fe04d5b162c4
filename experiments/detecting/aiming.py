"""Forks of known originals that are aimed at windows, as a run aims them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from critwin.changes import Sought
from critwin.fork_aiming import Numbers, Task, first_look, next_look, plan_main
from critwin.fork_allocation import Wish
from critwin.fork_blocks import Blocks
from critwin.fork_expectation import Expectation
from critwin.forks import Forks
from experiments.detecting.sources import OTHER, OWN, Source

Ints = npt.NDArray[np.int64]


def aimed_forks(
    source: Source, tokens: int, sought: Sought, rng: np.random.Generator
) -> tuple[Forks, int]:
    """Draw the labels of forks that are aimed at windows: rounds of a pilot, then the main stage.

    Args:
        source: The original.
        tokens: Tokens of all forks, those of the pilot among them.
        sought: What they are aimed at.
        rng: All randomness.

    Returns:
        The forks of the main stage, and the tokens of all.
    """
    left = np.arange(source.length, 0, -1)
    seed = int(rng.integers(1 << 62))
    task = Task(source.probability, left.astype(float), True, sought, float(tokens), seed)
    pilot, turn = counted(source, np.zeros((2, source.length), np.int64)), 0
    look: Numbers | None = first_look(task)
    while look is not None:
        pilot = pilot.pooled(_draw(source, look, f"pilot {turn}", seed, rng))
        spent = int(pilot.trials @ left)
        look = next_look(task, pilot.hits(OWN), pilot.trials, spent=spent, turn=turn)
        turn += 1
    unseen = replace(pilot, blocks=Expectation.from_path(source.probability).blocks)
    expected = Expectation.from_pilot(unseen, OWN, tokens=pilot.trials * left)
    wish = Wish(max_tokens=tokens)
    aim = plan_main(task, pilot.hits(OWN), pilot.trials, spent, expected, wish)
    main = replace(_draw(source, aim.numbers, "main", seed, rng), aimed=aim.pairs)
    return main, spent + int(main.trials @ left)


def counted(source: Source, counts: Ints, blocks: Blocks | None = None) -> Forks:
    """Give forks with so many of each label, shape (2, n)."""
    blocks = Blocks.single(source.length) if blocks is None else blocks
    labels = (OWN, OTHER)
    return Forks(source.name, OWN, source.probability, labels, counts.T, source.length, blocks)


def _draw(
    source: Source, numbers: Numbers, stage: str, seed: int, rng: np.random.Generator
) -> Forks:
    trials = numbers.blocks.spread(source.probability, numbers.forks, seed=seed, stage=stage)
    hits = rng.binomial(trials, source.leave)
    return counted(source, np.stack([hits, trials - hits]), numbers.blocks)
