"""Which distribution tokens are drawn from, and what is asked of a decoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from critwin.generation import FinishReason

if TYPE_CHECKING:
    import torch

NO_TOKEN = 2**31 - 1
"""Stands where there is no token; stop strings do not match it."""

PIECE = 2**23
"""Probabilities that are worked out at once along a sample that is known."""


@dataclass(frozen=True, slots=True)
class Request:
    """Draws wanted from one prefix.

    Attributes:
        prompt_ids: Token ids of the prompt.
        sample_ids: Token ids of a sample that begins with the prefix. What stands behind the prefix
            has no influence on the draws; those that happen to follow it share its computation.
        kept: Number of token ids of the sample that are given.
        limit: Tokens of the sample at most, the kept ones included; more than are kept.
        seeds: One seed per draw.
        excluded: Token that the first draw of each must not give; the others are renormalised.
    """

    prompt_ids: tuple[int, ...]
    sample_ids: tuple[int, ...]
    kept: int
    limit: int
    seeds: tuple[int, ...]
    excluded: int | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        """Prompt and sample."""
        return self.prompt_ids + self.sample_ids


@dataclass(frozen=True, slots=True)
class Row:
    """One draw of a request.

    Attributes:
        request: The request.
        number: Its number among the requests.
        draw: Number of the draw's seed.
        kept: Tokens of the request's sample that the draw begins with: those that were kept, and
            those that it is known to have followed.
        followed: Surprisals of the latter, in nats.
    """

    request: Request
    number: int
    draw: int
    kept: int
    followed: tuple[float, ...] = ()

    @property
    def start(self) -> int:
        """Tokens that stand before what is drawn, the prompt included."""
        return len(self.request.prompt_ids) + self.kept

    @property
    def left(self) -> int:
        """Tokens that may be drawn."""
        return self.request.limit - self.kept

    def behind(self, drawn: Drawn) -> Drawn:
        """Give the draw of the request: the tokens that were followed, then those drawn."""
        if not self.followed:
            return drawn
        ids = self.request.sample_ids[self.request.kept : self.kept]
        return Drawn(ids + drawn.token_ids, self.followed + drawn.surprisal, drawn.finish_reason)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one draw added to its prefix: token ids, their surprisals in nats, what ended it."""

    token_ids: tuple[int, ...]
    surprisal: tuple[float, ...]
    finish_reason: FinishReason


@dataclass(frozen=True)
class TokenLaw:
    """Which distribution tokens are drawn from, and when a generation ends.

    Attributes:
        tokenizer: Reads stop strings.
        end_ids: Tokens that end a generation.
        temperature: Divides the logits; 0 takes the most probable token.
        top_k: Most probable tokens that are kept; None keeps all.
        top_p: Mass of most probable tokens that is kept.
        min_p: Tokens less probable than this share of the most probable one are dropped.
        repetition_penalty: Divides (multiplies, below 0) the logits of tokens that stand in prompt
            or sample already; 1 for none.
        stop: Strings that end a generation.
    """

    tokenizer: Any
    end_ids: tuple[int, ...]
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()

    @property
    def remembers(self) -> bool:
        """Whether the distribution depends on which tokens stand before."""
        return self.repetition_penalty != 1

    def log_probabilities(
        self, logits: torch.Tensor, seen: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Turn logits, shape (B, V), into the log-probabilities that are sampled from.

        The truncation is that of transformers' own warpers, in the order of `generate`.

        Args:
            logits: What the model gave.
            seen: Tokens that stand before, bool, shape (B, V); needed where the law remembers.
        """
        import torch

        scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if seen is not None:
            penalised = torch.where(
                scores < 0, scores * self.repetition_penalty, scores / self.repetition_penalty
            )
            scores = torch.where(seen, penalised, scores)
        if self.temperature == 0:
            chosen = torch.full_like(scores, -torch.inf)
            return chosen.scatter_(1, scores.argmax(dim=1, keepdim=True), 0.0)
        if self.temperature != 1:
            scores = scores / self.temperature
        none: Any = None  # these warpers do not look at the ids
        for warper in self._warpers:
            scores = warper(none, scores)
        return scores.log_softmax(dim=1)

    def along(
        self, logits: torch.Tensor, prompt_ids: Sequence[int], sample_ids: Sequence[int]
    ) -> Iterator[tuple[slice, torch.Tensor]]:
        """Give the log-probabilities from which the tokens of a sample were drawn.

        They come in pieces: all at once they would take several times the memory of the logits.

        Args:
            logits: What the model gave after each token of prompt and sample, shape (L, V).
            prompt_ids: Token ids of the prompt.
            sample_ids: Token ids of the sample, length n.

        Yields:
            Which tokens, and their log-probabilities, shape (tokens, V).
        """
        import torch

        begin, end = len(prompt_ids), len(prompt_ids) + len(sample_ids)
        first = torch.full((logits.shape[1],), end, device=logits.device)
        if self.remembers:
            ids = torch.tensor([*prompt_ids, *sample_ids], device=logits.device)
            first.scatter_reduce_(0, ids, torch.arange(end, device=logits.device), "amin")
        size = max(1, PIECE // logits.shape[1])
        for at in range(begin, end, size):
            until = min(at + size, end)
            seen = None
            if self.remembers:
                seen = first < torch.arange(at, until, device=logits.device)[:, None]
            scores = self.log_probabilities(logits[at - 1 : until - 1], seen)
            yield slice(at - begin, until - begin), scores

    @cached_property
    def _warpers(self) -> list[Any]:
        from transformers import MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

        warpers: list[Any] = []
        if self.top_k is not None:
            warpers.append(TopKLogitsWarper(top_k=self.top_k))
        if self.top_p < 1:
            warpers.append(TopPLogitsWarper(top_p=self.top_p))
        if self.min_p > 0:
            warpers.append(MinPLogitsWarper(min_p=self.min_p))
        return warpers

    @cached_property
    def stops(self) -> Any:
        """The stop strings, matched on token ids as `generate` does; None where there are none."""
        from critwin.samplers.stop_strings import stop_strings_of

        return stop_strings_of(self.tokenizer, self.stop) if self.stop else None

    @property
    def reach(self) -> int:
        """Last tokens of a sample that decide whether it has just written a stop string."""
        return self.stops.maximum_token_len if self.stop else 0


def surprisals_of(log_probabilities: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
    """Give the surprisal of each row's token, in millionths of a nat.

    Rounded, because batches of another size change the last digits of a logit: with it the records
    of the deterministic mode are the same to the byte, whatever memory there was.

    Args:
        log_probabilities: Shape (B, V).
        token: Shape (B, 1).

    Returns:
        Shape (B, 1), float64, >= 0.
    """
    found = -log_probabilities.gather(1, token).double()
    return found.clamp_(min=0).round_(decimals=6)
