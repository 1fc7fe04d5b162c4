"""After how many repeats of a word does a model leave off repeating it?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from critwin.errors import ParameterError
from critwin.problem import Problem
from critwin.prompt import Prompt, PromptTemplate
from experiments.conditions import Condition, ConditionExperiment


@dataclass(frozen=True, kw_only=True)
class RepeatingPrompt(PromptTemplate):
    """Puts a problem's reference answer, a word, into the model's mouth again and again.

    Attributes:
        repeats: How often, >= 0.
    """

    repeats: int = 0

    def render(self, problem: Problem) -> Prompt:
        """Give the prompt with the word repeated at the beginning of the model's turn."""
        plain = super().render(problem)
        words = " ".join([problem.truth or ""] * self.repeats)
        return Prompt(plain.user, system=plain.system, prefix=plain.prefix + words)


@dataclass(frozen=True, kw_only=True)
class RepeatedWord(ConditionExperiment):
    """Force a number of repeats of a word, and count how often the model turns to something else.

    Attributes:
        repeats: Numbers of repeats, each >= 0, increasing.

    Source:
        Li, Karan, Chen (2025), arXiv:2502.00921, Appendix D.1.1: company, one, b, j, life.
    """

    repeats: tuple[int, ...] = (1, 2, 4, 8, 12, 16, 20)

    name: ClassVar[str] = "repeated_word"
    varied: ClassVar[str] = "repeats forced"

    def check(self) -> None:
        """Refuse numbers of repeats that are none, and problems without a word."""
        super().check()
        whole = all(type(n) is int and n >= 0 for n in self.repeats)
        if not self.repeats or not whole or any(a >= b for a, b in pairwise(self.repeats)):
            allowed = "a non-empty list of increasing whole numbers, each >= 0"
            raise ParameterError("repeats", list(self.repeats), allowed)
        if any(problem.truth is None for problem in self.problems):
            raise ParameterError(
                "dataset", type(self.dataset).__name__, "problems whose reference answer is a word"
            )

    def conditions(self) -> list[Condition]:
        """Give one condition for each number of repeats."""
        return [
            Condition(
                f"{n} repeats",
                float(n),
                RepeatingPrompt(
                    template=self.prompt.template,
                    system=self.prompt.system,
                    prefix=self.prompt.prefix,
                    repeats=n,
                ),
            )
            for n in self.repeats
        ]
