"""A new feature from records alone gives what a run with that feature would have given."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from critwin.errors import ParameterError
from critwin.feature import UNSCORED, Feature
from critwin.features.final_word import FinalWord
from critwin.problem import Problem
from critwin.problems.arithmetic import ArithmeticProblems
from critwin.prompt import PromptTemplate
from critwin.protocol import EveryToken, ForkProtocol, Fractions, Protocol
from critwin.records import RunDirectory
from critwin.samplers.markov_string import MarkovString
from critwin.windows.paper_jump import PaperJump
from experiments.experiment import carry_out
from experiments.llm_math import LlmMath
from experiments.relabel import Relabel
from experiments.tracker import Silent

SILENT = Silent()
PROTOCOLS = {
    "fractions": Fractions(n=4),
    "every_token": EveryToken(n=2),
    "forks": ForkProtocol(half_width=0.25, pilot=8),
    "forks_unsteered": ForkProtocol(half_width=None, max_forks=40, pilot=0, stop=("2",)),
}


@dataclass(frozen=True)
class Hesitation(Feature):
    """Labels a text by whether it hesitates long; short texts are unscored."""

    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        words = [text.split().count("?") for text in texts]
        return [UNSCORED if not count else "long" if count > 5 else "short" for count in words]

    def truth(self, problem: Problem) -> str | None:
        return "long" if problem.truth and int(problem.truth) % 2 else None


def measuring(protocol: Protocol, feature: Feature) -> LlmMath:
    return LlmMath(
        model=MarkovString(max_new_tokens=16),
        dataset=ArithmeticProblems(n_problems=5),
        prompt=PromptTemplate(),
        sampler=protocol,
        feature=feature,
        window=PaperJump(),
        originals_per_problem=2,
    )


def relabelling(source: RunDirectory, feature: Feature) -> Relabel:
    return Relabel(runs=(str(source.path),), feature=feature, window=PaperJump())


def done(experiment: LlmMath | Relabel, folder: Path) -> RunDirectory:
    directory = RunDirectory(folder)
    experiment.check()
    carry_out(experiment, directory, config="", tracker=SILENT, progress=SILENT)
    assert all((folder / name).exists() for name in experiment.products)
    return directory


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], RunDirectory]:
    made: dict[str, RunDirectory] = {}

    def give(name: str) -> RunDirectory:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = done(measuring(_without_stop(PROTOCOLS[name]), FinalWord()), folder)
        return made[name]

    return give


def _without_stop(protocol: Protocol) -> Protocol:
    return protocol
