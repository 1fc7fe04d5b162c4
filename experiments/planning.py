"""A pilot of a few originals: what a run will cost and show, measured on the device at hand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from critwin.asking import label_samples
from critwin.fork_allocation import Wish, allocate
from critwin.fork_drawing import draw_forks
from critwin.fork_expectation import Expectation
from critwin.forks import Forks
from critwin.generation import Generation, TextSampler
from critwin.planning import Total, plan_original
from critwin.problem import Problem
from critwin.protocol import ForkProtocol, Protocol
from critwin.sampler import ForkingSampler, Path
from critwin.seeds import fold_in
from critwin.window import WindowRule
from experiments.estimates import Cost, Estimate
from experiments.originals import Drawing, generation
from experiments.resampling import Resampling
from experiments.tracker import Progress

Value = TypeVar("Value")


def estimate(
    drawing: Drawing,
    protocol: Protocol,
    rule: WindowRule,
    *,
    originals: int,
    forks: int,
    progress: Progress,
) -> Estimate:
    """Draw a few originals and a few forks of each, and tell from them what the run will be.

    They are the run's own first originals of problems spread over the set; the forks are no part of
    any run.

    Args:
        drawing: Draws the originals of the run.
        protocol: How they will be resampled.
        rule: What will count as a window.
        originals: Originals to look at, each of another problem, >= 1.
        forks: Forks of each, >= 0; a sampler that cannot fork has none.
        progress: Shows the steps.
    """
    chosen = spread(drawing.problems, originals)
    began = time.perf_counter()
    progress.begin("loading", 1, unit="models")  # a step of its own: no speed is told by it
    _warm_up(drawing, chosen)
    progress.advance(1)
    progress.end()
    started = time.perf_counter()
    seen = _look(drawing, chosen, forks, progress)
    threshold = float(getattr(rule, "threshold", 0.0))
    made = [
        tuple(
            plan_original(
                protocol, e, compared=rule.fractions, threshold=threshold, sought=rule.sought
            )
            for e in expected
        )
        for expected in (seen.before, seen.after)
    ]
    return Estimate(
        protocol="forks" if isinstance(protocol, ForkProtocol) else "grid",
        problems=len(drawing.problems),
        originals=len(drawing.problems) * drawing.per_problem,
        before=made[0],
        plans=made[1],
        threshold=threshold,
        tokens_per_second=seen.tokens_per_second,
        seconds_before=started - began,
        device=drawing.sampler.device_used(),
        pilot_tokens=seen.tokens,
        pilot_seconds=time.perf_counter() - began,
        paths_known=seen.paths_known,
        aimed=isinstance(protocol, ForkProtocol) and protocol.aim == "windows",
    )


@dataclass(frozen=True)
class _Seen:
    """What a pilot saw.

    Attributes:
        before: What the path of each original lets expect.
        after: The same with its forks.
        tokens_per_second: The faster of originals and forks.
        tokens: Tokens drawn.
        paths_known: Whether the sampler says how probable its tokens are.
    """

    before: Sequence[Expectation]
    after: Sequence[Expectation]
    tokens_per_second: float
    tokens: int
    paths_known: bool


def _look(drawing: Drawing, chosen: Sequence[Problem], forks: int, progress: Progress) -> _Seen:
    """Draw an original of each problem and some forks of it."""
    forking = forks and _forks(drawing.sampler)
    progress.begin("pilot", 2 if forking else 1, unit="steps")
    started = time.perf_counter()
    rows = replace(drawing, per_problem=1).draw(chosen).to_pylist()
    samples = [generation(row) for row in rows]
    tokens = sum(len(x.token_ids) for x in samples)
    rate = tokens / (time.perf_counter() - started)
    progress.advance(1)
    known = _known(samples)
    paths = _paths(drawing, samples, known=known)
    before = [Expectation.from_path(path.probability) for path in paths]
    after = before
    if forking and known:
        drawn = time.perf_counter()
        after, more = _pilot(drawing, chosen, rows, paths, forks)
        if more:
            rate = max(rate, more / (time.perf_counter() - drawn))
            tokens += more
    if forking:
        progress.advance(1)
    progress.end()
    return _Seen(before, after, rate, tokens, known)


def pilot_cost(resampling: Resampling, *, originals: int, progress: Progress) -> Cost:
    """Tell from a few originals alone what drawing and resampling all of them takes.

    Args:
        resampling: What is to be carried out.
        originals: Problems to look at, >= 1; up to four originals of each.
        progress: Shows the steps.
    """
    drawing = resampling.drawing
    chosen = spread(drawing.problems, originals)
    began = time.perf_counter()
    progress.begin("pilot", 2, unit="steps")
    _warm_up(drawing, chosen)
    started = time.perf_counter()
    progress.advance(1)
    rows = replace(drawing, per_problem=min(drawing.per_problem, 4)).draw(chosen)
    lengths = [len(ids) for ids in rows["token_ids"].to_pylist()]
    rate = sum(lengths) / (time.perf_counter() - started)
    each = [
        length + resampling.expected_tokens(rows.slice(k, 1)) for k, length in enumerate(lengths)
    ]
    tokens = Total.of(each, len(drawing.problems) * drawing.per_problem)
    progress.advance(1)
    progress.end()
    seconds = tokens.over(rate).plus(started - began)
    return Cost(tokens, seconds, drawing.sampler.device_used())


def spread(values: Sequence[Value], count: int) -> list[Value]:
    """Choose so many values, at even distances, the first and the last among them."""
    at = np.unique(np.linspace(0, len(values) - 1, count).astype(int))
    return [values[i] for i in at]


def _warm_up(drawing: Drawing, problems: Sequence[Problem]) -> None:
    """Load the model and draw once: no speed is told by that."""
    replace(drawing, per_problem=1).draw(problems[:1])


def _known(samples: Sequence[Generation]) -> bool:
    """Tell whether the sampler says how probable its tokens were: not every server does."""
    return not any(np.isnan(x.surprisal).any() for x in samples)


def _forks(sampler: TextSampler) -> bool:
    return isinstance(sampler, ForkingSampler) and sampler.forks_refused() is None


def _paths(drawing: Drawing, samples: Sequence[Generation], *, known: bool) -> list[Path]:
    """Give the paths; where they are not known, ones that every resample leaves at once."""
    if not known:
        return [Path(np.zeros(len(x.token_ids))) for x in samples]
    if isinstance(drawing.sampler, ForkingSampler):
        return drawing.sampler.paths(samples)
    return [Path(np.exp(-np.asarray(x.surprisal, np.float64))) for x in samples]


def _pilot(
    drawing: Drawing,
    problems: Sequence[Problem],
    rows: Sequence[dict[str, Any]],
    paths: Sequence[Path],
    forks: int,
) -> tuple[list[Expectation], int]:
    """Draw forks of each original; give what they let expect, and their tokens."""
    sampler = drawing.sampler
    assert isinstance(sampler, ForkingSampler)
    unseen = [Expectation.from_path(path.probability) for path in paths]
    seeds = [fold_in(drawing.seed, row["original_id"], "plan") for row in rows]
    numbers = [
        own.blocks.spread(own.probability, plan.forks, seed=seed, stage="plan")
        for own, plan, seed in zip(
            unseen, allocate(unseen, Wish(max_forks=forks)), seeds, strict=True
        )
    ]
    samples = [generation(row) for row in rows]
    drawn = draw_forks(sampler, samples, numbers, stage="plan", seeds=seeds)
    expected, total = [], 0
    for problem, row, path, before, own in zip(problems, rows, paths, unseen, drawn, strict=True):
        (found,) = label_samples(drawing.feature, [([x for _, x in own], problem)], sampler)
        tokens = np.zeros(len(path.probability))
        for u, x in own:
            tokens[u - 1] += len(x.token_ids) - u + 1
        counts = Forks.of(
            row["original_id"],
            row["label"],
            path,
            position=[u for u, _ in own],
            labels=found.labels,
            blocks=before.blocks,
        )
        expected.append(Expectation.from_pilot(counts, row["label"], tokens=tokens))
        total += int(tokens.sum())
    return expected, total
