"""The letter of a multiple choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from critwin.errors import ParameterError
from critwin.feature import UNSCORED
from critwin.features.answers import AnswerFeature
from critwin.features.choice_text import stated_letter
from critwin.problem import LETTERS, Problem


@dataclass(frozen=True, kw_only=True)
class MultipleChoice(AnswerFeature):
    """Labels a text by the letter of the option that it states last (critwin/features/choice_text).

    Attributes:
        n_options: Number of options of problems that have none themselves, 2 to 26.
    """

    n_options: int = 26

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.n_options) is not int or not 2 <= self.n_options <= len(LETTERS):
            allowed = f"a whole number, 2 to {len(LETTERS)}"
            raise ParameterError("n_options", self.n_options, allowed)

    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        """Give the letter of each text, `UNSCORED` where it states none."""
        count = len(problem.options) or self.n_options
        found = {text: stated_letter(text, count, problem.options) for text in set(texts)}
        return [found[text] or UNSCORED for text in texts]

    def truth(self, problem: Problem) -> str | None:
        """Give the letter of the right option."""
        if problem.truth is None:
            return None
        (label,) = self.labels([self.announce(problem.truth)], problem)
        return problem.truth.strip() if label == UNSCORED else label

    def announce(self, answer: str) -> str:
        """Write a bare letter, or the words of an option, as an answer."""
        return f"The answer is {answer.strip()}"
