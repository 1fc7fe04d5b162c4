"""Originals and resamples of a text sampler, in parts: a kill loses one part at most."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import pyarrow as pa

from critwin.curve import grid_curves
from critwin.feature import UNSCORED, Feature
from critwin.forward_reverse import forward_reverse, resample_seeds
from critwin.generation import Generation, TextSampler, truncate
from critwin.problem import Problem
from critwin.prompt import PromptTemplate
from critwin.protocol import Grid
from critwin.records import ORIGINALS, RESAMPLES, RunDirectory
from critwin.seeds import fold_in
from critwin.window import WindowRule
from experiments.experiment import Accounts
from experiments.tracker import Progress, Tracker

ORIGINALS_PER_PART = 128
"""Originals drawn and written together; fixed, so that a restart meets the same parts."""

REDRAWN = 64
"""Resamples drawn again in a batch of another composition, to count what rounding flips."""


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """Draws originals, cuts them at a protocol's levels, resamples and labels.

    Attributes:
        sampler: The sampler, sampling parameters set.
        problems: The problems.
        prompt: How a problem is put to the model.
        protocol: Levels visited and resamples at each.
        feature: Gives the labels.
        originals_per_problem: Originals drawn per problem.
        seed: Folded over identities before it reaches the sampler.
    """

    sampler: TextSampler
    problems: Sequence[Problem]
    prompt: PromptTemplate
    protocol: Grid
    feature: Feature
    originals_per_problem: int
    seed: int

    def carry_out(
        self, directory: RunDirectory, *, rule: WindowRule, tracker: Tracker, progress: Progress
    ) -> Accounts:
        """Write `originals.parquet` and `resamples.parquet`, drawing what is not drawn yet.

        Args:
            directory: The run directory, locked.
            rule: Used for the share with windows that the tracker is told.
            tracker: Told after each part.
            progress: Shown after each part.
        """
        blocks = self._draw_originals(directory, progress)
        self._draw_resamples(directory, _Telling(rule, tracker, progress))
        seconds = {
            table: sum(directory.notes(table, i)["seconds"] for i in range(count))
            for table, count in (("originals", blocks), ("resamples", len(self.problems)))
        }
        originals = directory.assemble("originals", blocks, sort_by=["original_id"])
        resamples = directory.assemble(
            "resamples", len(self.problems), sort_by=["original_id", "position", "replicate"]
        )
        drawn = sum(len(ids) for ids in originals["token_ids"].to_pylist())
        return Accounts(
            tokens_generated=drawn + sum(resamples["tokens_generated"].to_pylist()),
            seconds=seconds,
            facts={
                "device": self.sampler.device_used(),
                "rounding": self._count_flips(originals, resamples),
            },
        )

    def _draw_originals(self, directory: RunDirectory, progress: Progress) -> int:
        per_part = max(1, ORIGINALS_PER_PART // self.originals_per_problem)
        blocks = [self.problems[i : i + per_part] for i in range(0, len(self.problems), per_part)]
        missing = [i for i in range(len(blocks)) if not directory.has_part("originals", i)]
        done = sum(len(block) for i, block in enumerate(blocks) if i not in missing)
        scale = self.originals_per_problem
        progress.begin("originals", len(self.problems) * scale, unit="originals", done=done * scale)
        for i in missing:
            began = time.perf_counter()
            rows = self._originals_of(blocks[i])
            seconds = time.perf_counter() - began
            directory.write_part("originals", i, rows, notes={"seconds": seconds})
            progress.advance(rows.num_rows)
        progress.end()
        return len(blocks)

    def _originals_of(self, block: Sequence[Problem]) -> pa.Table:
        starts = self.sampler.start([self.prompt.render(problem) for problem in block])
        replicates = range(self.originals_per_problem)
        seeds = [
            [fold_in(self.seed, problem.problem_id, "original", r) for r in replicates]
            for problem in block
        ]
        drawn = self.sampler.resample(starts, seeds=seeds)
        rows = []
        for problem, own, own_seeds in zip(block, drawn, seeds, strict=True):
            truth = self.feature.truth(problem)
            labels = self.feature.labels([x.text for x in own], problem)
            for r, (x, label) in enumerate(zip(own, labels, strict=True)):
                rows.append(
                    {
                        "original_id": f"{problem.problem_id}/{r}",
                        "problem_id": problem.problem_id,
                        "replicate": r,
                        "prompt": self.sampler.prompt_text(x.prompt_ids),
                        "prompt_ids": x.prompt_ids,
                        "text": x.text,
                        "token_ids": x.token_ids,
                        "tokens": self.sampler.tokens(x.token_ids),
                        "surprisal": x.surprisal,
                        "label": label,
                        "truth": truth,
                        "correct": None if label == UNSCORED or truth is None else label == truth,
                        "unscored": label == UNSCORED,
                        "finish_reason": x.finish_reason,
                        "seed": own_seeds[r],
                    }
                )
        return pa.Table.from_pylist(rows, schema=ORIGINALS)

    def _draw_resamples(self, directory: RunDirectory, telling: _Telling) -> None:
        """Resample one problem's originals after the other: a part is one problem."""
        there = [directory.has_part("resamples", i) for i in range(len(self.problems))]
        scale = self.originals_per_problem
        telling.progress.begin(
            "resamples", len(self.problems) * scale, unit="originals", done=sum(there) * scale
        )
        per_part = max(1, ORIGINALS_PER_PART // scale)
        # parts of earlier starts are counted first, so that what is told is about the whole run
        for i in sorted(range(len(self.problems)), key=lambda i: not there[i]):
            block = directory.read_part("originals", i // per_part)
            originals = block.slice(i % per_part * scale, scale)
            if there[i]:
                seconds = directory.notes("resamples", i)["seconds"]
                telling.count(originals, directory.read_part("resamples", i), seconds)
                continue
            began = time.perf_counter()
            rows = self._resamples_of(self.problems[i], originals.to_pylist())
            seconds = time.perf_counter() - began
            directory.write_part("resamples", i, rows, notes={"seconds": seconds})
            telling.count(originals, rows, seconds)
            telling.tell(originals.num_rows)
        telling.progress.end()

    def _resamples_of(self, problem: Problem, originals: list[dict[str, Any]]) -> pa.Table:
        xs = [_generation(row) for row in originals]
        levels = [
            self.protocol.positions(len(x.token_ids), partial(self.sampler.snap, x)) for x in xs
        ]
        drawn = forward_reverse(
            self.sampler,
            xs,
            levels,
            draws=self.protocol.n,
            seeds=[row["seed"] for row in originals],
        )
        flat = [
            (row, x, level, r, draw)
            for row, x, own, cuts in zip(originals, xs, levels, drawn, strict=True)
            for level, draws in zip(own, cuts, strict=True)
            for r, draw in enumerate(draws)
        ]
        labels = self.feature.labels([draw.text for *_, draw in flat], problem)
        seeds = {
            (row["original_id"], level): resample_seeds(row["seed"], level, self.protocol.n)
            for row, own in zip(originals, levels, strict=True)
            for level in own
        }
        kept_text = {
            (row["original_id"], level): self.sampler.text(x.token_ids[:level])
            for row, x, own in zip(originals, xs, levels, strict=True)
            for level in own
        }
        rows = []
        for (row, x, level, r, draw), label in zip(flat, labels, strict=True):
            begin = _shared_characters(kept_text[row["original_id"], level], x.text, draw.text)
            fresh = draw.token_ids[level:]
            unscored = label == UNSCORED
            rows.append(
                {
                    "original_id": row["original_id"],
                    "position": level,
                    "t": 1 - level / len(x.token_ids),
                    "replicate": r,
                    "kind": "grid",
                    "first_token": fresh[0] if fresh else None,
                    "text_start": begin,
                    "text": draw.text[begin:],
                    "label": label,
                    "agrees": None if unscored or row["unscored"] else label == row["label"],
                    "unscored": unscored,
                    "finish_reason": draw.finish_reason,
                    "tokens_generated": len(fresh),
                    "seed": seeds[row["original_id"], level][r],
                }
            )
        return pa.Table.from_pylist(rows, schema=RESAMPLES)

    def _count_flips(self, originals: pa.Table, resamples: pa.Table) -> dict[str, int]:
        """Draw some resamples again in one mixed batch and count those that come out differently.

        The seeds are the same, so a difference is float rounding alone.
        """
        by_id = {row["original_id"]: row for row in originals.to_pylist()}
        every = max(1, resamples.num_rows // REDRAWN)
        chosen = resamples.take(list(range(0, resamples.num_rows, every))[:REDRAWN]).to_pylist()
        xs = [_generation(by_id[row["original_id"]]) for row in chosen]
        again = self.sampler.resample(
            [truncate(x, row["position"]) for x, row in zip(xs, chosen, strict=True)],
            seeds=[[row["seed"]] for row in chosen],
        )
        differ = sum(
            x.text[: row["text_start"]] + row["text"] != draw.text
            for x, row, (draw,) in zip(xs, chosen, again, strict=True)
        )
        return {"redrawn": len(chosen), "redrawn_differently": differ}


@dataclass
class _Telling:
    """Keeps count over the parts of a run and tells tracker and progress."""

    rule: WindowRule
    tracker: Tracker
    progress: Progress
    originals: int = 0
    with_window: int = 0
    tokens: int = 0
    seconds: float = 0.0

    def count(self, originals: pa.Table, resamples: pa.Table, seconds: float) -> None:
        """Count a part and the seconds that it took."""
        columns = ["original_id", "position", "label", "kind"]
        curves = grid_curves(originals.to_pandas(), resamples.select(columns).to_pandas())
        self.originals += originals.num_rows
        self.with_window += sum(
            bool(self.rule.find(c)) for c in curves if c.own and c.label != UNSCORED
        )
        self.tokens += int(pd.Series(resamples["tokens_generated"]).sum())
        self.seconds += seconds

    def tell(self, fresh: int) -> None:
        """Tell what was counted; `fresh` originals are new since the last time."""
        self.tracker.log(
            {
                "originals_done": self.originals,
                "tokens_per_second": self.tokens / self.seconds,
                "share_with_window": self.with_window / self.originals,
            }
        )
        self.progress.advance(fresh, **{"tokens/s": self.tokens / self.seconds})


def _shared_characters(kept: str, original: str, resample: str) -> int:
    """Count the characters that original and resample share because their tokens were kept."""
    if resample.startswith(kept) and original.startswith(kept):
        return len(kept)
    pairs = zip(kept, resample, original, strict=False)
    return next((i for i, (a, b, c) in enumerate(pairs) if not a == b == c), 0)


def _generation(row: dict[str, Any]) -> Generation:
    return Generation(
        prompt_ids=tuple(row["prompt_ids"]),
        token_ids=tuple(row["token_ids"]),
        surprisal=tuple(row["surprisal"]),
        text=row["text"],
        finish_reason=row["finish_reason"],
    )
