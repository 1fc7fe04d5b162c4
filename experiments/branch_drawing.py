"""Branches of originals: resamples from windows, from random open positions and from the start."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from critwin.asking import label_samples
from critwin.branching import ARMS, BRANCHES, assigned, certified_starts, open_positions
from critwin.claimed_parts import undone_parts
from critwin.feature import UNSCORED
from critwin.fork_tables import read_forks
from critwin.forks import fork_curve
from critwin.generation import truncate
from critwin.records import RunDirectory
from critwin.seeds import fold_in
from critwin.window import WindowRule
from experiments.originals import Drawing, generation
from experiments.tracker import Progress

PER_PART = 32
"""Originals whose branches are drawn and written together; fixed, for restarts."""


@dataclass(frozen=True)
class Branching:
    """Where an original is branched, and how often.

    Attributes:
        positions: Tokens kept, of each arm that has any; branches take them in turn.
        numbers: Branches of each arm: what the greatest budget asks for.
    """

    positions: Mapping[str, Sequence[int]]
    numbers: Mapping[str, int]

    def work(self) -> list[tuple[str, int, int]]:
        """Give arm, replicate and position of every branch."""
        return [
            (arm, replicate, own[replicate % len(own)])
            for arm, own in self.positions.items()
            for replicate in range(self.numbers[arm])
        ]


def plan_branches(
    originals: pd.DataFrame,
    resamples: pd.DataFrame,
    plans: pd.DataFrame,
    *,
    rule: WindowRule,
    most: float,
) -> list[Branching]:
    """Find the windows of originals by their forks and say where each is branched, and how often.

    Args:
        originals: The originals table.
        resamples: The resamples table of a run by forks; no branch is among them.
        plans: The plans table.
        rule: What counts as a window.
        most: The greatest budget, in lengths of the original.
    """
    cost = finding_tokens(plans)
    probability = dict(zip(plans["original_id"], plans["probability"], strict=True))
    found = []
    counted = read_forks(originals, resamples, plans)
    for forks, original_id, seed in zip(
        counted, originals["original_id"], originals["seed"], strict=True
    ):
        length, positions = forks.length, {"start": [0]}
        windows = [] if forks.own == UNSCORED else rule.find(fork_curve(forks, forks.own))
        if starts := certified_starts(windows):
            positions["windows"] = starts
            drawn = open_positions(probability[original_id], len(starts), seed=int(seed))
            positions["open"] = drawn
        tokens = dict.fromkeys(ARMS, most * length) | {"start": most * length + cost[original_id]}
        numbers = {
            arm: assigned(tokens[arm], length=length, positions=own)
            for arm, own in positions.items()
        }
        found.append(Branching(positions, numbers))
    return found


def finding_tokens(plans: pd.DataFrame) -> dict[str, int]:
    """Give the tokens that the forks of each original cost, the pilot among them."""
    total = plans["pilot_tokens"] + plans["main_tokens"]
    return dict(zip(plans["original_id"], total.astype(int), strict=True))


@dataclass(frozen=True)
class BranchDrawing:
    """Draws the branches of originals, in parts that several processes may make.

    Attributes:
        drawing: Draws and labels.
        planned: Where each original is branched, and how often.
        originals: Rows of the originals table.
    """

    drawing: Drawing
    planned: Sequence[Branching]
    originals: Sequence[dict[str, Any]]

    def carry_out(self, directory: RunDirectory, progress: Progress) -> tuple[pa.Table, float]:
        """Write the branches that are not there yet; give their table and the seconds it took."""
        blocks = self._blocks()
        done = self._drawn(directory)
        progress.begin("branches", len(self.originals), unit="originals", done=done)
        for i in undone_parts(directory, ["branches"], len(blocks)):
            self._make(directory, i)
            before, done = done, self._drawn(directory)  # other processes may draw, too
            progress.advance(done - before)
        progress.end()
        seconds = sum(directory.notes("branches", i)["seconds"] for i in range(len(blocks)))
        order = ("original_id", "arm", "replicate")
        return directory.assemble("branches", len(blocks), sort_by=order), seconds

    def help(self, directory: RunDirectory, *, wanted: Callable[[], bool]) -> None:
        """Draw parts that nobody draws yet, for the process that carries the run out."""
        count = len(self._blocks())
        for i in undone_parts(directory, ["branches"], count, wait=False, wanted=wanted):
            self._make(directory, i)

    def _blocks(self) -> list[range]:
        count = len(self.originals)
        return [range(i, min(i + PER_PART, count)) for i in range(0, count, PER_PART)]

    def _drawn(self, directory: RunDirectory) -> int:
        blocks = enumerate(self._blocks())
        return sum(len(block) for i, block in blocks if directory.has_part("branches", i))

    def _make(self, directory: RunDirectory, part: int) -> None:
        began = time.perf_counter()
        chosen = [(self.originals[k], self.planned[k]) for k in self._blocks()[part]]
        rows = _branches_of(self.drawing, chosen)
        notes = {"seconds": time.perf_counter() - began}
        directory.write_part("branches", part, rows, notes=notes)


def _branches_of(drawing: Drawing, chosen: Sequence[tuple[dict[str, Any], Branching]]) -> pa.Table:
    by_id = {problem.problem_id: problem for problem in drawing.problems}
    prefixes, seeds, work = [], [], []
    for row, branching in chosen:
        sample = generation(row)
        for arm, replicate, position in branching.work():
            prefixes.append(truncate(sample, position))
            seeds.append([fold_in(row["seed"], "branch", arm, replicate)])
            work.append((row, arm, replicate, position))
    drawn = drawing.sampler.resample(prefixes, seeds=seeds)
    rows = []
    for (row, arm, replicate, position), (draw,), (seed,) in zip(work, drawn, seeds, strict=True):
        rows.append(
            {
                "original_id": row["original_id"],
                "arm": arm,
                "replicate": replicate,
                "position": position,
                "text": draw.text,
                "log_probability": -sum(draw.surprisal),
                "finish_reason": draw.finish_reason,
                "tokens_generated": len(draw.token_ids) - position,
                "seed": seed,
            }
        )
    batches = [(own, by_id[row["problem_id"]]) for own, (row, *_) in zip(drawn, work, strict=True)]
    labelled = label_samples(drawing.feature, batches, drawing.sampler)
    for made, found in zip(rows, labelled, strict=True):
        (label,) = found.labels
        made |= {"label": label, "unscored": label == UNSCORED}
    return pa.Table.from_pylist(rows, schema=BRANCHES)
