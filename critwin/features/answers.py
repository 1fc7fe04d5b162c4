"""What features of final answers share: the answer stands in the text, or is asked for after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from critwin.errors import ParameterError
from critwin.feature import Feature
from critwin.problem import Problem
from critwin.prompt import Prompt

ASKED_LATEX = (
    "Given all of the above, what’s the single, most likely answer? Simplify it completely. "  # noqa: RUF001
    'Your answer should have the format "The answer is $ANSWER$", where ANSWER is your answer in '
    "LaTeX. "
)
"""Source: transcripts published with Li, Karan, Chen (2025), arXiv:2502.00921, MATH."""

ASKED = (
    "Given all of the above, what’s the single, most likely answer? Your answer should have the "  # noqa: RUF001
    'format "The answer is ANSWER", where ANSWER is your answer. '
)
"""Source: the same, all other problem sets."""


@dataclass(frozen=True, kw_only=True)
class AnswerFeature(Feature):
    """Reads a final answer off the text, or off the reply to a question put after it.

    Attributes:
        answer: `text`: what the text says. `asked`: the model is asked for its answer after the
            generation, at temperature 0, as the paper does; its reply is read.
        question: What it is asked; empty to let it go on after `lead` in the same turn.
        lead: Words put at the beginning of its reply.
    """

    answer: Literal["text", "asked"] = "text"
    question: str = ASKED
    lead: str = ""

    def __post_init__(self) -> None:
        if self.answer not in ("text", "asked"):
            raise ParameterError("answer", self.answer, "text or asked")
        if self.answer == "asked" and not (self.question or self.lead):
            raise ParameterError("question", self.question, "a question, where lead is empty")

    def follow_up(self, problem: Problem) -> Prompt | None:
        """Give the question, where the answer is asked for."""
        return Prompt(self.question, prefix=self.lead) if self.answer == "asked" else None
