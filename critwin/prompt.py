"""Prompts: how a question is put to a model."""

from __future__ import annotations

from dataclasses import dataclass

from critwin.errors import ParameterError
from critwin.problem import LETTERS, Problem

QUESTION, OPTIONS = "{question}", "{options}"
LETTER, TEXT = "{letter}", "{text}"


@dataclass(frozen=True)
class Prompt:
    """What one sample is conditioned on; the sampler's tokenizer turns it into token ids.

    Attributes:
        user: What the user says.
        system: System message; None for none.
        prefix: Beginning of the model's turn; it counts as prompt, not as part of the sample.
        rendered: Whether `user` is the whole prompt as it is sent, special tokens and all: no chat
            template is applied.
    """

    user: str
    system: str | None = None
    prefix: str = ""
    rendered: bool = False


@dataclass(frozen=True, kw_only=True)
class PromptTemplate:
    """Makes the prompt of a problem: the `prompt` group of a config.

    Attributes:
        template: The user's turn; `{question}` stands for the question and must occur.
            `{options}` stands for the options, where the problem has any; a template without it
            gets them right behind the question.
        option: How each option is written, with the line break in front of it: `{letter}` and
            `{text}` must occur.
        system: System message; null for none. A model without a chat template gets it first.
        prefix: Words put at the beginning of the model's turn.
        source: Where the prompt comes from; not part of what is sent.
    """

    template: str = "{question}"
    option: str = "\n ({letter}) {text}"
    system: str | None = None
    prefix: str = ""
    source: str = ""

    execution = frozenset({"source"})

    def __post_init__(self) -> None:
        if self.template.count(QUESTION) != 1 or self.template.count(OPTIONS) > 1:
            allowed = f"a text in which {QUESTION} occurs once, and {OPTIONS} at most once"
            raise ParameterError("template", self.template, allowed)
        if self.option.count(LETTER) != 1 or self.option.count(TEXT) != 1:
            allowed = f"a text in which {LETTER} and {TEXT} occur once"
            raise ParameterError("option", self.option, allowed)

    def render(self, problem: Problem) -> Prompt:
        """Put a problem's question and options into the template; its own system message first."""
        options = "".join(
            self.option.replace(LETTER, letter).replace(TEXT, text)
            for letter, text in zip(LETTERS, problem.options, strict=False)
        )
        before, after = self.template.split(QUESTION)
        if OPTIONS in self.template:
            before, after = (part.replace(OPTIONS, options) for part in (before, after))
            options = ""
        user = f"{before}{problem.question}{options}{after}"
        system = "\n".join(part for part in (problem.system, self.system) if part) or None
        return Prompt(user=user, system=system, prefix=self.prefix)
