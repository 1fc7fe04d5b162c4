"""The words of the arithmetic problems, and the texts on which the embedded model is trained."""

from __future__ import annotations

import math
import random
from functools import cache

from critwin.corpus import Corpus, CorpusSample, Split
from critwin.problems.arithmetic import draw_story, write_chain
from critwin.problems.arithmetic_student import NAMES, THINGS, random_chooser
from critwin.problems.word_tokens import BOS, EOS, number_words, split_words

# Every word has a chance above 1 % to be in a story, so 2000 stories miss one with a chance < 1e-6.
_VOCABULARY_STORIES = 2000

LONGEST_CHAIN = 128
"""The longest chain of 20,000 drawn ones has 110 tokens; a question has at most 60."""


@cache
def vocabulary() -> dict[str, int]:
    """Give the number of every token: the special ones first, then the words in sorted order."""
    rng = random.Random("critwin arithmetic vocabulary")
    words = {"\n", *NAMES, *(f" {word}" for word in NAMES + THINGS)}
    for _ in range(_VOCABULARY_STORIES):
        story, found = draw_story(rng, split="train")
        words.update(split_words(story.question))
        for outcome in found:
            words.update(split_words(outcome.chain.text))
    return number_words(words)


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
    prompt = [known[BOS], *(known[token] for token in split_words(question + "\n"))]
    rest = [known[token] for token in split_words(chain)]
    return [*prompt, *rest, known[EOS]], len(prompt)


class ArithmeticCorpus(Corpus):
    """Word problems with chains of thought of the careless student."""

    name = "arithmetic"
    longest = 192
    answer = LONGEST_CHAIN

    def vocabulary(self) -> dict[str, int]:
        """Give the number of every token."""
        return vocabulary()

    def draw(self, rng: random.Random, split: Split) -> CorpusSample:
        """Draw a story and a chain; the entropy is the student's on the story, exact."""
        story, found = draw_story(rng, split=split)
        chain = write_chain(story, random_chooser(rng))
        entropy = -sum(o.probability * math.log(o.probability) for o in found)
        ids, prompt = sample_ids(story.question, chain.text)
        return CorpusSample(ids, prompt, entropy)
