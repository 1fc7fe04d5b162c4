"""Experiments that draw whole answers under several conditions and count a label in each."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import pyarrow as pa

from critwin.claimed_parts import undone_parts
from critwin.conditions import DRAWS, conditions_figure, summarise_conditions
from critwin.drawing import save
from critwin.errors import ParameterError
from critwin.problem import Problem
from critwin.prompt import PromptTemplate
from critwin.protocol import Sampling
from critwin.records import RunDirectory
from critwin.seeds import fold_in
from experiments.estimates import Cost
from experiments.experiment import Accounts
from experiments.originals import Drawing, problem_blocks
from experiments.pilots import answers_cost
from experiments.planning import spread
from experiments.text_experiment import TextExperiment
from experiments.tracker import Progress, Tracker

ANSWERS_PER_PART = 256
"""Answers drawn and written together; fixed, so that a restart meets the same parts."""

CONDITIONS_LOOKED_AT = 8
"""Conditions under which a pilot draws answers."""


@dataclass(frozen=True)
class Condition:
    """One way to put the problems.

    Attributes:
        name: As tables show it.
        x: What is varied, as a number; None where it is none.
        prompt: Makes the prompts.
    """

    name: str
    x: float | None
    prompt: PromptTemplate


@dataclass(frozen=True, kw_only=True)
class ConditionExperiment(TextExperiment):
    """Draw answers to the same problems under several conditions and compare how they end.

    Subclasses say what the conditions are. Answers are read together with what the prompt puts
    into the model's mouth; none is resampled. `originals_per_problem` counts the answers to each
    problem under each condition.

    Attributes:
        counted: The label whose share is asked for.
    """

    originals_per_problem: int = 10
    counted: str

    axis: ClassVar[str] = "answers_done"
    varied: ClassVar[str]
    """What differs between the conditions, in words."""

    @abstractmethod
    def conditions(self) -> list[Condition]:
        """Give the conditions in their order; the others are compared with the first."""

    def check(self) -> None:
        """Refuse protocols that resample, and what is no label."""
        if type(self.sampler) is not Sampling:
            allowed = "answers: they are drawn whole here"
            raise ParameterError("sampler", type(self.sampler).__name__, allowed)
        if not isinstance(self.counted, str) or not self.counted:
            raise ParameterError("counted", self.counted, "a label of the feature")
        super().check()

    def help(self, directory: RunDirectory, *, wanted: Callable[[], bool]) -> None:
        """Draw parts that no other process draws."""
        if not directory.has("draws"):
            for _ in self._answers(directory, self._parts(), wanted=wanted):
                pass

    def cost(self, *, progress: Progress) -> Cost:
        """Tell, from a few answers under some of the conditions, what a run would cost."""
        conditions = self.conditions()
        return answers_cost(
            [self._drawing_under(own) for own in spread(conditions, CONDITIONS_LOOKED_AT)],
            answers=len(conditions) * len(self.problems) * self.originals_per_problem,
            progress=progress,
        )

    @property
    def _drawn(self) -> tuple[str, ...]:
        return ("draws",)

    def _draw(self, directory: RunDirectory, tracker: Tracker, progress: Progress) -> Accounts:
        parts = self._parts()
        total = sum(len(block) for _, block in parts) * self.originals_per_problem
        there = [len(b) for i, (_, b) in enumerate(parts) if directory.has_part("draws", i)]
        done = sum(there) * self.originals_per_problem
        progress.begin("answers", total, unit="answers", done=done)
        for rows in self._answers(directory, parts):
            done += rows
            progress.advance(rows)
            tracker.log({self.axis: float(done)})
        progress.end()
        notes = [directory.notes("draws", i) for i in range(len(parts))]
        order = ("x", "condition", "original_id")
        draws = directory.assemble("draws", len(parts), sort_by=order)
        return Accounts(
            tokens_generated=sum(len(ids) for ids in draws["token_ids"].to_pylist()),
            seconds={"answers": sum(note["seconds"] for note in notes)},
        )

    def _analyse(self, directory: RunDirectory, progress: Progress) -> None:
        draws = directory.read("draws").to_pandas()
        names = [condition.name for condition in self.conditions()]
        summary = summarise_conditions(draws, names, self.counted, varied=self.varied)
        directory.write_json("summary", summary)
        folder = directory.path / "figures"
        folder.mkdir(exist_ok=True)
        save(conditions_figure(summary), folder / self.name)

    def _drawing_under(self, condition: Condition) -> Drawing:
        return replace(
            self._drawing(),
            prompt=condition.prompt,
            seed=fold_in(self.seed, "condition", condition.name),
            prefixed=True,
        )

    def _parts(self) -> list[tuple[Condition, Sequence[Problem]]]:
        blocks = problem_blocks(len(self.problems), self.originals_per_problem, ANSWERS_PER_PART)
        return [
            (condition, [self.problems[k] for k in block])
            for condition in self.conditions()
            for block in blocks
        ]

    def _answers(
        self,
        directory: RunDirectory,
        parts: Sequence[tuple[Condition, Sequence[Problem]]],
        *,
        wanted: Callable[[], bool] = lambda: True,
    ) -> Iterator[int]:
        """Write the parts that are not there, and give the answers of each."""
        for i in undone_parts(directory, ["draws"], len(parts), wanted=wanted):
            began = time.perf_counter()
            condition, block = parts[i]
            rows = self._drawing_under(condition).draw(block)
            own = {"condition": [condition.name] * len(rows), "x": [condition.x] * len(rows)}
            table = pa.table(
                {**own, **{name: rows[name] for name in rows.column_names}}, schema=DRAWS
            )
            notes = {"seconds": time.perf_counter() - began}
            directory.write_part("draws", i, table, notes=notes)
            yield len(rows)
