"""What experiments on text share: fields, checks and the order in which things are done.

To write a new one, inherit from `TextExperiment`, or from `TextWindows` (text_windows.py) where
curves and windows of every answer are wanted, and say only what differs. An experiment that draws
originals and resamples of them as its protocol says needs no more than

    @dataclass(frozen=True, kw_only=True)
    class LlmReasoning(TextWindows):
        \"\"\"What it answers.\"\"\"

        name: ClassVar[str] = "llm_reasoning"

beside its `conf/exp/llm_reasoning.yaml`. One that measures something else

- adds fields, which are keys of its config, or narrows the type of one (`sampler: ForkProtocol`)
  or its default, by declaring it again;
- refuses their bad values in `check`, and then calls `super().check()`;
- names in `_drawn` the tables that need the model, in `_made` those that the analysis writes;
- draws the first in `_draw`, in parts, so that a kill loses one at most (`_resampling` draws
  originals and resamples in parts; further tables are drawn after it);
- writes the second, the summary and the figures in `_analyse`, from the records alone.

What is drawn stands on disk before it is analysed, so a start that finds it draws nothing.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

from critwin.asking import check_asking
from critwin.changes import Sought
from critwin.errors import ParameterError, ProblemError
from critwin.feature import Feature
from critwin.fork_folds import FoldedForks
from critwin.generation import TextSampler
from critwin.problem import Problem, ProblemSet, problems_table
from critwin.prompt import PromptTemplate
from critwin.protocol import ForkProtocol, Grid, Sampling
from critwin.records import RunDirectory
from experiments.experiment import Accounts, Experiment
from experiments.fold_resampling import FoldResampling
from experiments.fork_resampling import ForkResampling, forking, sought_by
from experiments.grid_resampling import GridResampling
from experiments.originals import Drawing
from experiments.resampling import Resampling
from experiments.tracker import Progress, Tracker

RESAMPLINGS: tuple[tuple[type[Sampling], type[Resampling]], ...] = (
    (ForkProtocol, ForkResampling),
    (Grid, GridResampling),
    (FoldedForks, FoldResampling),
)
"""How originals are resampled under each protocol."""


@dataclass(frozen=True, kw_only=True)
class TextExperiment(Experiment):
    """Draw originals of a text sampler, resample and label them, and analyse the records.

    Attributes:
        model: The sampler; it has to be able to fork where the protocol draws forks.
        dataset: The problems.
        prompt: How a problem is put to the model.
        sampler: Sampling parameters, and what is resampled of an original.
        feature: What is decided.
        originals_per_problem: Originals drawn per problem, >= `fewest_originals`.
        seed: All randomness comes from it.
    """

    model: TextSampler
    dataset: ProblemSet
    prompt: PromptTemplate
    sampler: Sampling
    feature: Feature
    originals_per_problem: int = 4
    seed: int = 0

    shared: ClassVar[bool] = True

    fewest_originals: ClassVar[int] = 1
    """Originals per problem that the experiment needs at the least."""

    @property
    def products(self) -> tuple[str, ...]:
        """Tables, summary and figures."""
        tables = [f"{table}.parquet" for table in ("problems", *self._drawn, *self._made)]
        return (*tables, "summary.json", "figures")

    @cached_property
    def problems(self) -> list[Problem]:
        """The problems, read once."""
        return self.dataset.load()

    def check(self) -> None:
        """Refuse components that do not fit together, and problem sets that cannot be read."""
        fewest = self.fewest_originals
        if type(self.originals_per_problem) is not int or self.originals_per_problem < fewest:
            allowed = f"a whole number >= {fewest}"
            raise ParameterError("originals_per_problem", self.originals_per_problem, allowed)
        if type(self.seed) is not int:
            raise ParameterError("seed", self.seed, "a whole number")
        try:
            model = self.model.with_sampling(self.sampler)
        except ParameterError as error:
            raise error.within("sampler") from None
        if isinstance(self.sampler, ForkProtocol | FoldedForks):
            forking(model)
        if isinstance(self.sampler, ForkProtocol):
            sought_by(self.sampler, self._sought)
        check_asking(self.feature, self.model)
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
        """Draw what is not drawn yet, then analyse the records."""
        directory.write("problems", problems_table(self.problems))
        if all(directory.has(table) for table in self._drawn):
            self._analyse(directory, progress)
            return None
        accounts = self._draw(directory, tracker, progress)
        began = time.perf_counter()
        self._analyse(directory, progress)
        accounts.seconds["analysis"] = time.perf_counter() - began
        return accounts

    def help(self, directory: RunDirectory, *, wanted: Callable[[], bool]) -> None:
        """Draw parts of originals and resamples that no other process draws."""
        if not all(directory.has(table) for table in self._drawn):
            self._resampling().help(directory, wanted=wanted)

    @property
    def _drawn(self) -> tuple[str, ...]:
        """Tables that need the model."""
        return ("originals", *self._kind().tables)

    @property
    def _made(self) -> tuple[str, ...]:
        """Tables that the analysis writes."""
        return ()

    def _draw(self, directory: RunDirectory, tracker: Tracker, progress: Progress) -> Accounts:
        """Write the tables that need the model, drawing what is not drawn yet."""
        return self._resampling().carry_out(directory, tracker=tracker, progress=progress)

    @abstractmethod
    def _analyse(self, directory: RunDirectory, progress: Progress) -> None:
        """Write the other tables, the summary and the figures, from the records alone."""

    def _drawing(self) -> Drawing:
        """Give what draws and labels the originals."""
        return Drawing(
            sampler=self.model.with_sampling(self.sampler),
            problems=self.problems,
            prompt=self.prompt,
            feature=self.feature,
            per_problem=self.originals_per_problem,
            seed=self.seed,
        )

    @property
    def _sought(self) -> Sought | None:
        """What forks may be aimed at; None where no rule certifies windows."""
        return None

    def _resampling(self) -> Resampling:
        """Give what draws originals and resamples, in parts."""
        kind = self._kind()
        if kind is ForkResampling and isinstance(self.sampler, ForkProtocol):
            return ForkResampling(
                drawing=self._drawing(), protocol=self.sampler, sought=self._sought
            )
        return kind(drawing=self._drawing(), protocol=self.sampler)

    def _kind(self) -> type[Resampling]:
        for protocol, kind in RESAMPLINGS:
            if isinstance(self.sampler, protocol):
                return kind
        raise TypeError(f"{type(self.sampler).__name__} is no protocol of a text sampler")
