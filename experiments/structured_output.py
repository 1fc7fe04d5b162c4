"""At which token is each choice of a structured answer made?"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import ClassVar

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from critwin.claimed_parts import undone_parts
from critwin.curve import read_curves
from critwin.drawing import save
from critwin.errors import ParameterError
from critwin.features.choosing import ChoosingFeature
from critwin.records import RunDirectory
from critwin.seeds import fold_in
from critwin.structured_choices import (
    CHOICES,
    choice_rows,
    choices_table,
    drawn_original,
    staircase,
)
from experiments.estimates import Cost
from experiments.experiment import Accounts
from experiments.originals import Drawing, problem_blocks
from experiments.pilots import answers_cost
from experiments.text_windows import TextWindows
from experiments.tracker import Progress, Tracker

GENERATIONS_PER_PART = 512
"""Generations drawn and written together; fixed, so that a restart meets the same parts."""


@dataclass(frozen=True, kw_only=True)
class StructuredOutput(TextWindows):
    """Find the windows of structured answers by forks, and by prefixes as the paper did.

    The `feature` has to be a structured choice.

    Attributes:
        generations: Whole generations of each problem, among which those that begin like an
            original are looked for, >= 1.

    Source:
        Li, Karan, Chen (2025), arXiv:2502.00921, Section 6.1 and Figure 4.
    """

    originals_per_problem: int = 10
    generations: int = 2000

    name: ClassVar[str] = "structured_output"

    def check(self) -> None:
        """Refuse features without blanks."""
        super().check()
        if not isinstance(self.feature, ChoosingFeature):
            raise ParameterError(
                "feature",
                type(self.feature).__name__,
                "one that reads choices: form_blanks or structured_choice",
            )
        if type(self.generations) is not int or self.generations < 1:
            raise ParameterError("generations", self.generations, "a whole number >= 1")

    def cost(self, *, progress: Progress) -> Cost | None:
        """Tell what a run would cost, its whole generations among it."""
        forks = super().cost(progress=progress)
        drawing = self._drawing_whole()
        count = len(self.problems) * self.generations
        whole = answers_cost([drawing], answers=count, progress=progress)
        return None if forks is None else forks.joined(whole)

    @property
    def products(self) -> tuple[str, ...]:
        """What the main job makes, and the choices."""
        return (*super().products, "choices.parquet")

    @property
    def _drawn(self) -> tuple[str, ...]:
        return (*super()._drawn, "generations")

    def _draw(self, directory: RunDirectory, tracker: Tracker, progress: Progress) -> Accounts:
        accounts = super()._draw(directory, tracker, progress)
        tokens, seconds = self._generations(directory, progress)
        accounts.tokens_generated += tokens
        accounts.seconds["generations"] = seconds
        return accounts

    def _analyse(self, directory: RunDirectory, progress: Progress) -> None:
        super()._analyse(directory, progress)
        self._choices(directory, directory.read("generations").to_pandas())

    def _drawing_whole(self) -> Drawing:
        seed = fold_in(self.seed, "generations")
        return replace(self._drawing(), per_problem=self.generations, seed=seed)

    def _generations(self, directory: RunDirectory, progress: Progress) -> tuple[int, float]:
        """Write the generations that are not there yet; give their tokens and seconds."""
        blocks = problem_blocks(len(self.problems), self.generations, GENERATIONS_PER_PART)
        drawing = self._drawing_whole()
        done = sum(len(b) for i, b in enumerate(blocks) if directory.has_part("generations", i))
        total = len(self.problems) * self.generations
        progress.begin("generations", total, unit="answers", done=done * self.generations)
        for i in undone_parts(directory, ["generations"], len(blocks)):
            began = time.perf_counter()
            rows = drawing.draw([self.problems[k] for k in blocks[i]])
            kept = rows.select(["problem_id", "replicate", "text", "label", "seed"])
            tokens = pc.list_value_length(rows["token_ids"])
            notes = {"seconds": time.perf_counter() - began}
            table = kept.append_column("tokens_generated", tokens)
            directory.write_part("generations", i, table, notes=notes)
            progress.advance(len(rows))
        progress.end()
        seconds = sum(directory.notes("generations", i)["seconds"] for i in range(len(blocks)))
        order = ("problem_id", "replicate")
        generations = directory.assemble("generations", len(blocks), sort_by=order)
        return pc.sum(generations["tokens_generated"]).as_py(), seconds

    def _choices(self, directory: RunDirectory, generations: pd.DataFrame) -> None:
        assert isinstance(self.feature, ChoosingFeature)  # `check` refuses others
        originals = directory.read("originals").to_pandas()
        windows = directory.read("windows").to_pandas()
        curves = {
            c.original_id: c for c in read_curves(directory.read("curves").to_pandas()) if c.own
        }
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
