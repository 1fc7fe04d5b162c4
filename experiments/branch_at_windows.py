"""Does it matter causally? Votes of branches at windows, at open positions, from the start."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import pyarrow as pa

from critwin.branching import VOTES, budget_votes
from critwin.branching_summary import branching_figure, summarise_votes
from critwin.drawing import save
from critwin.errors import ParameterError, ProblemError
from critwin.feature import Feature
from critwin.generation import TextSampler
from critwin.problem import Problem, ProblemSet, problems_table
from critwin.prompt import PromptTemplate
from critwin.protocol import ForkProtocol, Sampling
from critwin.records import RunDirectory
from critwin.window import WindowRule
from experiments.branch_drawing import draw_branches, finding_tokens, plan_branches
from experiments.experiment import Accounts, Experiment
from experiments.fork_resampling import ForkResampling, forking, sought_by
from experiments.originals import Drawing
from experiments.tracker import Progress, Tracker

DRAWN = ("originals", *ForkResampling.tables, "branches")


@dataclass(frozen=True, kw_only=True)
class BranchAtWindows(Experiment):
    """Find windows by forks, branch there and elsewhere with fresh draws, and let branches vote.

    Attributes:
        model: The sampler; it has to be able to fork.
        dataset: The problems; those without a reference answer cannot be judged.
        prompt: How a problem is put to the model.
        sampler: Sampling parameters and the forks by which windows are found.
        feature: What is decided.
        window: What counts as a window.
        originals_per_problem: Originals drawn per problem, >= 1.
        budgets: Tokens that branches may generate, in lengths of their original, each >= 1,
            increasing.
        seed: All randomness comes from it.
    """

    model: TextSampler
    dataset: ProblemSet
    prompt: PromptTemplate
    sampler: ForkProtocol
    feature: Feature
    window: WindowRule
    originals_per_problem: int = 1
    budgets: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)
    seed: int = 0

    name: ClassVar[str] = "branch_at_windows"

    @property
    def products(self) -> tuple[str, ...]:
        """Tables, summary and figure."""
        tables = [f"{table}.parquet" for table in ("problems", *DRAWN, "votes")]
        return (*tables, "summary.json", "figures")

    @cached_property
    def problems(self) -> list[Problem]:
        """The problems, read once."""
        return self.dataset.load()

    def check(self) -> None:
        """Refuse components that do not fit together, and problems that cannot be judged."""
        if type(self.originals_per_problem) is not int or self.originals_per_problem < 1:
            raise ParameterError(
                "originals_per_problem", self.originals_per_problem, "a whole number >= 1"
            )
        if type(self.seed) is not int:
            raise ParameterError("seed", self.seed, "a whole number")
        rising = all(a < b for a, b in zip(self.budgets, self.budgets[1:], strict=False))
        if not self.budgets or not rising or not all(1 <= b < math.inf for b in self.budgets):
            allowed = "a non-empty list of increasing numbers, each >= 1"
            raise ParameterError("budgets", list(self.budgets), allowed)
        try:
            self.model.with_sampling(self.sampler)
        except ParameterError as error:
            raise error.within("sampler") from None
        forking(self.model)
        sought_by(self.sampler, self.window.sought)
        self.window.check(self.sampler)
        if not self.problems:
            raise ProblemError("the problem set is empty")
        if all(self.feature.truth(problem) is None for problem in self.problems):
            raise ParameterError(
                "feature",
                type(self.feature).__name__,
                "one that knows the right label of some problem, as votes are judged by it",
            )

    def tags(self) -> list[str]:
        """Name the experiment, the model, the problem set and the feature."""
        parts = (self.model, self.dataset, self.feature)
        return [self.name, *(type(part).__name__ for part in parts)]

    def determining(self) -> Self:
        """Put the sampling parameters where they act: the same numbers have one run id."""
        unset: dict[str, Any] = dict.fromkeys(Sampling().__dict__)
        model = self.model.with_sampling(self.sampler)
        budgets = tuple(float(budget) for budget in self.budgets)
        sampler = replace(self.sampler, **unset)
        return replace(self, model=model, sampler=sampler, budgets=budgets)

    def run(
        self, directory: RunDirectory, *, tracker: Tracker, progress: Progress
    ) -> Accounts | None:
        """Draw what is not drawn yet, then vote, summarise and draw the figure."""
        directory.write("problems", problems_table(self.problems))
        if all(directory.has(table) for table in DRAWN):
            self._analyse(directory)
            return None
        drawing = Drawing(
            sampler=self.model.with_sampling(self.sampler),
            problems=self.problems,
            prompt=self.prompt,
            feature=self.feature,
            per_problem=self.originals_per_problem,
            seed=self.seed,
        )
        resampling = ForkResampling(
            drawing=drawing, protocol=self.sampler, sought=self.window.sought
        )
        accounts = resampling.carry_out(
            directory, rule=self.window, tracker=tracker, progress=progress
        )
        originals = directory.read("originals")
        planned = plan_branches(
            originals.to_pandas(),
            directory.read("resamples").to_pandas(),
            directory.read("plans").to_pandas(),
            rule=self.window,
            most=max(self.budgets),
        )
        branches, seconds = draw_branches(
            directory, drawing, planned, originals.to_pylist(), progress
        )
        accounts.tokens_generated += sum(branches["tokens_generated"].to_pylist())
        accounts.seconds["branches"] = seconds
        accounts.seconds["analysis"] = self._analyse(directory)
        return accounts

    def _analyse(self, directory: RunDirectory) -> float:
        began = time.perf_counter()
        originals = directory.read("originals").to_pandas()
        branches = directory.read("branches").to_pandas()
        cost = finding_tokens(directory.read("plans").to_pandas())
        of = dict(list(branches.groupby("original_id")))
        rows = [
            row
            for original in originals[originals["truth"].notna()].to_dict("records")
            for row in budget_votes(
                {str(key): value for key, value in original.items()},
                of[original["original_id"]],
                truth=original["truth"],
                budgets=self.budgets,
                finding_tokens=cost[original["original_id"]],
            )
        ]
        directory.write("votes", pa.Table.from_pylist(rows, schema=VOTES))
        votes = directory.read("votes").to_pandas()
        directory.write_json("summary", summarise_votes(votes, originals, branches))
        folder = directory.path / "figures"
        folder.mkdir(exist_ok=True)
        save(branching_figure(votes), folder / "branch_at_windows")
        return time.perf_counter() - began
