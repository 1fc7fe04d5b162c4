"""A tiny model, three originals of it, and the cuts from which they are resampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from critwin.feature import Feature
from critwin.problem import Problem
from critwin.prompt import PromptTemplate
from critwin.protocol import Fractions
from critwin.samplers.language import LanguageSampler
from experiments.benchmarking.work import Work, draw_work


class LastLetter(Feature):
    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        return [text[-1:] for text in texts]

    def truth(self, problem: Problem) -> str | None:
        return None


@pytest.fixture
def letters(tiny_letters: Path) -> Callable[..., LanguageSampler]:
    """A sampler of strings of six letters, at most 12 of them, with parameters of its own."""

    def sampler(**parameters: object) -> LanguageSampler:
        defaults = {"path": str(tiny_letters), "device": "cpu", "max_new_tokens": 12}
        return LanguageSampler(**defaults | parameters)

    return sampler


@pytest.fixture
def last_letter() -> Feature:
    return LastLetter()


@pytest.fixture
def work_of(last_letter: Feature) -> Callable[..., Work]:
    """Originals of a sampler, each cut at three levels."""

    def work(sampler: LanguageSampler, *, draws: int = 3) -> Work:
        return draw_work(
            sampler,
            [Problem(name, name, None) for name in ("ab", "fade", "c")],
            prompt=PromptTemplate(template="{question}", system=None, prefix="", source=""),
            feature=last_letter,
            grid=Fractions(fractions=(0.3, 0.7), n=draws),
            originals_per_problem=1,
            seed=0,
        )

    return work
