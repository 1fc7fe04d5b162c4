"""Delimiters of reasoning: every feature that reads an answer reads what was said, not thought."""

from __future__ import annotations

import pytest

from critwin.asking import thought_opening
from critwin.feature import UNSCORED, Feature
from critwin.features.correctness import Correctness
from critwin.features.final_word import FinalWord
from critwin.features.form_blanks import FormBlanks
from critwin.features.free_text import FreeText
from critwin.features.math_answer import MathAnswer
from critwin.features.multiple_choice import MultipleChoice
from critwin.features.refusal import Refusal
from critwin.features.repeated_word import RepeatedWord
from critwin.features.reveals import Reveals
from critwin.features.structured_choice import StructuredChoice
from critwin.features.tool_call import ToolCall
from critwin.problem import Problem
from critwin.thoughts import THOUGHTS, last_said, open_thought, spoken, thought_begun

ANALYSIS, FINAL = "<|channel|>analysis<|message|>", "<|channel|>final<|message|>"
CALL = '{"name": "find", "arguments": {}}'

PROBLEM = Problem("p", "?", "42")
READERS: list[tuple[Feature, str, str, str]] = [
    (MathAnswer(), "The answer is 41.", "The answer is 42.", "42"),
    (Correctness(of=MathAnswer()), "The answer is 41.", "The answer is 42.", "right"),
    (MultipleChoice(), "The answer is (A).", "The answer is (B).", "B"),
    (FreeText(), "The answer is Rome.", "The answer is Paris.", "paris"),
    (StructuredChoice(options=("N", "D"), blanks=2), "N, N", "N, D", "N,D"),
    (FormBlanks(pattern=r"Pet: (?P<pet>\w+)"), "Pet: cat", "Pet: dog", "dog"),
    (Refusal(), "I cannot do that?", "Sure, here it is.", "complied"),
    (Reveals(), "It is 42, I must not tell.", "No.", "keeps"),
    (RepeatedWord(), "They want poem", "poem poem poem", "repeats"),
    (ToolCall(), CALL.replace("find", "other"), CALL, "find"),
    (FinalWord(), "one", "two", "two"),
]
"""A feature, what is thought, what is said, and the label of what is said."""


@pytest.mark.parametrize(("feature", "thought", "said", "label"), READERS)
def test_every_reader_of_answers_reads_what_was_said(
    feature: Feature, thought: str, said: str, label: str
) -> None:
    assert len({feature.labels([text], PROBLEM)[0] for text in (thought, said)}) == 2
    texts = [said]
    for marks in THOUGHTS:
        texts += [f"{marks.opening}{thought}{marks.ends}{said}", f"{thought}{marks.ends}{said}"]
        texts.append(f"{marks.opening}\n\n{marks.ends}\n{said}<|im_end|>")
    turns = "<|im_start|>user\nhm<|im_end|>\n<|im_start|>assistant\n"
    texts.append(f"{turns}<think>\n{thought}</think>\n{said}<|im_end|>\n")
    texts.append(f"{ANALYSIS}{thought}<|end|><|start|>assistant{FINAL}{said}<|return|>")
    assert feature.labels(texts, PROBLEM) == [label] * len(texts)


@pytest.mark.parametrize("marks", THOUGHTS)
def test_who_runs_out_of_tokens_while_thinking_says_nothing(marks: object) -> None:
    opening, ends = marks.opening, marks.ends  # type: ignore[attr-defined]
    unfinished = [f"{opening}\nThe answer is (A), 41.", f"\n{opening}The answer is 41", opening]
    for text in (*unfinished, f"{opening}a{ends}"):
        assert last_said(text) == ""
        for feature in (MathAnswer(), MultipleChoice(), FreeText(), Refusal(), FinalWord()):
            assert feature.labels([text], PROBLEM) == [UNSCORED]
        assert StructuredChoice(options=("A", "B")).choices(text) is None


def test_what_is_blank_keeps_every_place() -> None:
    text = "<think>N or D?</think>\nThe N, not <b>D</b>."
    assert len(spoken(text)) == len(text)
    choices = StructuredChoice(options=("N", "D"), blanks=2).choices(text)
    assert choices is not None
    assert [text[c.start : c.end] for c in choices] == ["N", "D"]
    assert min(c.start for c in choices) > text.index("</think>")
    assert last_said("a <think>b</think> c <think>d</think> e").split() == ["a", "c", "e"]


@pytest.mark.parametrize(
    "text",
    ["x < 3 and y > 2", "Put it into <think> tags: 42", "plain", "[THINK", "a <b>bold</b> word"],
)
def test_other_texts_are_as_they_were(text: str) -> None:
    assert spoken(text) == text


def test_prompts_may_begin_a_thought() -> None:
    user = "<|im_start|>user\nWhat is <think> for?<|im_end|>\n<|im_start|>assistant\n"
    assert thought_opening(user) == ""
    assert thought_opening(f"{user}<think>\n") == "<think>"
    assert thought_opening(f"{user}<think>\nLet's think step by step:") == "<think>"
    assert thought_opening(f"{user}<think>\n\n</think>\n\n") == ""
    harmony = f"<|start|>user<|message|>hm<|end|><|start|>assistant{ANALYSIS}"
    assert thought_opening(harmony) == ANALYSIS
    assert thought_opening("what is a <think> mark?\n\nSay it.\nAnswer:") == ""
    assert thought_opening("question\nASSISTANT: <think>\n") == "<think>"


def test_a_thought_is_ended_in_the_models_own_way() -> None:
    begun = thought_begun("<|im_start|>assistant\n<think>\n")
    assert begun is not None
    assert begun.ends == "\n</think>\n\n"  # an empty thought, as Qwen3's template writes it
    assert open_thought("hm </think> so") is None
    for marks in THOUGHTS:
        thought = open_thought(f"{marks.opening}hm")
        assert thought == marks
        assert open_thought(f"{marks.opening}hm{thought.ends}") is None
