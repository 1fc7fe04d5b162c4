"""The work that every method is given: originals, and the cuts from which they are resampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from critwin.feature import Feature
from critwin.fork_measuring import Original
from critwin.generation import Generation
from critwin.problem import Problem
from critwin.prompt import PromptTemplate
from critwin.protocol import Grid
from critwin.sampler import Level
from critwin.samplers.language import LanguageSampler
from critwin.seeds import fold_in


@dataclass(frozen=True, slots=True)
class Cut:
    """A prefix from which resamples are wanted.

    Attributes:
        ids: Token ids of the prompt and of what is kept.
        room: Tokens that a resample may have beyond them: the length limit is the original's.
        draws: Resamples wanted, >= 1.
    """

    ids: tuple[int, ...]
    room: int
    draws: int


@dataclass(frozen=True)
class Work:
    """Originals and the grid at which they are cut.

    Attributes:
        problems: The problem of each original, length N.
        originals: Length N.
        limits: Length limit of each original's samples, in tokens, length N.
        levels: Positions at which each original is cut, each below its length; length N.
        draws: Resamples per original and level.
    """

    problems: Sequence[Problem]
    originals: Sequence[Original]
    limits: Sequence[int]
    levels: Sequence[Sequence[Level]]
    draws: int

    @property
    def samples(self) -> list[Generation]:
        """The samples themselves."""
        return [original.sample for original in self.originals]

    @property
    def seeds(self) -> list[int]:
        """Seed of each original's resamples."""
        return [original.seed for original in self.originals]

    @property
    def resamples(self) -> int:
        """Resamples in all."""
        return self.draws * sum(map(len, self.levels))

    def cuts(self) -> list[Cut]:
        """Give every cut of the grid, original by original."""
        return [
            self.cut(original, level, draws=self.draws)
            for original, levels in enumerate(self.levels)
            for level in levels
        ]

    def cut(self, original: int, level: Level, *, draws: int) -> Cut:
        """Cut one original at one level."""
        x = self.originals[original].sample
        return Cut(x.prompt_ids + x.token_ids[:level], self.limits[original] - level, draws)

    def labels(self, feature: Feature, original: int, samples: Sequence[Generation]) -> list[str]:
        """Label samples of one original's problem."""
        return feature.labels([x.text for x in samples], self.problems[original])


def draw_work(
    sampler: LanguageSampler,
    problems: Sequence[Problem],
    *,
    prompt: PromptTemplate,
    feature: Feature,
    grid: Grid,
    originals_per_problem: int,
    seed: int,
) -> Work:
    """Draw and label originals, those that the main job draws with the same seed."""
    starts = sampler.start([prompt.render(problem) for problem in problems])
    seeds = [
        [fold_in(seed, p.problem_id, "original", r) for r in range(originals_per_problem)]
        for p in problems
    ]
    drawn = sampler.resample(starts, seeds=seeds)
    owners, originals = [], []
    for problem, own, own_seeds in zip(problems, drawn, seeds, strict=True):
        labels = feature.labels([x.text for x in own], problem)
        for r, (x, label) in enumerate(zip(own, labels, strict=True)):
            owners.append(problem)
            originals.append(Original(f"{problem.problem_id}/{r}", x, label, own_seeds[r]))
    return Work(
        problems=owners,
        originals=originals,
        limits=[_limit(sampler, original.sample) for original in originals],
        levels=[
            grid.positions(len(o.sample.token_ids), partial(sampler.snap, o.sample))
            for o in originals
        ],
        draws=grid.n,
    )


def _limit(sampler: LanguageSampler, x: Generation) -> int:
    return min(sampler.max_new_tokens, sampler.loaded.context - len(x.prompt_ids))
