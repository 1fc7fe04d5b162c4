"""What an embedded language model is trained on: texts drawn anew from a law that is known."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class CorpusSample:
    """One text as token ids.

    Attributes:
        ids: Token ids, the first one included, the end token last.
        prompt: How many of them come before what is learned.
        entropy: Entropy of what is learned given the prompt, or an unbiased estimate of it, in
            nats; the loss summed over a sample cannot go below it on average.
    """

    ids: list[int]
    prompt: int
    entropy: float


class Corpus(ABC):
    """Draws training texts. Subclasses are cheap to construct."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Part of the seed of all draws: other corpora draw other texts."""

    @property
    @abstractmethod
    def longest(self) -> int:
        """Tokens that a text may have: the context of the model."""

    @property
    @abstractmethod
    def answer(self) -> int:
        """Tokens that an answer may have: the length limit of the exported model."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Special tokens that begin a turn of a conversation; empty where there are no turns."""
        return ()

    @property
    def chat_template(self) -> str | None:
        """Jinja template of conversations; None for texts without turns."""
        return None

    @abstractmethod
    def vocabulary(self) -> dict[str, int]:
        """Give the number of every token."""

    @abstractmethod
    def draw(self, rng: random.Random, split: Split) -> CorpusSample:
        """Draw one text of a split."""
