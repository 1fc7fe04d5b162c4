"""Prompts: how a question is put to a model."""

from __future__ import annotations

from dataclasses import dataclass

from critwin.errors import ParameterError
from critwin.problem import Problem

QUESTION = "{question}"


@dataclass(frozen=True)
class Prompt:
    """What one sample is conditioned on; the sampler's tokenizer turns it into token ids.

    Attributes:
        user: What the user says.
        system: System message; None for none.
        prefix: Beginning of the model's turn; it counts as prompt, not as part of the sample.
    """

    user: str
    system: str | None = None
    prefix: str = ""


@dataclass(frozen=True, kw_only=True)
class PromptTemplate:
    """Makes the prompt of a problem: the `prompt` group of a config.

    Attributes:
        template: The user's turn; `{question}` stands for the question and must occur.
        system: System message; null for none. A model without a chat template gets it first.
        prefix: Words put at the beginning of the model's turn.
        source: Where the prompt comes from; not part of what is sent.
    """

    template: str = "{question}"
    system: str | None = None
    prefix: str = ""
    source: str = ""

    execution = frozenset({"source"})

    def __post_init__(self) -> None:
        if self.template.count(QUESTION) != 1:
            raise ParameterError(
                "template", self.template, f"a text in which {QUESTION} occurs once"
            )

    def render(self, problem: Problem) -> Prompt:
        """Put a problem's question into the template; its own system message comes first."""
        user = self.template.replace(QUESTION, problem.question)
        system = "\n".join(part for part in (problem.system, self.system) if part) or None
        return Prompt(user=user, system=system, prefix=self.prefix)
