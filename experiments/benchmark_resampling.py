"""How fast resampling is, side by side: transformers' own ways, the engine, and forks."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from critwin.asking import refuse_asking
from critwin.errors import ParameterError, ProblemError
from critwin.feature import Feature
from critwin.problem import Problem, ProblemSet
from critwin.prompt import PromptTemplate
from critwin.protocol import Grid
from critwin.records import RunDirectory
from critwin.samplers.language import LanguageSampler
from experiments.benchmarking.choices import choose
from experiments.benchmarking.figures import write_figures
from experiments.benchmarking.plain_generation import Checkpoint
from experiments.benchmarking.results import Round
from experiments.benchmarking.roofline import Roofline, roofline
from experiments.benchmarking.rounds import Rounds
from experiments.benchmarking.summary import summarise
from experiments.benchmarking.work import Work, draw_work
from experiments.experiment import Accounts, Experiment
from experiments.tracker import Progress, Tracker


@dataclass(frozen=True, kw_only=True)
class BenchmarkResampling(Experiment):
    """Measure `generate`, continuous batching, the engine and forks in turn, on the same work.

    Attributes:
        model: The language model.
        dataset: The problems.
        prompt: How a problem is put to the model.
        sampler: Sampling parameters and the grid that is drawn.
        feature: What is decided; the labels of forks are part of their time.
        originals_per_problem: Originals drawn per problem, >= 1.
        repeats: Rounds that count, >= 1; one more comes before them and is left out.
        sampled_cuts: Cuts of a round on which the time of truncating at every token is measured,
            for each half-width, >= 1.
        seed: All randomness comes from it, but for what transformers draws.
    """

    model: LanguageSampler
    dataset: ProblemSet
    prompt: PromptTemplate
    sampler: Grid
    feature: Feature
    originals_per_problem: int = 1
    repeats: int = 3
    sampled_cuts: int = 12
    seed: int = 0

    name: ClassVar[str] = "benchmark_resampling"
    stage: ClassVar[str] = "benchmark"
    axis: ClassVar[str] = "round"
    always: ClassVar[bool] = True

    @property
    def products(self) -> tuple[str, ...]:
        """The summary and the figures."""
        return ("summary.json", "figures")

    @cached_property
    def problems(self) -> list[Problem]:
        """The problems, read once."""
        return self.dataset.load()

    def check(self) -> None:
        """Refuse components that do not fit together, and problem sets that cannot be read."""
        for key in ("originals_per_problem", "repeats", "sampled_cuts"):
            value = getattr(self, key)
            if type(value) is not int or value < 1:
                raise ParameterError(key, value, "a whole number >= 1")
        if type(self.seed) is not int:
            raise ParameterError("seed", self.seed, "a whole number")
        try:
            self.model.with_sampling(self.sampler)
        except ParameterError as error:
            raise error.within("sampler") from None
        refuse_asking(self.feature, "it measures how texts are drawn")
        if not self.problems:
            raise ProblemError("the problem set is empty")

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        """Measure all rounds anew, then write summary and figures."""
        began = time.perf_counter()
        sampler = self.model.with_sampling(self.sampler)
        progress.begin("setting up", 2, unit="steps")
        checkpoint = Checkpoint.of(sampler)
        work = draw_work(
            sampler,
            self.problems,
            prompt=self.prompt,
            feature=self.feature,
            grid=self.sampler,
            originals_per_problem=self.originals_per_problem,
            seed=self.seed,
        )
        progress.advance(1)
        choices = choose(checkpoint, work.cuts())
        progress.advance(1)
        progress.end()
        rounds = Rounds(
            sampler=sampler,
            work=work,
            feature=self.feature,
            choices=choices,
            sampled=self.sampled_cuts,
            told=lambda facts: progress.advance(1, **facts),
        )
        progress.begin("warm-up", rounds.pieces_of_warm_up, unit="pieces")
        warm_up, reference = rounds.warm_up()
        progress.end()
        progress.begin("rounds", self.repeats * rounds.pieces, unit="pieces")
        measured = []
        for number in range(1, self.repeats + 1):
            measured.append(rounds.round(number, reference))
            known = {k: v for k, v in measured[-1].ratios().items() if v is not None}
            tracker.log({"round": number, **known})
        progress.end()
        limit = _roofline(rounds)
        facts = {"machine": _machine(sampler), "work": _described(work)}
        summary = summarise(measured, warm_up=warm_up, choices=choices, limit=limit, facts=facts)
        write_figures(summary, directory.path / "figures")
        directory.write_json("summary", summary)
        return Accounts(
            tokens_generated=sum(_tokens(round_) for round_ in (warm_up, *measured)),
            seconds={"benchmark": time.perf_counter() - began},
            facts={"device": sampler.device_used()},
        )


def _roofline(rounds: Rounds) -> Roofline | None:
    # every draw followed its original, or the steps were captured as a graph
    if not rounds.passes.rows:
        return None
    model = rounds.choices.grid.checkpoint.model
    return roofline(
        model,
        passes=rounds.passes,
        originals=rounds.work.samples,
        levels=rounds.work.levels,
        drawn=rounds.drawn,
    )


def _machine(sampler: LanguageSampler) -> dict[str, Any]:
    import torch

    model = sampler.loaded.model
    return {
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": sampler.device_used(),
        "torch": torch.__version__,
        "model": type(model).__name__,
        "parameters": sum(p.numel() for p in model.parameters()),
        "dtype": str(model.dtype).removeprefix("torch."),
    }


def _described(work: Work) -> dict[str, Any]:
    lengths = [len(x.token_ids) for x in work.samples]
    return {
        "problems": len({problem.problem_id for problem in work.problems}),
        "originals": len(lengths),
        "original_tokens": sum(lengths) / len(lengths),
        "cuts": sum(map(len, work.levels)),
        "draws": work.draws,
        "resamples": work.resamples,
    }


def _tokens(round_: Round) -> int:
    """Count the tokens that a round is known to have drawn."""
    drawings = [round_.generate, round_.paged, round_.engine, *round_.forks.values()]
    return sum(drawing.tokens for drawing in drawings if drawing is not None)
