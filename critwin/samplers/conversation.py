"""Token ids of a chat that goes on after what a model has said, whole or cut."""

from __future__ import annotations

from collections.abc import Sequence

from critwin.errors import ModelError
from critwin.generation import Prefix
from critwin.prompt import Prompt
from critwin.samplers.chat_text import ChatText
from critwin.thoughts import open_thought, thought_begun

SAID = "critwin-what-the-model-has-said"
"""Stands for the model's turn while the chat template is rendered."""


def follow_up_ids(
    chat: ChatText, y: Prefix, prompt: Prompt, *, end_ids: Sequence[int]
) -> tuple[int, ...]:
    """Give the token ids of a chat up to the model's reply to a further turn of the user.

    What was written stays the token ids that it is: only what follows is rendered. A prompt without
    words of the user lets the model go on in the turn it is in, after the prompt's prefix. An
    unfinished thought is ended first, and the reply begins without one: the answer is asked for,
    not another thought.

    Args:
        chat: The model's tokenizer, and how its turns begin.
        y: Prompt and generation, whole or cut; end tokens behind it are dropped.
        prompt: What the user says next, and how the reply begins.
        end_ids: The model's end tokens.

    Raises:
        ModelError: The chat template has no place for a further turn.
    """
    kept = [*y.prompt_ids, *y.token_ids]
    while kept and kept[-1] in end_ids:
        kept.pop()
    sent = thought_begun(chat.prompt_text(y.prompt_ids))
    begun = "" if sent is None else sent.opening
    thought = open_thought(begun + chat.prompt_text(kept[len(y.prompt_ids) :]))
    if prompt.user:
        turn = _rendered(chat, prompt.user) + chat.opening
        begins = thought_begun(turn)
        text = ("" if thought is None else thought.yields) + turn
        text += "" if begins is None else begins.ends
    else:
        text = "" if thought is None else thought.ends
    return (*kept, *chat.tokenizer(text + prompt.prefix, add_special_tokens=False)["input_ids"])


def _rendered(chat: ChatText, question: str) -> str:
    """Give what the chat template puts between the end of the model's turn and its reply."""
    if chat.tokenizer.chat_template is None:
        return f"\n{question}\n"
    messages = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": SAID},
        {"role": "user", "content": question},
    ]
    text = chat.tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=False, **chat.arguments
    )
    _, found, after = text.rpartition(SAID)
    if not found:
        raise ModelError("its chat template drops earlier turns; allowed: feature.answer=text")
    return str(after)
