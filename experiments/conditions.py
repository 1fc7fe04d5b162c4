"""Experiments that draw whole answers under several conditions and count a label in each."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import pyarrow as pa

from critwin.claimed_parts import undone_parts
from critwin.conditions import DRAWS, conditions_figure, summarise_conditions
from critwin.drawing import save
from critwin.errors import ParameterError, ProblemError
from critwin.feature import Feature
from critwin.generation import TextSampler
from critwin.problem import Problem, ProblemSet, problems_table
from critwin.prompt import PromptTemplate
from critwin.protocol import Sampling
from critwin.records import RunDirectory
from critwin.seeds import fold_in
from experiments.experiment import Accounts, Experiment
from experiments.originals import Drawing, problem_blocks
from experiments.tracker import Progress, Tracker

ANSWERS_PER_PART = 256
"""Answers drawn and written together; fixed, so that a restart meets the same parts."""


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
class ConditionExperiment(Experiment):
    """Draw answers to the same problems under several conditions and compare how they end.

    Subclasses say what the conditions are. Answers are read together with what the prompt puts
    into the model's mouth.

    Attributes:
        model: The sampler.
        dataset: The problems.
        prompt: How a problem is put to the model.
        sampler: Sampling parameters.
        feature: Labels an answer.
        counted: The label whose share is asked for.
        answers_per_problem: Answers drawn per problem and condition, >= 1.
        seed: All randomness comes from it.
    """

    model: TextSampler
    dataset: ProblemSet
    prompt: PromptTemplate
    sampler: Sampling
    feature: Feature
    counted: str
    answers_per_problem: int = 10
    seed: int = 0

    shared: ClassVar[bool] = True
    axis: ClassVar[str] = "answers_done"
    varied: ClassVar[str]
    """What differs between the conditions, in words."""

    @abstractmethod
    def conditions(self) -> list[Condition]:
        """Give the conditions in their order; the others are compared with the first."""

    @property
    def products(self) -> tuple[str, ...]:
        """Tables, summary and figure."""
        return ("problems.parquet", "draws.parquet", "summary.json", "figures")

    @cached_property
    def problems(self) -> list[Problem]:
        """The problems, read once."""
        return self.dataset.load()

    def check(self) -> None:
        """Refuse components that do not fit together, and problem sets that cannot be read."""
        if type(self.answers_per_problem) is not int or self.answers_per_problem < 1:
            raise ParameterError(
                "answers_per_problem", self.answers_per_problem, "a whole number >= 1"
            )
        if type(self.seed) is not int:
            raise ParameterError("seed", self.seed, "a whole number")
        if not isinstance(self.counted, str) or not self.counted:
            raise ParameterError("counted", self.counted, "a label of the feature")
        try:
            self.model.with_sampling(self.sampler)
        except ParameterError as error:
            raise error.within("sampler") from None
        if not self.problems:
            raise ProblemError("the problem set is empty")

    def tags(self) -> list[str]:
        """Name the experiment, the model, the problem set and the feature."""
        parts = (self.model, self.dataset, self.feature)
        return [self.name, *(type(part).__name__ for part in parts)]

    def determining(self) -> Self:
        """Put the sampling parameters where they act: the same numbers have one run id."""
        model = self.model.with_sampling(self.sampler)
        return replace(self, model=model, sampler=Sampling())

    def run(
        self, directory: RunDirectory, *, tracker: Tracker, progress: Progress
    ) -> Accounts | None:
        """Draw the answers that are not drawn yet, then summarise and draw the figure."""
        directory.write("problems", problems_table(self.problems))
        if directory.has("draws"):
            self._summarise(directory)
            return None
        parts = self._parts()
        total = sum(len(block) for _, block in parts) * self.answers_per_problem
        done = sum(
            len(block) for i, (_, block) in enumerate(parts) if directory.has_part("draws", i)
        )
        progress.begin("answers", total, unit="answers", done=done * self.answers_per_problem)
        for rows in self._draw(directory, parts):
            done += rows // self.answers_per_problem
            progress.advance(rows)
            tracker.log({self.axis: float(done * self.answers_per_problem)})
        progress.end()
        notes = [directory.notes("draws", i) for i in range(len(parts))]
        order = ("x", "condition", "original_id")
        draws = directory.assemble("draws", len(parts), sort_by=order)
        began = time.perf_counter()
        self._summarise(directory)
        return Accounts(
            tokens_generated=sum(len(ids) for ids in draws["token_ids"].to_pylist()),
            seconds={
                "answers": sum(note["seconds"] for note in notes),
                "analysis": time.perf_counter() - began,
            },
        )

    def help(self, directory: RunDirectory, *, wanted: Callable[[], bool]) -> None:
        """Draw parts that no other process draws."""
        if not directory.has("draws"):
            for _ in self._draw(directory, self._parts(), wanted=wanted):
                pass

    def _parts(self) -> list[tuple[Condition, Sequence[Problem]]]:
        blocks = problem_blocks(len(self.problems), self.answers_per_problem, ANSWERS_PER_PART)
        return [
            (condition, [self.problems[k] for k in block])
            for condition in self.conditions()
            for block in blocks
        ]

    def _draw(
        self,
        directory: RunDirectory,
        parts: Sequence[tuple[Condition, Sequence[Problem]]],
        *,
        wanted: Callable[[], bool] = lambda: True,
    ) -> Iterator[int]:
        """Write the parts that are not there, and give the answers of each."""
        sampler = self.model.with_sampling(self.sampler)
        for i in undone_parts(directory, ["draws"], len(parts), wanted=wanted):
            began = time.perf_counter()
            condition, block = parts[i]
            drawing = Drawing(
                sampler=sampler,
                problems=block,
                prompt=condition.prompt,
                feature=self.feature,
                per_problem=self.answers_per_problem,
                seed=fold_in(self.seed, "condition", condition.name),
                prefixed=True,
            )
            rows = drawing.draw(block)
            own = {"condition": [condition.name] * len(rows), "x": [condition.x] * len(rows)}
            table = pa.table(
                {**own, **{name: rows[name] for name in rows.column_names}}, schema=DRAWS
            )
            notes = {"seconds": time.perf_counter() - began}
            directory.write_part("draws", i, table, notes=notes)
            yield len(rows)

    def _summarise(self, directory: RunDirectory) -> None:
        draws = directory.read("draws").to_pandas()
        names = [condition.name for condition in self.conditions()]
        summary = summarise_conditions(draws, names, self.counted, varied=self.varied)
        directory.write_json("summary", summary)
        folder = directory.path / "figures"
        folder.mkdir(exist_ok=True)
        save(conditions_figure(summary), folder / self.name)
