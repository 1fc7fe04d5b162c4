"""The last turn of a whole chat transcript, special tokens and all."""

from __future__ import annotations

import re

_TURN = re.compile(
    r"<\|start_header_id\|>assistant<\|end_header_id\|>|<\|im_start\|>assistant|<\|assistant\|>"
    r"|<start_of_turn>model"
)
_END = re.compile(
    r"(?:<\|eot_id\|>|<\|end_of_text\|>|<\|im_end\|>|<\|im_start\|>|<\|endoftext\|>|<\|end\|>"
    r"|<end_of_turn>|<\|start_header_id\|>|</s>).*",
    re.S,
)
THOUGHT = "</think>"


def last_turn(text: str) -> str:
    """Give what the model said last, where a text is a transcript with its header tokens.

    What stands before a closing `</think>` is thought, not said; a text without any of these marks
    is returned as it is.
    """
    turns = [*_TURN.finditer(text)]
    if turns:
        text = text[turns[-1].end() :]
    text = _END.sub("", text, count=1)
    _, mark, said = text.rpartition(THOUGHT)
    return said if mark and said.strip() else text
