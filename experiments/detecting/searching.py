"""Searching originals by every rule at every budget: pieces of work that processes share."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from critwin.changes import Sought, Width
from critwin.seeds import fold_in
from experiments.detecting.calibration import Calibrated, calibrate
from experiments.detecting.draws import Budget, draw
from experiments.detecting.rules import rules
from experiments.detecting.scoring import Tally, Truth, score
from experiments.detecting.sources import Source

ONCE = ("hierarchy", "scale")
"""Rules that search the first replicate only: they would take most of the time."""

J = TypeVar("J")
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class SearchJob:
    """One original that is to be searched at every budget.

    Attributes:
        source: The original.
        number: Its number, which its draws are seeded by.
        calibrated: Settings of the calibrated baselines at each budget.
        threshold: Rises above it are windows.
        max_width: Over at most so many tokens.
        replicates: Trajectories for each budget.
        seed: Of the run.
    """

    source: Source
    number: int
    calibrated: Mapping[Budget, Calibrated]
    threshold: float
    max_width: float
    replicates: int
    seed: int


@dataclass(frozen=True)
class CalibrationJob:
    """One budget at which the baselines are calibrated.

    Attributes:
        empty: Originals without a window.
        budget: What is drawn of each.
        threshold: Pieces of `change_point` must differ by more than it.
        max_width: Of what forks are aimed at.
        trajectories: So many of each original.
        seed: Of the run.
    """

    empty: Sequence[Source]
    budget: Budget
    threshold: float
    max_width: float
    trajectories: int
    seed: int


def search(job: SearchJob) -> Rows:
    """Search one original at every budget by every rule; rows of the cells table."""
    rows = []
    sought = Sought(job.threshold, Width(job.max_width))
    truth = Truth.of(job.source, threshold=job.threshold, max_width=job.max_width)
    truths = {"scale": _truth_of_scale(job)}
    for at, (budget, calibrated) in enumerate(job.calibrated.items()):
        count = budget.draws(job.source)
        if not count:
            continue
        asked = dict(rules(job.threshold, job.max_width)) | dict(calibrated.rules(job.threshold))
        tallies = {name: Tally() for name in asked}
        for replicate in range(job.replicates):
            rng = np.random.default_rng(fold_in(job.seed, job.number, at, replicate))
            drawn = draw(job.source, budget, rng, sought)
            for name, rule in asked.items():
                if replicate and name in ONCE:
                    continue
                windows = rule.judge(drawn.curves).windows
                score(truths.get(name, truth), windows, drawn.tokens, tallies[name])
        described = {"original": job.source.name, "source": job.source.kind, "draws": count}
        described |= {"kind": budget.kind, "equal": budget.equal, "size": budget.size}
        rows += [{**described, "rule": name, **t.row()} for name, t in tallies.items()]
    return rows


def settle(job: CalibrationJob) -> Rows:
    """Choose the settings of the baselines at one budget; rows of the calibration table."""
    return calibrate(
        job.empty,
        job.budget,
        sought=Sought(job.threshold, Width(job.max_width)),
        trajectories=job.trajectories,
        seed=job.seed,
    )


def done_by(
    work: Callable[[J], Rows], jobs: Mapping[int, J], *, workers: int
) -> Iterator[tuple[int, Rows]]:
    """Do jobs in so many processes, each given as soon as it is done.

    Args:
        work: What is done with a job.
        jobs: Jobs by number.
        workers: Processes, >= 1; with one, or one job, all is done in this one.
    """
    if workers == 1 or len(jobs) < 2:
        for number, job in jobs.items():
            yield number, work(job)
        return
    context = multiprocessing.get_context("spawn")  # a forked copy of torch's threads may hang
    # whatever ends this process ends them at once: what they are at is done again
    with context.Pool(min(workers, len(jobs)), initializer=_deaf) as pool:
        yield from pool.imap_unordered(partial(_numbered, work), jobs.items())


def _deaf() -> None:
    """Leave Ctrl-C, which all processes of a terminal get, to the one that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _numbered(work: Callable[[J], Rows], item: tuple[int, J]) -> tuple[int, Rows]:
    return item[0], work(item[1])


def _truth_of_scale(job: SearchJob) -> Truth:
    """Give what `scale` asks for: rises over any width, none shorter than the shortest there is."""
    truth = Truth.of(job.source, threshold=job.threshold, max_width=job.source.length)
    least = min((end - start for start, end in truth.pairs), default=0)
    return replace(truth, max_width=job.max_width, least=least)
