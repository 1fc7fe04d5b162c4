"""Where is the uncertainty about an answer spent? The variance budget of originals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from critwin.budget_figure import uncertainty_figure
from critwin.budget_summary import summarise_budget
from critwin.budget_tables import generator_shares, read_folds, shares_of, shares_table, studied
from critwin.drawing import save
from critwin.fork_folds import FoldedForks
from critwin.problems.arithmetic import ArithmeticProblems
from critwin.problems.arithmetic_budget import student_budget
from critwin.records import RunDirectory
from experiments.estimates import Cost
from experiments.planning import pilot_cost
from experiments.text_experiment import TextExperiment
from experiments.tracker import Progress


@dataclass(frozen=True, kw_only=True)
class UncertaintyBudget(TextExperiment):
    """Draw originals without any condition and their forks in folds, and count what is spent where.

    Pairs of originals of a problem say how uncertain the answer is, so there are two at the least.
    """

    sampler: FoldedForks

    name: ClassVar[str] = "uncertainty_budget"
    fewest_originals: ClassVar[int] = 2

    @property
    def _made(self) -> tuple[str, ...]:
        return ("shares",)

    def cost(self, *, progress: Progress) -> Cost:
        """Measure, by a pilot of seconds, what a run would cost."""
        return pilot_cost(self._resampling(), originals=24, progress=progress)

    def _analyse(self, directory: RunDirectory, progress: Progress) -> None:
        names = ("originals", "resamples", "folds")
        originals, resamples, folds = (directory.read(name).to_pandas() for name in names)
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
