"""The main job: where does a language model decide the answers that it gives?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

from critwin.errors import ParameterError, ProblemError
from critwin.feature import Feature
from critwin.generation import TextSampler
from critwin.problem import Problem, ProblemSet, problems_table
from critwin.prompt import PromptTemplate
from critwin.protocol import ForkProtocol, Grid, Protocol, Sampling
from critwin.records import RunDirectory
from critwin.window import WindowRule
from experiments.analysis import analyse, products
from experiments.experiment import Accounts, Experiment
from experiments.fork_resampling import ForkResampling, forking, sought_by
from experiments.grid_resampling import GridResampling
from experiments.originals import Drawing
from experiments.planning import Estimate, estimate
from experiments.resampling import Resampling
from experiments.tracker import Progress, Tracker


@dataclass(frozen=True, kw_only=True)
class LlmMath(Experiment):
    """Draw originals, cut them, resample, label, and find the windows of every answer.

    Attributes:
        model: The sampler.
        dataset: The problems.
        prompt: How a problem is put to the model.
        sampler: Sampling parameters and the levels visited.
        feature: What is decided.
        window: What counts as a window.
        originals_per_problem: Originals drawn per problem, >= 1.
        seed: All randomness comes from it.
    """

    model: TextSampler
    dataset: ProblemSet
    prompt: PromptTemplate
    sampler: Protocol
    feature: Feature
    window: WindowRule
    originals_per_problem: int = 4
    seed: int = 0

    name: ClassVar[str] = "llm_math"
    shared: ClassVar[bool] = True

    @property
    def products(self) -> tuple[str, ...]:
        """Tables, those of forks where there are any, summary, figures and page."""
        return products(("problems", *self._drawn()), self.sampler)

    @cached_property
    def problems(self) -> list[Problem]:
        """The problems, read once."""
        return self.dataset.load()

    def check(self) -> None:
        """Refuse components that do not fit together, and problem sets that cannot be read."""
        if type(self.originals_per_problem) is not int or self.originals_per_problem < 1:
            raise ParameterError(
                "originals_per_problem", self.originals_per_problem, "a whole number >= 1"
            )
        if type(self.seed) is not int:
            raise ParameterError("seed", self.seed, "a whole number")
        try:
            self.model.with_sampling(self.sampler)
        except ParameterError as error:
            raise error.within("sampler") from None
        if isinstance(self.sampler, ForkProtocol):
            forking(self.model)
            sought_by(self.sampler, self.window.sought)
        self.window.check(self.sampler)
        if not self.problems:
            raise ProblemError("the problem set is empty")

    def tags(self) -> list[str]:
        """Name the experiment, the model, the problem set and the feature."""
        parts = (self.model, self.dataset, self.feature)
        return [self.name, *(type(part).__name__ for part in parts)]

    def determining(self) -> Self:
        """Put the sampling parameters where they act: the same numbers have one run id."""
        unset: dict[str, None] = dict.fromkeys(Sampling().__dict__)
        return replace(
            self,
            model=self.model.with_sampling(self.sampler),
            sampler=replace(self.sampler, **unset),
        )

    def run(
        self, directory: RunDirectory, *, tracker: Tracker, progress: Progress
    ) -> Accounts | None:
        """Draw what is not drawn yet, then make curves, windows, summary, figures and page."""
        directory.write("problems", problems_table(self.problems))
        if all(directory.has(table) for table in self._drawn()):
            self._analyse(directory, progress)
            return None
        resampling = self._resampling()
        accounts = resampling.carry_out(
            directory, rule=self.window, tracker=tracker, progress=progress
        )
        accounts.seconds["analysis"] = self._analyse(directory, progress)
        return accounts

    def help(self, directory: RunDirectory, *, wanted: Callable[[], bool]) -> None:
        """Draw parts of originals and resamples that no other process draws."""
        if not all(directory.has(table) for table in self._drawn()):
            self._resampling().help(directory, wanted=wanted)

    def _drawn(self) -> tuple[str, ...]:
        """Name the tables that need the model."""
        forks = isinstance(self.sampler, ForkProtocol)
        return ("originals", *(ForkResampling if forks else GridResampling).tables)

    def estimate(self, *, originals: int, forks: int, progress: Progress) -> Estimate:
        """Measure, by a pilot of seconds, what a run would cost and show."""
        return estimate(
            self._drawing(),
            self.sampler,
            self.window,
            originals=originals,
            forks=forks,
            progress=progress,
        )

    def _drawing(self) -> Drawing:
        return Drawing(
            sampler=self.model.with_sampling(self.sampler),
            problems=self.problems,
            prompt=self.prompt,
            feature=self.feature,
            per_problem=self.originals_per_problem,
            seed=self.seed,
        )

    def _resampling(self) -> Resampling:
        drawing = self._drawing()
        if isinstance(self.sampler, ForkProtocol):
            return ForkResampling(drawing=drawing, protocol=self.sampler, sought=self.window.sought)
        if isinstance(self.sampler, Grid):
            return GridResampling(drawing=drawing, protocol=self.sampler)
        raise TypeError(f"{type(self.sampler).__name__} is no protocol of a text sampler")

    def _analyse(self, directory: RunDirectory, progress: Progress) -> float:
        return analyse(
            directory,
            protocol=self.sampler,
            rule=self.window,
            progress=progress,
        )
