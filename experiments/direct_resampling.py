"""Resamples at cuts, and beside them what the model says when it is asked right there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from critwin.asking import draw_replies
from critwin.generation import truncate
from critwin.problem import Problem
from critwin.prompt import Prompt
from critwin.seeds import fold_in
from experiments.estimates import Cost
from experiments.grid_resampling import GridResampling
from experiments.originals import generation
from experiments.pilots import PROBLEMS, measured_cost
from experiments.planning import spread
from experiments.resample_rows import ResampleRows
from experiments.tracker import Progress


@dataclass(frozen=True, kw_only=True)
class DirectResampling(GridResampling):
    """Resamples originals at the cuts of a grid and asks for the answer at each of them.

    Attributes:
        said: What is asked, and how the reply begins.
        direct_n: Direct answers per cut.
        temperature: Of the direct answers.
        reply_tokens: Their length limit.
    """

    said: Prompt
    direct_n: int
    temperature: float
    reply_tokens: int

    def _tables_of(self, originals: list[dict[str, Any]]) -> dict[str, pa.Table]:
        rows = ResampleRows(self.sampler)
        self._add_grid(rows, originals)
        self._add_direct(rows, originals)
        return {"resamples": rows.table()}

    def direct_cost(self, *, progress: Progress) -> Cost:
        """Tell, from the direct answers of a few originals, what those of all take."""
        drawing = self.drawing
        chosen = spread(drawing.problems, PROBLEMS)

        def replies(problems: Sequence[Problem]) -> list[int]:
            rows = replace(drawing, per_problem=1).draw(problems).to_pylist()
            samples = [generation(row) for row in rows]
            cuts = [(i, level) for i, x in enumerate(samples) for level in self._cuts(x)]
            y = [truncate(samples[i], level) for i, level in cuts]
            drawn = draw_replies(
                self.sampler,
                y,
                [self.said] * len(y),
                seeds=[[rows[i]["seed"]] for i, _ in cuts],
                temperature=self.temperature,
                tokens=self.reply_tokens,
            )
            tokens = [0] * len(samples)
            for (i, _), (reply,) in zip(cuts, drawn, strict=True):
                tokens[i] += reply.tokens * self.direct_n
            return tokens

        return measured_cost(
            [lambda: replies(chosen)],
            warm_up=lambda: replies(chosen[:1]),
            times=len(drawing.problems) * drawing.per_problem,
            device=self.sampler.device_used,
            progress=progress,
        )

    def _add_direct(self, rows: ResampleRows, originals: list[dict[str, Any]]) -> None:
        samples = [generation(row) for row in originals]
        cuts = [(i, level) for i, x in enumerate(samples) for level in self._cuts(x)]
        seeds = [
            [fold_in(originals[i]["seed"], "direct", at, r) for r in range(self.direct_n)]
            for i, at in cuts
        ]
        replies = draw_replies(
            self.sampler,
            [truncate(samples[i], level) for i, level in cuts],
            [self.said] * len(cuts),
            seeds=seeds,
            temperature=self.temperature,
            tokens=self.reply_tokens,
        )
        by_id = {problem.problem_id: problem for problem in self.drawing.problems}
        labels = self.drawing.feature.labels_of(
            [
                ([reply.text for reply in own], by_id[originals[i]["problem_id"]])
                for (i, _), own in zip(cuts, replies, strict=True)
            ]
        )
        for (i, level), own, names, own_seeds in zip(cuts, replies, labels, seeds, strict=True):
            for replicate, (reply, label, seed) in enumerate(
                zip(own, names, own_seeds, strict=True)
            ):
                rows.add_direct(
                    originals[i],
                    reply,
                    position=level,
                    replicate=replicate,
                    label=label,
                    seed=seed,
                )
