"""Tokenizers that know exactly the words of a corpus.

One token for a word with the space before it, as in GPT-2, and one for each digit, so that decoding
gives back the very text that was encoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, BOS, EOS, UNKNOWN = "<pad>", "<bos>", "<eos>", "<unk>"
PATTERN = r" ?[A-Za-z]+| ?[0-9]|\n| ?[^\sA-Za-z0-9]"


def split_words(text: str) -> list[str]:
    """Split a text into the pieces that are tokens; joined they are the text."""
    return re.findall(PATTERN, text)


def number_words(words: Iterable[str], *, special: Sequence[str] = ()) -> dict[str, int]:
    """Number tokens: the special ones first, then the words in sorted order."""
    tokens = [PAD, BOS, EOS, UNKNOWN, *special, *sorted(set(words))]
    return {token: number for number, token in enumerate(tokens)}


def build_tokenizer(known: Mapping[str, int], *, special: Sequence[str] = ()) -> Tokenizer:
    """Build the tokenizer: it puts `<bos>` in front, and maps unknown words to `<unk>`.

    Args:
        known: The vocabulary, as `number_words` gives it.
        special: Special tokens beside the four of every vocabulary.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel(dict(known), unk_token=UNKNOWN))
    # Inverted, the pattern names the pieces to keep; what lies between them is dropped.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), "removed", invert=True)
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([PAD, BOS, EOS, UNKNOWN, *special])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, known[BOS])]
    )
    return tokenizer
