"""The words of the arithmetic problems, and a tokenizer that knows exactly these words.

One token for a word with the space before it, as in GPT-2, and one for each digit, so that decoding
gives back the very text that was encoded.
"""

from __future__ import annotations

import random
import re
from functools import cache
from typing import TYPE_CHECKING

from critwin.problems.arithmetic import draw_story
from critwin.problems.arithmetic_student import NAMES, THINGS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, BOS, EOS, UNKNOWN = "<pad>", "<bos>", "<eos>", "<unk>"
PATTERN = r" ?[A-Za-z]+| ?[0-9]|\n| ?[^\sA-Za-z0-9]"

# Every word has a chance above 1 % to be in a story, so 2000 stories miss one with a chance < 1e-6.
_VOCABULARY_STORIES = 2000


@cache
def vocabulary() -> dict[str, int]:
    """Give the number of every token: the special ones first, then the words in sorted order."""
    rng = random.Random("critwin arithmetic vocabulary")
    words = {"\n", *NAMES, *(f" {word}" for word in NAMES + THINGS)}
    for _ in range(_VOCABULARY_STORIES):
        story, found = draw_story(rng, split="train")
        words.update(re.findall(PATTERN, story.question))
        for outcome in found:
            words.update(re.findall(PATTERN, outcome.chain.text))
    tokens = [PAD, BOS, EOS, UNKNOWN, *sorted(words)]
    return {token: number for number, token in enumerate(tokens)}


def sample_ids(question: str, chain: str) -> tuple[list[int], int]:
    """Encode one training sample without the tokenizers library.

    Args:
        question: The question, without the line break that ends it.
        chain: The chain of thought.

    Returns:
        Token ids of `<bos>`, question, line break, chain and `<eos>`, and how many of them come
        before the chain.
    """
    known = vocabulary()
    prompt = [known[BOS], *(known[token] for token in re.findall(PATTERN, question + "\n"))]
    rest = [known[token] for token in re.findall(PATTERN, chain)]
    return [*prompt, *rest, known[EOS]], len(prompt)


def build_tokenizer() -> Tokenizer:
    """Build the tokenizer: it puts `<bos>` in front, and maps unknown words to `<unk>`."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors

    known = vocabulary()
    tokenizer = Tokenizer(models.WordLevel(known, unk_token=UNKNOWN))
    # Inverted, the pattern names the pieces to keep; what lies between them is dropped.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), "removed", invert=True)
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([PAD, BOS, EOS, UNKNOWN])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, known[BOS])]
    )
    return tokenizer
