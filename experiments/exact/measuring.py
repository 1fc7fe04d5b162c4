"""Forward-reverse experiments on an exact sampler, counted by groups of components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from critwin.forward_reverse import resample_seeds
from critwin.records import RunDirectory
from critwin.sampler import Level
from critwin.samplers.exact import Draw, ExactSampler
from critwin.seeds import fold_in
from critwin.statistics import Interval, clustered_share
from critwin.theory.curves import Bracket, tv_bracket
from critwin.theory.posteriors import population
from experiments.tracker import Progress, Tracker

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """How often resamples fall into each group of components.

    Attributes:
        groups: The components of each of G groups; together all of them, each once.
        weights: Weight of each group, shape (G,).
        levels: Levels visited, increasing, shape (L,).
        times: The theory's time of each, decreasing, shape (L,).
        own: Group of each original, drawn from the whole mixture, shape (N,).
        first: Resamples of even number in each group, shape (L, N, G).
        second: Those of odd number.
    """

    groups: list[list[int]]
    weights: Floats
    levels: Ints
    times: Floats
    own: Ints
    first: Ints
    second: Ints

    @cached_property
    def counts(self) -> Ints:
        """Resamples in each group, shape (L, N, G)."""
        both: Ints = self.first + self.second
        return both

    @property
    def draws(self) -> int:
        """Resamples per original and level."""
        return int(self.counts[0, 0].sum())

    def within(self, members: Sequence[int]) -> list[int]:
        """Give the groups that make up a set of components.

        Raises:
            ValueError: The set cuts through a group.
        """
        wanted = set(members)
        found = [g for g, group in enumerate(self.groups) if wanted >= set(group)]
        if sum(len(self.groups[g]) for g in found) != len(wanted):
            raise ValueError(f"{sorted(wanted)[:9]} cuts through a group of components")
        return found

    def at(self, time: float) -> int:
        """Give the visited level whose time is nearest."""
        finite = np.where(np.isfinite(self.times), self.times, 1e9)
        return int(np.abs(finite - min(time, 1e9)).argmin())

    def leak(self, members: Sequence[int], place: int, *, level: float) -> Interval:
        """Give the share of resamples of originals in S that leave it, with its interval."""
        inside = self.within(members)
        counts = self.counts[place][np.isin(self.own, inside)]
        found = clustered_share(
            counts.sum(axis=1) - counts[:, inside].sum(axis=1), counts.sum(axis=1), level=level
        )
        # without an original of the population nothing is known; checks see to it for exact ones
        return Interval(0.5, 0.0, 1.0, 0, 0) if found is None else found

    def distance(self, members: Sequence[int], others: Sequence[int] | None, place: int) -> Bracket:
        """Bracket TV(p_t^members, p_t^others), or p_t itself, from labels alone."""
        inside = self.within(members)
        if others is None:
            chosen = [inside, self._rest(inside)]
        elif set(members) < set(others):
            # TV(A, B) for A within B is w(B - A) / w(B) of TV(A, B - A)
            chosen = [inside, [g for g in self.within(others) if g not in inside]]
        else:
            chosen = [inside, self.within(others)]
        halves = [
            np.stack(
                [*(half[place][:, g].sum(1) for g in chosen), self._left(half[place], chosen)], 1
            )
            for half in (self.first, self.second)
        ]
        if (halves[0] + halves[1]).sum(axis=0)[:2].min() == 0:
            # a learned model may never show a label at a level: nothing is known there
            return Bracket(0.0, 1.0, 0.0, 0.0, len(halves[0]), degenerate=True)
        found = tv_bracket(*halves, label=0, other=1)
        share = self.weights[chosen[1]].sum() / self.weights[chosen[0] + chosen[1]].sum()
        nested = others is None or set(members) < set(others)
        scale = float(share) if nested else 1.0
        return replace(
            found,
            lower=scale * found.lower,
            upper=scale * found.upper,
            lower_error=scale * found.lower_error,
            upper_error=scale * found.upper_error,
        )

    def label_distance(
        self, init: Sequence[int], targ: Sequence[int], place: int, *, level: float
    ) -> Interval:
        """Give the TV of the labels of p^{init,T} and of p^targ: at most that of the samples."""
        mine = np.isin(self.own, self.within(init))
        counts = self.counts[place][mine]
        goal = np.zeros(len(self.groups))
        aim = self.within(targ)
        goal[aim] = self.weights[aim] / self.weights[aim].sum()
        share = 1 - (1 - level) / len(self.groups)
        ends = [clustered_share(c, counts.sum(1), level=share) for c in counts.T]
        known = [end for end in ends if end is not None]
        least = [max(e.lower - w, w - e.upper, 0.0) for e, w in zip(known, goal, strict=True)]
        most = [max(e.upper - w, w - e.lower) for e, w in zip(known, goal, strict=True)]
        value = 0.5 * sum(abs(e.estimate - w) for e, w in zip(known, goal, strict=True))
        return Interval(
            value, 0.5 * sum(least), min(0.5 * sum(most), 1.0), int(counts.sum()), len(counts)
        )

    def _rest(self, inside: Sequence[int]) -> list[int]:
        return [g for g in range(len(self.groups)) if g not in inside]

    def _left(self, counts: Ints, chosen: Sequence[Sequence[int]]) -> Ints:
        taken = [g for group in chosen for g in group]
        left: Ints = counts.sum(1) - counts[:, taken].sum(1)
        return left


def measure(
    sampler: ExactSampler,
    directory: RunDirectory,
    *,
    groups: list[list[int]],
    levels: Sequence[Level],
    originals: int,
    replicates: int,
    seed: int,
    tracker: Tracker,
    progress: Progress,
) -> tuple[Measured, list[Draw]]:
    """Draw originals, observe each at every level, resample, and count groups; a level is a part.

    Returns:
        The counts, and the originals.
    """
    xs = sampler.draw_population(sampler.mixture_weights, originals, seed=seed)
    group_of = np.zeros(len(sampler.mixture_weights), np.int64)
    for number, group in enumerate(groups):
        group_of[group] = number
    seeds = [fold_in(seed, "resamples of", i) for i in range(originals)]
    done = [k for k in range(len(levels)) if directory.has_part("counts", k)]
    progress.begin("levels", len(levels), unit="levels", done=len(done))
    for number, level in enumerate(levels):
        if number in done:
            continue
        table = _count(sampler, xs, level, seeds, group_of=group_of, replicates=replicates)
        directory.write_part("counts", number, table, notes={})
        progress.advance(1, resamples=float(originals * replicates))
        tracker.log({"levels_done": number + 1})
    progress.end()
    parts = [directory.read_part("counts", k) for k in range(len(levels))]
    shape = (originals, len(groups))
    first, second = (
        np.stack([np.asarray(part[name].to_pylist()).reshape(shape) for part in parts])
        for name in ("first", "second")
    )
    weights = sampler.mixture_weights
    measured = Measured(
        groups=groups,
        weights=np.array([weights[g].sum() for g in groups]),
        levels=np.array(levels),
        times=np.array([sampler.time(level) for level in levels]),
        own=group_of[[x.component for x in xs]],
        first=first,
        second=second,
    )
    return measured, xs


def _count(
    sampler: ExactSampler,
    xs: Sequence[Draw],
    level: Level,
    seeds: Sequence[int],
    *,
    group_of: Ints,
    replicates: int,
) -> pa.Table:
    cuts = sampler.observe(
        xs, [level] * len(xs), seeds=[fold_in(seed, "observe", level) for seed in seeds]
    )
    draws = sampler.resample(cuts, seeds=[resample_seeds(s, level, replicates) for s in seeds])
    group = group_of[[[d.component for d in own] for own in draws]]
    count = int(group_of.max()) + 1
    halves = [
        (half[:, :, None] == np.arange(count)).sum(axis=1).tolist()
        for half in (group[:, ::2], group[:, 1::2])
    ]
    return pa.table({"first": halves[0], "second": halves[1]})


def groups_of(weights: Floats, *sets: Sequence[int]) -> list[list[int]]:
    """Give the coarsest groups of components of which all the sets are made."""
    for members in sets:
        population(weights, members)
    kinds: dict[tuple[bool, ...], list[int]] = {}
    inside = [set(members) for members in sets]
    for component in range(len(weights)):
        kinds.setdefault(tuple(component in s for s in inside), []).append(component)
    return list(kinds.values())


def spread_levels(sampler: ExactSampler, count: int, times: Sequence[float | None]) -> list[Level]:
    """Give evenly spread levels and those nearest to times that matter."""
    last = sampler.last_level
    even = np.linspace(0, last, min(count, last + 1)).round().astype(int).tolist()
    asked: list[int] = []
    for time in times:
        if time is not None and np.isfinite(time) and sampler.axis.low <= time <= sampler.axis.high:
            level = sampler.level_at(time)
            asked += [level, min(level + 1, last)]
    return sorted({*even, *asked} - {last})
