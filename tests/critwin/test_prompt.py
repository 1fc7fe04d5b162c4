"""Prompts: what a question is put into."""

from __future__ import annotations

import pytest

from critwin.errors import ParameterError
from critwin.problem import Problem
from critwin.prompt import Prompt, PromptTemplate


def test_braces_of_question_and_template_stay_as_they_are() -> None:
    problem = Problem("p", "What is {x} in {question}?", None)
    template = PromptTemplate(template="{question} Answer in \\boxed{}.", prefix="Well,")
    assert template.render(problem) == Prompt(
        user="What is {x} in {question}? Answer in \\boxed{}.", prefix="Well,"
    )


@pytest.mark.parametrize("template", ["", "no question", "{question} {question}", "{Question}"])
def test_template_holds_the_question_once(template: str) -> None:
    with pytest.raises(ParameterError, match="template"):
        PromptTemplate(template=template)
