"""Where a model thinks and where it speaks: the delimiters of turns and of reasoning, in one place.

Features read what was said; who asks a model for its answer ends its thought first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

TURN = re.compile(
    r"<\|start_header_id\|>assistant<\|end_header_id\|>|<\|im_start\|>assistant|<\|assistant\|>"
    r"|<start_of_turn>model|<\|start\|>assistant|<｜Assistant｜>"  # noqa: RUF001
)
"""What begins a model's turn. Source: the chat templates of Llama 3, Qwen, Phi-3, Gemma, gpt-oss,
DeepSeek."""

TURN_END = re.compile(
    r"<\|eot_id\|>|<\|end_of_text\|>|<\|im_end\|>|<\|im_start\|>|<\|endoftext\|>|<\|end\|>"
    r"|<\|return\|>|<\|call\|>|<end_of_turn>|<\|start_header_id\|>|</s>"
)
"""What ends it."""


@dataclass(frozen=True)
class Delimiters:
    """How a family of models marks its thoughts.

    Attributes:
        opening: Begins a thought.
        closing: Ends it; what follows is said.
        ends: What has to be written inside a thought for the model to speak from there on.
        yields: What has to be written inside a thought before the turn of somebody else.
    """

    opening: str
    closing: str
    ends: str
    yields: str


def _pair(opening: str, closing: str) -> Delimiters:
    return Delimiters(opening, closing, f"\n{closing}\n\n", f"\n{closing}\n\n")


THOUGHTS = (
    _pair("<think>", "</think>"),
    _pair("<thinking>", "</thinking>"),
    _pair("<thought>", "</thought>"),
    _pair("<reasoning>", "</reasoning>"),
    _pair("<seed:think>", "</seed:think>"),
    _pair("[THINK]", "[/THINK]"),
    _pair("◁think▷", "◁/think▷"),
    Delimiters(
        "<|channel|>analysis<|message|>",
        "<|channel|>final<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
        "",  # the end of the turn ends it
    ),
)
"""Source: the chat templates of Qwen3 and DeepSeek-R1 (`<think>`), Seed-OSS, Magistral (`[THINK]`),
Kimi-VL (`◁think▷`) and gpt-oss (channels: github.com/openai/harmony, docs/format.md); the others
are what prompts and fine-tuned models use."""

_OPENINGS = {own.opening: own for own in THOUGHTS}
_CLOSINGS = {own.closing: own for own in THOUGHTS}
_MARK = re.compile("|".join(map(re.escape, (*_OPENINGS, *_CLOSINGS))))
_SIGNS = ("<", "[THINK]", "[/THINK]", "◁")


def spoken(text: str) -> str:
    """Give a text of the same length in which all but what the model said last is blank.

    Of a transcript with header tokens the last turn counts. What stands between the delimiters of
    a thought was not said, nor what stands before a closing one alone, as the opening one may
    belong to the prompt. A turn that begins with a thought and does not end it says nothing.
    """
    if not any(sign in text for sign in _SIGNS):
        return text
    start = max((match.end() for match in TURN.finditer(text)), default=0)
    end = TURN_END.search(text, start)
    stop = len(text) if end is None else end.start()
    said = list(" " * len(text))
    for begin, finish in _said(text[start:stop]):
        said[start + begin : start + finish] = text[start + begin : start + finish]
    return "".join(said)


def last_said(text: str) -> str:
    """Give what the model said last, without its thoughts (see `spoken`)."""
    return spoken(text).strip()


def _said(turn: str) -> Iterator[tuple[int, int]]:
    """Give the stretches of a turn that are no thoughts."""
    at, begun = 0, -1
    for match in _MARK.finditer(turn):
        if match[0] in _OPENINGS:
            begun = match.start() if begun < 0 else begun
        else:
            yield at, max(at, begun)  # of a closing mark alone nothing before it was said
            at, begun = match.end(), -1
    if begun < 0 or turn[at:begun].strip():  # a mark that is mentioned is no thought
        yield at, len(turn)


def open_thought(turn: str) -> Delimiters | None:
    """Give the delimiters of the thought in which a model's turn ends; None where in none."""
    last = None
    for match in _MARK.finditer(turn):
        last = _OPENINGS.get(match[0])
    return last


def thought_begun(prompt: str) -> Delimiters | None:
    """Give the delimiters of the thought that a prompt begins; None where it begins none.

    Args:
        prompt: As it was sent, special tokens shown. Where the header of the model's turn is not
            known, a thought begins in the last two lines: elsewhere a question may speak of one.
    """
    headers = [*TURN.finditer(prompt)]
    turn = prompt[headers[-1].end() :] if headers else "\n".join(prompt.split("\n")[-2:])
    return open_thought(turn)
