"""At which token is each choice of a structured answer made?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
import pyarrow as pa

from critwin.claimed_parts import undone_parts
from critwin.curve import read_curves
from critwin.drawing import save
from critwin.errors import ParameterError
from critwin.features.structured_choice import StructuredChoice
from critwin.records import RunDirectory
from critwin.seeds import fold_in
from critwin.structured_choices import (
    CHOICES,
    choice_rows,
    choices_table,
    drawn_original,
    staircase,
)
from experiments.experiment import Accounts
from experiments.llm_math import LlmMath
from experiments.tracker import Progress, Tracker

GENERATIONS_PER_PART = 512
"""Generations drawn and written together; fixed, so that a restart meets the same parts."""

GENERATIONS = pa.schema(
    [
        ("problem_id", pa.string()),
        ("replicate", pa.int32()),
        ("text", pa.string()),
        ("label", pa.string()),
        ("tokens_generated", pa.int32()),
        ("seed", pa.int64()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class StructuredOutput(LlmMath):
    """Find the windows of structured answers by forks, and by prefixes as the paper did.

    The fields are those of `LlmMath`, whose `feature` has to be a structured choice, and one more.

    Attributes:
        generations: Whole generations of each problem, among which those that begin like an
            original are looked for, >= 1.

    Source:
        Li, Karan, Chen (2025), arXiv:2502.00921, Section 6.1 and Figure 4.
    """

    generations: int = 1000

    name: ClassVar[str] = "structured_output"

    @property
    def products(self) -> tuple[str, ...]:
        """What the main job makes, generations and choices."""
        return (*super().products, "generations.parquet", "choices.parquet")

    def check(self) -> None:
        """Refuse features without blanks."""
        super().check()
        if not isinstance(self.feature, StructuredChoice):
            raise ParameterError(
                "feature", type(self.feature).__name__, "a structured choice, with named blanks"
            )
        if type(self.generations) is not int or self.generations < 1:
            raise ParameterError("generations", self.generations, "a whole number >= 1")

    def run(
        self, directory: RunDirectory, *, tracker: Tracker, progress: Progress
    ) -> Accounts | None:
        """Draw generations, do the main job, then put both beside each other."""
        generations, seconds = self._generations(directory, progress)
        accounts = super().run(directory, tracker=tracker, progress=progress)
        self._choices(directory, generations)
        if accounts is not None:
            accounts.tokens_generated += int(generations["tokens_generated"].sum())
            accounts.seconds["generations"] = seconds
        return accounts

    def _generations(
        self, directory: RunDirectory, progress: Progress
    ) -> tuple[pd.DataFrame, float]:
        if directory.has("generations"):
            return directory.read("generations").to_pandas(), 0.0
        size = max(1, GENERATIONS_PER_PART // self.generations)
        blocks = [self.problems[i : i + size] for i in range(0, len(self.problems), size)]
        done = sum(len(b) for i, b in enumerate(blocks) if directory.has_part("generations", i))
        total = len(self.problems) * self.generations
        progress.begin("generations", total, unit="answers", done=done * self.generations)
        sampler = self.model.with_sampling(self.sampler)
        for i in undone_parts(directory, ["generations"], len(blocks)):
            began, rows = time.perf_counter(), []
            starts = sampler.start([self.prompt.render(problem) for problem in blocks[i]])
            seeds = [
                [
                    fold_in(self.seed, problem.problem_id, "generation", r)
                    for r in range(self.generations)
                ]
                for problem in blocks[i]
            ]
            drawn = sampler.resample(starts, seeds=seeds)
            for problem, own, own_seeds in zip(blocks[i], drawn, seeds, strict=True):
                labels = self.feature.labels([x.text for x in own], problem)
                for r, (x, label, seed) in enumerate(zip(own, labels, own_seeds, strict=True)):
                    rows.append((problem.problem_id, r, x.text, label, len(x.token_ids), seed))
            columns = dict(zip(GENERATIONS.names, zip(*rows, strict=True), strict=True))
            table = pa.table(
                {name: list(values) for name, values in columns.items()}, schema=GENERATIONS
            )
            notes = {"seconds": time.perf_counter() - began}
            directory.write_part("generations", i, table, notes=notes)
            progress.advance(len(rows))
        progress.end()
        seconds = sum(directory.notes("generations", i)["seconds"] for i in range(len(blocks)))
        order = ("problem_id", "replicate")
        table = directory.assemble("generations", len(blocks), sort_by=order)
        return table.to_pandas(), seconds

    def _choices(self, directory: RunDirectory, generations: pd.DataFrame) -> None:
        assert isinstance(self.feature, StructuredChoice)  # `check` refuses others
        originals = directory.read("originals").to_pandas()
        windows = directory.read("windows").to_pandas()
        curves = {c.original_id: c for c in read_curves(directory.read("curves")) if c.own}
        of = dict(list(generations.groupby("problem_id")))
        rows = [
            row
            for original in originals.to_dict("records")
            for row in choice_rows(
                {str(key): value for key, value in original.items()},
                self.feature,
                of[original["problem_id"]],
                curves[original["original_id"]],
                windows[windows["original_id"] == original["original_id"]],
            )
        ]
        directory.write("choices", pa.Table.from_pylist(rows, schema=CHOICES))
        choices = directory.read("choices").to_pandas()
        summary = directory.read_json("summary") or {}
        tables = summary.get("tables")
        summary["tables"] = [*(tables if isinstance(tables, list) else []), choices_table(choices)]
        directory.write_json("summary", summary)
        if (name := drawn_original(originals, choices)) is not None:
            original = originals[originals["original_id"] == name].to_dict("records")[0]
            figure = staircase(
                {str(key): value for key, value in original.items()},
                of[original["problem_id"]],
                curves[name],
                choices[choices["original_id"] == name],
            )
            save(figure, directory.path / "figures" / "staircase")
