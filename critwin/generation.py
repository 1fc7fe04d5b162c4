"""Samples and observations of samplers that write text, token by token."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from critwin.prompt import Prompt
from critwin.sampler import Level, Sampler

FinishReason = Literal["end", "stop", "length"]
"""`end`: the end token was drawn; `stop`: a stop string was written; `length`: limit met."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A sample of a text sampler.

    Attributes:
        prompt_ids: Token ids of the prompt, never part of the sample.
        token_ids: Token ids drawn, length n; the end token is one of them.
        surprisal: -log of the probability that the sampler gave each token it drew, in nats, >= 0,
            length n.
        text: The tokens as text, special tokens left out.
        finish_reason: What ended the generation.
    """

    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    surprisal: tuple[float, ...]
    text: str
    finish_reason: FinishReason


@dataclass(frozen=True, slots=True)
class Prefix:
    """An observation of a text sampler: the prompt and the first tokens of a generation.

    Attributes:
        prompt_ids: Token ids of the prompt.
        token_ids: Token ids kept; their number is the observation's level.
        surprisal: Surprisal of each kept token, in nats.
        origin: The generation that was cut, where there is one. A sampler may use it to save work
            where draws happen to follow it; what is drawn does not depend on it.
    """

    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...] = ()
    surprisal: tuple[float, ...] = ()
    origin: Generation | None = field(default=None, compare=False, repr=False)

    @property
    def whole(self) -> Generation | None:
        """The generation itself where all of it was kept, else None."""
        if self.origin is None or self.level < len(self.origin.token_ids):
            return None
        return self.origin

    @property
    def level(self) -> Level:
        """Tokens kept."""
        return len(self.token_ids)


class TextSampler(Sampler[Generation, Prefix]):
    """What all samplers of text share: observing is truncation, the unit is the token."""

    converses: ClassVar[bool] = False
    """Whether it can be asked something after a text: whether `follow_up` is there."""

    def follow_up(self, y: Sequence[Prefix], prompts: Sequence[Prompt]) -> list[Prefix | None]:
        """Give the observations that keep nothing of a reply to a further turn of the user.

        Args:
            y: What was said before, length N.
            prompts: What the user says then, and how the reply begins, length N. Without words of
                the user the model goes on in its own turn.

        Returns:
            One observation each; None where it leaves no room in the model's context.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot be asked anything")

    @abstractmethod
    def tokens(self, token_ids: Sequence[int]) -> list[str]:
        """Give each token as text, for display; joined they read as the generation does."""

    @abstractmethod
    def text(self, token_ids: Sequence[int]) -> str:
        """Give token ids as text, special tokens left out."""

    @abstractmethod
    def prompt_text(self, prompt_ids: Sequence[int]) -> str:
        """Give the prompt as it was sent, special tokens shown."""

    def observe(
        self, x: Sequence[Generation], level: Sequence[Level], *, seeds: Sequence[int]
    ) -> list[Prefix]:
        """Keep the first `level` tokens of each generation; truncation needs no randomness."""
        return [truncate(g, s) for g, s in zip(x, level, strict=True)]

    def snap(self, x: Generation, t: float) -> Level:
        """Give the number of tokens kept: the share 1 - t of the original's, rounded down."""
        if not 0 <= t <= 1:
            raise ValueError(f"t is {t!r}; allowed: [0, 1]")
        # 1 - 0.7 is 0.30000000000000004: the small term keeps 0.3 of 10 tokens at 3, from below too
        return int((1 - t) * len(x.token_ids) + 1e-9)


def truncate(x: Generation, level: Level) -> Prefix:
    """Keep the first `level` tokens of a generation, or all of a shorter one.

    Raises:
        ValueError: The level is negative.
    """
    if level < 0:
        raise ValueError(f"level is {level}; allowed: >= 0")
    return Prefix(x.prompt_ids, x.token_ids[:level], x.surprisal[:level], origin=x)
