"""What experiments cost that draw or read more than originals and their resamples."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from critwin.planning import Total
from critwin.problem import Problem
from experiments.estimates import Cost
from experiments.originals import Drawing
from experiments.planning import spread
from experiments.tracker import Progress

PROBLEMS = 8
"""Problems whose answers a pilot draws under each condition that it looks at."""

ANSWERS = 4
"""Answers to each of them, at most."""


def answers_cost(drawings: Sequence[Drawing], *, answers: int, progress: Progress) -> Cost:
    """Tell from a few answers what so many take.

    Args:
        drawings: Draw them, one for each condition that is looked at, all to the same problems.
        answers: Answers that the run draws.
        progress: Shows the steps.
    """
    chosen = spread(drawings[0].problems, PROBLEMS)
    first = replace(drawings[0], per_problem=1)
    few = [replace(own, per_problem=min(own.per_problem, ANSWERS)) for own in drawings]
    return measured_cost(
        [partial(_lengths, own, chosen) for own in few],
        warm_up=partial(_lengths, first, chosen[:1]),
        times=answers,
        device=first.sampler.device_used,
        progress=progress,
    )


def _lengths(drawing: Drawing, problems: Sequence[Problem]) -> list[int]:
    return [len(ids) for ids in drawing.draw(problems)["token_ids"].to_pylist()]


def measured_cost(
    steps: Sequence[Callable[[], Sequence[int]]],
    *,
    warm_up: Callable[[], object],
    times: int,
    device: Callable[[], str],
    progress: Progress,
) -> Cost:
    """Do a few of many alike pieces of work, and extrapolate their tokens and time.

    Args:
        steps: Do some pieces each, and give the tokens of each piece.
        warm_up: Loads the model: no speed is told by that.
        times: Pieces of the whole run.
        device: Names what computes, once the model is loaded.
        progress: Shows the steps.
    """
    progress.begin("pilot", 1 + len(steps), unit="steps")
    began = time.perf_counter()
    warm_up()
    started = time.perf_counter()
    progress.advance(1)
    each: list[int] = []
    for step in steps:
        each += step()
        progress.advance(1)
    rate = max(sum(each), 1) / (time.perf_counter() - started)
    progress.end()
    tokens = Total.of(each, times)
    return Cost(tokens, tokens.over(rate).plus(started - began), device())
