"""Which distribution tokens are drawn from, and what is asked of a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from critwin.generation import FinishReason

if TYPE_CHECKING:
    import torch

NO_TOKEN = 2**31 - 1
"""Stands where there is no token; stop strings do not match it."""


@dataclass(frozen=True, slots=True)
class Request:
    """Draws wanted from one prefix.

    Attributes:
        prompt_ids: Token ids of the prompt.
        kept_ids: Token ids of the sample that are given.
        limit: Tokens of the sample at most, the kept ones included; more than are kept.
        seeds: One seed per draw.
        excluded: Token that the first draw of each must not give; the others are renormalised.
    """

    prompt_ids: tuple[int, ...]
    kept_ids: tuple[int, ...]
    limit: int
    seeds: tuple[int, ...]
    excluded: int | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        """Prompt and kept tokens."""
        return self.prompt_ids + self.kept_ids


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

    def of_path(
        self, logits: torch.Tensor, prompt_ids: Sequence[int], token_ids: Sequence[int]
    ) -> list[float]:
        """Give the log-probability of each token of a sample.

        Args:
            logits: What the model gave after each token of prompt and sample, shape (L, V).
            prompt_ids: Token ids of the prompt.
            token_ids: Token ids of the sample.
        """
        import torch

        begin, end = len(prompt_ids), len(prompt_ids) + len(token_ids)
        seen = None
        if self.remembers:
            ids = torch.tensor([*prompt_ids, *token_ids], device=logits.device)
            first = torch.full((logits.shape[1],), end, device=logits.device)
            first.scatter_reduce_(0, ids, torch.arange(end, device=logits.device), "amin")
            seen = first < torch.arange(begin, end, device=logits.device)[:, None]
        drawn = torch.tensor(token_ids, device=logits.device)[:, None]
        scores = self.log_probabilities(logits[begin - 1 : end - 1], seen)
        found: list[float] = scores.gather(1, drawn)[:, 0].tolist()
        return found

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
        from critwin.samplers.stop_strings import StopStrings

        return StopStrings(self.tokenizer, list(self.stop)) if self.stop else None

    @property
    def reach(self) -> int:
        """Last tokens of a sample that decide whether it has just written a stop string."""
        return self.stops.maximum_token_len if self.stop else 0
