"""Where is the uncertainty about an answer spent? The variance budget of originals."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

from critwin.budget_figure import uncertainty_figure
from critwin.budget_summary import summarise_budget
from critwin.budget_tables import generator_shares, read_folds, shares_of, shares_table, studied
from critwin.drawing import save
from critwin.errors import ParameterError, ProblemError
from critwin.feature import Feature
from critwin.fork_folds import FoldedForks
from critwin.generation import TextSampler
from critwin.problem import Problem, ProblemSet, problems_table
from critwin.problems.arithmetic import ArithmeticProblems
from critwin.problems.arithmetic_budget import student_budget
from critwin.prompt import PromptTemplate
from critwin.protocol import Sampling
from critwin.records import RunDirectory
from experiments.experiment import Accounts, Cost, Experiment
from experiments.fold_resampling import FoldResampling
from experiments.fork_resampling import forking
from experiments.originals import Drawing
from experiments.planning import pilot_cost
from experiments.tracker import Progress, Tracker

DRAWN = ("originals", "resamples", "folds")


@dataclass(frozen=True, kw_only=True)
class UncertaintyBudget(Experiment):
    """Draw originals without any condition and their forks in folds, and count what is spent where.

    Attributes:
        model: The sampler; it has to be able to fork.
        dataset: The problems.
        prompt: How a problem is put to the model.
        sampler: Sampling parameters and how many forks stand where there is a choice.
        feature: What is decided.
        originals_per_problem: Originals drawn per problem, >= 2: pairs of them say how uncertain
            the answer is.
        seed: All randomness comes from it.
    """

    model: TextSampler
    dataset: ProblemSet
    prompt: PromptTemplate
    sampler: FoldedForks
    feature: Feature
    originals_per_problem: int = 4
    seed: int = 0

    name: ClassVar[str] = "uncertainty_budget"
    shared: ClassVar[bool] = True

    @property
    def products(self) -> tuple[str, ...]:
        """Tables, summary and figure."""
        tables = [f"{table}.parquet" for table in ("problems", *DRAWN, "shares")]
        return (*tables, "summary.json", "figures")

    @cached_property
    def problems(self) -> list[Problem]:
        """The problems, read once."""
        return self.dataset.load()

    def check(self) -> None:
        """Refuse components that do not fit together, and problem sets that cannot be read."""
        if type(self.originals_per_problem) is not int or self.originals_per_problem < 2:
            raise ParameterError(
                "originals_per_problem", self.originals_per_problem, "a whole number >= 2"
            )
        if type(self.seed) is not int:
            raise ParameterError("seed", self.seed, "a whole number")
        try:
            self.model.with_sampling(self.sampler)
        except ParameterError as error:
            raise error.within("sampler") from None
        forking(self.model)
        if not self.problems:
            raise ProblemError("the problem set is empty")

    def tags(self) -> list[str]:
        """Name the experiment, the model, the problem set and the feature."""
        parts = (self.model, self.dataset, self.feature)
        return [self.name, *(type(part).__name__ for part in parts)]

    def determining(self) -> Self:
        """Put the sampling parameters where they act: the same numbers have one run id."""
        unset: dict[str, Any] = dict.fromkeys(Sampling().__dict__)
        model = self.model.with_sampling(self.sampler)
        return replace(self, model=model, sampler=replace(self.sampler, **unset))

    def run(
        self, directory: RunDirectory, *, tracker: Tracker, progress: Progress
    ) -> Accounts | None:
        """Draw what is not drawn yet, then count, summarise and draw the figure."""
        directory.write("problems", problems_table(self.problems))
        if all(directory.has(table) for table in DRAWN):
            self._analyse(directory, progress)
            return None
        resampling = self._resampling()
        accounts = resampling.carry_out(directory, tracker=tracker, progress=progress)
        accounts.seconds["analysis"] = self._analyse(directory, progress)
        return accounts

    def help(self, directory: RunDirectory, *, wanted: Callable[[], bool]) -> None:
        """Draw parts of originals and forks that no other process draws."""
        if not all(directory.has(table) for table in DRAWN):
            self._resampling().help(directory, wanted=wanted)

    def cost(self, *, progress: Progress) -> Cost:
        """Measure, by a pilot of seconds, what a run would cost."""
        return pilot_cost(self._resampling(), originals=24, progress=progress)

    def _resampling(self) -> FoldResampling:
        drawing = Drawing(
            sampler=self.model.with_sampling(self.sampler),
            problems=self.problems,
            prompt=self.prompt,
            feature=self.feature,
            per_problem=self.originals_per_problem,
            seed=self.seed,
        )
        return FoldResampling(drawing=drawing, protocol=self.sampler)

    def _analyse(self, directory: RunDirectory, progress: Progress) -> float:
        began = time.perf_counter()
        originals, resamples, folds = (directory.read(name).to_pandas() for name in DRAWN)
        by_problem = studied(originals, read_folds(originals, resamples, folds), self.problems)
        truth = dict(zip(originals["problem_id"], originals["truth"], strict=True))
        progress.begin("analysis", len(by_problem), unit="problems")
        rows: list[dict[str, Any]] = []
        for problem_id, own in by_problem.items():
            rows += shares_of(problem_id, own, truth=truth[problem_id])
            progress.advance(1)
        rows += self._generator()
        progress.end()
        directory.write("shares", shares_table(rows))
        shares = directory.read("shares").to_pandas()
        directory.write_json("summary", summarise_budget(shares, originals, resamples))
        folder = directory.path / "figures"
        folder.mkdir(exist_ok=True)
        save(uncertainty_figure(shares), folder / "uncertainty_budget")
        return time.perf_counter() - began

    def _generator(self) -> list[dict[str, Any]]:
        """Count what the student who wrote the problems would spend, at the model's temperature."""
        if not isinstance(self.dataset, ArithmeticProblems):
            return []
        sampling = self.model.with_sampling(self.sampler)
        temperature = getattr(sampling, "temperature", None)
        if not temperature:
            return []
        stories = zip(self.problems, self.dataset.stories(), strict=True)
        return [
            row
            for problem, story in stories
            for row in generator_shares(
                problem.problem_id, student_budget(story, temperature=temperature)
            )
        ]
