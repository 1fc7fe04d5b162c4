"""Which window rule finds what is there, and how often does it fire on nothing?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import pyarrow as pa

from critwin.asking import refuse_asking
from critwin.errors import ParameterError, ProblemError
from critwin.feature import UNSCORED, Feature
from critwin.fork_tables import read_forks
from critwin.generation import TextSampler
from critwin.problem import Problem, ProblemSet
from critwin.prompt import PromptTemplate
from critwin.protocol import ForkProtocol
from critwin.records import RunDirectory
from critwin.windows.confident_jump import ConfidentJump
from experiments.detecting.calibration import CALIBRATION, Calibrated, read_calibration
from experiments.detecting.draws import AIMED, KINDS, Budget
from experiments.detecting.figures import write_figures
from experiments.detecting.searching import CalibrationJob, SearchJob, done_by, search, settle
from experiments.detecting.sources import Source, planted, reference, true_stretches
from experiments.detecting.summary import CELLS, summarise
from experiments.experiment import Accounts, Experiment
from experiments.fork_resampling import ForkResampling, forking, sought_by
from experiments.originals import Drawing
from experiments.tracker import Progress, Tracker


@dataclass(frozen=True, kw_only=True)
class DetectorBenchmark(Experiment):
    """Search curves whose truth is known, by every rule, and count what is found and what is false.

    Some originals are Markov strings with planted windows, drifts and dips; others are answers of a
    model, whose curves are known from very many forks. Counts are drawn from them again and again.

    Attributes:
        model: The model whose answers are studied beside the planted ones.
        dataset: The problems that it answers.
        prompt: How a problem is put to it.
        sampler: Sampling parameters, and the very many forks of each answer.
        feature: What is decided.
        originals: Answers studied, to the first problems, >= 0; 0 for planted ones alone.
        threshold: Rises above it are windows, in (0, 1).
        max_width: Over at most so many tokens, >= 1.
        draws: Draws per position at which the rules are compared.
        tokens: Tokens generated at which they are compared.
        replicates: Trajectories per budget of originals with a window, >= 1; `scale` and
            `hierarchy` search the first of any original only.
        empty_replicates: Trajectories per budget of originals without a window, on which false
            ones are counted, and as many others on which baselines are calibrated, >= 1.
        workers: Processes that search, >= 1; they change no number.
        seed: All randomness comes from it.
    """

    model: TextSampler
    dataset: ProblemSet
    prompt: PromptTemplate
    sampler: ForkProtocol
    feature: Feature
    originals: int = 8
    threshold: float = 0.2
    max_width: float = 10.0
    draws: tuple[int, ...] = (5, 10, 25, 50, 100, 200)
    tokens: tuple[int, ...] = (10_000, 30_000, 100_000)
    replicates: int = 10
    empty_replicates: int = 20
    workers: int = 2
    seed: int = 0

    name: ClassVar[str] = "detector_benchmark"
    stage: ClassVar[str] = "benchmark"
    axis: ClassVar[str] = "originals_done"
    execution: ClassVar[frozenset[str]] = frozenset({"workers"})

    def __post_init__(self) -> None:
        for key in ("draws", "tokens"):
            value = getattr(self, key)
            if isinstance(value, list | tuple):
                object.__setattr__(self, key, tuple(value))

    @property
    def products(self) -> tuple[str, ...]:
        """Settings, cells, summary and figure; the answers where there are any."""
        drawn = ("originals", *ForkResampling.tables) if self.originals else ()
        return (
            *(f"{table}.parquet" for table in (*drawn, "calibration", "cells")),
            "summary.json",
            "figures",
        )

    @cached_property
    def problems(self) -> list[Problem]:
        """The problems, read once."""
        return self.dataset.load()

    def check(self) -> None:
        """Refuse values that make no sense, and components that do not fit together."""
        for key, low in (
            ("originals", 0),
            ("replicates", 1),
            ("empty_replicates", 1),
            ("workers", 1),
        ):
            if type(getattr(self, key)) is not int or getattr(self, key) < low:
                raise ParameterError(key, getattr(self, key), f"a whole number >= {low}")
        for key in ("draws", "tokens"):
            value = getattr(self, key)
            whole = isinstance(value, tuple) and all(type(v) is int and v >= 1 for v in value)
            if not whole or not value or list(value) != sorted(set(value)):
                shown = list(value) if isinstance(value, tuple) else value
                raise ParameterError(
                    key, shown, "a non-empty list of increasing whole numbers >= 1"
                )
        if type(self.seed) is not int:
            raise ParameterError("seed", self.seed, "a whole number")
        ConfidentJump(threshold=self.threshold, max_width=self.max_width)
        if self.max_width < 1:
            raise ParameterError("max_width", self.max_width, "a number of tokens >= 1")
        try:
            model = self.model.with_sampling(self.sampler)
        except ParameterError as error:
            raise error.within("sampler") from None
        refuse_asking(self.feature, "it measures how texts are drawn")
        sought_by(self.sampler, None)  # answers serve as a truth: whole curves are wanted
        if self.originals:
            forking(model)
            if not self.problems:
                raise ProblemError("the problem set is empty")

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        """Draw the answers and their forks, then search originals one by one, each a part."""
        accounts = self._draw_answers(directory, tracker, progress)
        began = time.perf_counter()
        sources = [*planted(), *self._references(directory)]
        calibrated = self._calibrate(directory, sources, progress)
        missing = [i for i in range(len(sources)) if not directory.has_part("cells", i)]
        progress.begin("search", len(sources), unit="originals", done=len(sources) - len(missing))
        jobs = {
            i: SearchJob(
                sources[i],
                i,
                calibrated,
                self.threshold,
                self.max_width,
                self.empty_replicates if self._empty(sources[i]) else self.replicates,
                self.seed,
            )
            for i in missing
        }
        for done, (i, rows) in enumerate(done_by(search, jobs, workers=self.workers), 1):
            directory.write_part("cells", i, pa.Table.from_pylist(rows, schema=CELLS), notes={})
            tracker.log({"originals_done": len(sources) - len(missing) + done})
            progress.advance(1)
        progress.end()
        order = ["original", "kind", "equal", "size", "rule"]
        cells = directory.assemble("cells", len(sources), sort_by=order).to_pandas()
        summary = summarise(cells, threshold=self.threshold, max_width=self.max_width)
        summary["calibration"] = directory.read("calibration").to_pylist()
        directory.write_json("summary", summary)
        write_figures(cells, directory.path / "figures")
        accounts.seconds["search"] = time.perf_counter() - began
        return accounts

    def _calibrate(
        self, directory: RunDirectory, sources: Sequence[Source], progress: Progress
    ) -> dict[Budget, Calibrated]:
        """Choose the baselines' settings on originals without a window, each budget a part."""
        empty = [source for source in sources if self._empty(source)]
        budgets = self._budgets()
        jobs = {
            at: CalibrationJob(
                empty, budget, self.threshold, self.max_width, self.empty_replicates, self.seed
            )
            for at, budget in enumerate(budgets)
            if not directory.has_part("calibration", at)
        }
        done = len(budgets) - len(jobs)
        progress.begin("calibrate", len(budgets), unit="budgets", done=done)
        for at, rows in done_by(settle, jobs, workers=self.workers):
            directory.write_part(
                "calibration", at, pa.Table.from_pylist(rows, schema=CALIBRATION), notes={}
            )
            progress.advance(1)
        progress.end()
        order = ["kind", "equal", "size", "rule"]
        settings = read_calibration(directory.assemble("calibration", len(budgets), sort_by=order))
        return {budget: settings[budget] for budget in budgets}

    def _empty(self, source: Source) -> bool:
        """Tell whether there is nothing to be found."""
        wanted = {"threshold": self.threshold, "width": int(self.max_width)}
        return not true_stretches(source.curve, **wanted)  # type: ignore[arg-type]

    def _draw_answers(
        self, directory: RunDirectory, tracker: Tracker, progress: Progress
    ) -> Accounts:
        if not self.originals:
            return Accounts()
        drawing = Drawing(
            sampler=self.model.with_sampling(self.sampler),
            problems=self.problems[: self.originals],
            prompt=self.prompt,
            feature=self.feature,
            per_problem=1,
            seed=self.seed,
        )
        resampling = ForkResampling(drawing=drawing, protocol=self.sampler)
        rule = ConfidentJump(threshold=self.threshold, max_width=self.max_width)
        return resampling.carry_out(directory, rule=rule, tracker=tracker, progress=progress)

    def _references(self, directory: RunDirectory) -> list[Source]:
        if not self.originals:
            return []
        tables = (directory.read(t).to_pandas() for t in ("originals", "resamples", "plans"))
        return [reference(forks) for forks in read_forks(*tables) if forks.own != UNSCORED]

    def _budgets(self) -> list[Budget]:
        return [
            *(Budget(kind, "draws", size) for kind in KINDS for size in self.draws),
            *(Budget(kind, "tokens", size) for kind in (*KINDS, AIMED) for size in self.tokens),
        ]
