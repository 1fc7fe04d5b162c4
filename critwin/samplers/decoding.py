"""Batched decoding of a causal language model, with random numbers that belong to the draws.

Rows are decoded together; a row that has finished leaves the batch. What a row draws depends on its
own seed and step, so batch size and order change nothing but the rounding of floats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from critwin.generation import FinishReason
from critwin.seeds import uniforms

if TYPE_CHECKING:
    import torch

BLOCK = 32
"""Steps whose random numbers are made at once."""

COMPACT_BELOW = 0.8
"""A batch is cut down to its unfinished rows when they are a smaller share of it than this."""

GOING, END, STOP, LENGTH = range(4)
"""What has become of a row."""


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
        temperature: Divides the logits; 0 takes the most probable token.
        top_k: Most probable tokens that are kept; None keeps all.
        top_p: Mass of most probable tokens that is kept.
        end_ids: Tokens that end a generation.
        stopped: Tells for samples, given as token ids, which of them hold a stop string near their
            end; None where there is no stop string.
    """

    temperature: float
    top_k: int | None
    top_p: float
    end_ids: tuple[int, ...]
    stopped: Callable[[Sequence[Sequence[int]]], list[bool]] | None = None

    def log_probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Turn logits, shape (B, V), into the log-probabilities that are sampled from.

        The truncation is that of transformers' own warpers, in the order of `generate`.
        """
        import torch
        from transformers import TopKLogitsWarper, TopPLogitsWarper

        scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.temperature == 0:
            chosen = torch.full_like(scores, -torch.inf)
            return chosen.scatter_(1, scores.argmax(dim=1, keepdim=True), 0.0)
        scores = scores / self.temperature
        none: Any = None  # these warpers do not look at the ids
        if self.top_k is not None:
            scores = TopKLogitsWarper(top_k=min(self.top_k, scores.shape[1]))(none, scores)
        if self.top_p < 1:
            scores = TopPLogitsWarper(top_p=self.top_p)(none, scores)
        return scores.log_softmax(dim=1)


def decode(
    model: Any, requests: Sequence[Request], law: TokenLaw, *, batch_size: int, pad_id: int
) -> list[list[Drawn]]:
    """Draw continuations.

    Args:
        model: A causal language model of transformers, in eval mode.
        requests: Prefixes with the seeds of their draws.
        law: What tokens are drawn from.
        batch_size: Rows decoded together, >= 1.
        pad_id: Token id used for padding; any valid id.

    Returns:
        For each request its draws, in the order of its seeds.
    """
    import torch

    results: list[dict[int, Drawn]] = [{} for _ in requests]
    with torch.inference_mode():
        for slab in _slabs(requests, batch_size):
            for (request, draw), drawn in _Slab(model, requests, slab, law, pad_id).finish():
                results[request][draw] = drawn
    return [[found[i] for i in range(len(found))] for found in results]


def teacher_forced(
    model: Any,
    sequences: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
    law: TokenLaw,
    *,
    batch_size: int,
    pad_id: int,
) -> list[list[float]]:
    """Give the log-probability of every token of finished samples, in one pass each.

    Args:
        model: A causal language model of transformers, in eval mode.
        sequences: Prompt ids and token ids of each sample, at least one token each.
        law: What tokens are drawn from.
        batch_size: Samples in a pass, >= 1.
        pad_id: Token id used for padding; any valid id.

    Returns:
        For each sample the log-probability, under `law`, of each of its tokens, in nats, <= 0.
    """
    import torch

    found: dict[int, list[float]] = {}
    order = sorted(range(len(sequences)), key=lambda i: sum(map(len, sequences[i])))
    with torch.inference_mode():
        for begin in range(0, len(order), batch_size):
            batch = order[begin : begin + batch_size]
            rows = [[*sequences[i][0], *sequences[i][1]] for i in batch]
            longest = max(map(len, rows))
            padded = [row + [pad_id] * (longest - len(row)) for row in rows]  # after the tokens
            mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
            logits = model(
                input_ids=torch.tensor(padded, device=model.device),
                attention_mask=torch.tensor(mask, device=model.device),
            ).logits
            for i, row in zip(batch, logits, strict=True):
                prompt, drawn = sequences[i]
                own = row[len(prompt) - 1 : len(prompt) + len(drawn) - 1]
                ids = torch.tensor(drawn, device=model.device)[:, None]
                picked = law.log_probabilities(own).gather(1, ids)[:, 0]
                found[i] = picked.double().clamp(max=0).tolist()
    return [found[i] for i in range(len(sequences))]


def _slabs(requests: Sequence[Request], batch_size: int) -> Iterator[list[tuple[int, int]]]:
    """Cut all (request, draw) pairs into batches; prefixes of similar length stand together."""
    order = sorted(range(len(requests)), key=lambda i: _length(requests[i]))
    rows = [(i, d) for i in order for d in range(len(requests[i].seeds))]
    for begin in range(0, len(rows), batch_size):
        yield rows[begin : begin + batch_size]


def _length(request: Request) -> int:
    return len(request.prompt_ids) + len(request.kept_ids)


class _Slab:
    """One batch of rows that are decoded together until the last has finished."""

    def __init__(
        self,
        model: Any,
        requests: Sequence[Request],
        rows: list[tuple[int, int]],
        law: TokenLaw,
        pad_id: int,
    ) -> None:
        import torch

        self.model, self.law, self.pad_id, self.rows = model, law, pad_id, rows
        self.requests = requests
        self.device = model.device
        self.prefixes = [requests[i] for i in dict.fromkeys(i for i, _ in rows)]
        self.draws = [sum(1 for j, _ in rows if requests[j] is p) for p in self.prefixes]
        self.seeds = np.array([requests[i].seeds[d] for i, d in rows], dtype=np.uint64)
        self.kept = np.array([len(requests[i].kept_ids) for i, _ in rows], dtype=np.uint64)
        left = [requests[i].limit - len(requests[i].kept_ids) for i, _ in rows]
        self.budget = torch.tensor(left, device=self.device)
        self.end_ids = torch.tensor(law.end_ids, device=self.device)
        forked = [(row, requests[i].excluded) for row, (i, _) in enumerate(rows)]
        pairs = [(row, token) for row, token in forked if token is not None]
        self.forked = torch.tensor([row for row, _ in pairs], device=self.device)
        self.excluded = torch.tensor([token for _, token in pairs], device=self.device)
        steps = int(self.budget.max())
        shape = (len(rows), steps)
        self.tokens = torch.full(shape, pad_id, device=self.device)
        self.surprisal = torch.zeros(shape, dtype=torch.float64, device=self.device)
        self.reason = torch.zeros(len(rows), dtype=torch.int64, device=self.device)
        self.length = torch.zeros(len(rows), dtype=torch.int64, device=self.device)

    def finish(self) -> Iterator[tuple[tuple[int, int], Drawn]]:
        """Decode to the end and give each row's draw."""
        import torch

        self._prefill()
        self.alive = torch.arange(len(self.rows), device=self.device)
        for step in range(self.tokens.shape[1]):
            self._draw(step)
            self._retire()
            if not bool(self.going.any()):
                break
            self._advance()
        return self._collect()

    def _samples(self) -> list[list[int]]:
        """Give the samples so far of the rows that are alive, without their prompts."""
        rows, lengths = self.alive.tolist(), self.length[self.alive].tolist()
        drawn = self.tokens[self.alive].tolist()
        return [
            [*self.requests[self.rows[row][0]].kept_ids, *own[:n]]
            for row, n, own in zip(rows, lengths, drawn, strict=True)
        ]

    def _prefill(self) -> None:
        """Run each prefix once; all draws from it share the computation."""
        import torch

        from critwin.samplers.growing_cache import grow_in_place

        longest = max(_length(p) for p in self.prefixes)
        ids, mask = [], []
        for prefix in self.prefixes:
            padding = longest - _length(prefix)
            ids.append([self.pad_id] * padding + [*prefix.prompt_ids, *prefix.kept_ids])
            mask.append([0] * padding + [1] * _length(prefix))
        self.mask = torch.tensor(mask, device=self.device)
        output = self.model(
            input_ids=torch.tensor(ids, device=self.device),
            attention_mask=self.mask,
            position_ids=(self.mask.cumsum(dim=1) - 1).clamp(min=0),
            use_cache=True,
            logits_to_keep=1,
        )
        repeats = torch.tensor(self.draws, device=self.device)
        row_of = torch.arange(len(self.prefixes), device=self.device).repeat_interleave(repeats)
        self.cache = output.past_key_values
        grow_in_place(self.cache)
        self.cache.batch_select_indices(row_of)
        self.mask = self.mask[row_of]
        self.logits = output.logits[row_of, -1]

    def _draw(self, step: int) -> None:
        """Draw the next token of every row that is alive, by inversion of its distribution."""
        import torch

        if step % BLOCK == 0:
            steps = np.arange(step, step + BLOCK, dtype=np.uint64)
            numbers = uniforms(self.seeds[:, None], self.kept[:, None] + steps)
            self.uniform = torch.from_numpy(numbers).to(self.device)
        log_probabilities = self.law.log_probabilities(self.logits)
        probabilities = log_probabilities.double().exp()
        if step == 0 and len(self.forked):
            probabilities[self.forked, self.excluded] = 0.0
            self._check_choice(probabilities)
        cumulative = probabilities.cumsum(dim=1)
        target = self.uniform[self.alive, step % BLOCK, None] * cumulative[:, -1:]
        token = torch.searchsorted(cumulative, target, right=True)
        token = token.clamp(max=cumulative.shape[1] - 1)
        surprisal = -log_probabilities.gather(1, token)
        self.tokens[self.alive, step] = token[:, 0]
        self.surprisal[self.alive, step] = surprisal[:, 0].double().clamp(min=0)
        self.next = token

    def _check_choice(self, probabilities: torch.Tensor) -> None:
        """Refuse a fork at a token that the sampler was sure to give."""
        certain = (probabilities[self.forked].sum(dim=1) == 0).nonzero()[:, 0].tolist()
        if certain:
            request = self.requests[self.rows[int(self.forked[certain[0]])][0]]
            raise ValueError(
                f"token {len(request.kept_ids) + 1} had probability 1: there is nothing to fork to"
            )

    def _retire(self) -> None:
        """Note which of the rows have ended with the token just drawn, and why."""
        import torch

        earlier = self.reason[self.alive]
        length = self.length[self.alive] + (earlier == 0)
        self.length[self.alive] = length
        reason = torch.where(length >= self.budget[self.alive], LENGTH, GOING)
        if self.law.stopped is not None:
            stopped = torch.tensor(self.law.stopped(self._samples()), device=self.device)
            reason = torch.where(stopped, STOP, reason)
        reason = torch.where(torch.isin(self.next[:, 0], self.end_ids), END, reason)
        reason = torch.where(earlier == GOING, reason, earlier)
        self.reason[self.alive] = reason
        self.going = reason == GOING

    def _advance(self) -> None:
        """Feed the drawn tokens to the model, without the finished rows once they are many."""
        import torch

        if float(self.going.double().mean()) < COMPACT_BELOW:
            rows = self.going.nonzero()[:, 0]
            self.cache.batch_select_indices(rows)
            self.mask, self.alive, self.next = self.mask[rows], self.alive[rows], self.next[rows]
        self.mask = torch.cat([self.mask, torch.ones_like(self.mask[:, :1])], dim=1)
        output = self.model(
            input_ids=self.next,
            attention_mask=self.mask,
            position_ids=self.mask.sum(dim=1, keepdim=True) - 1,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.cache, self.logits = output.past_key_values, output.logits[:, -1]

    def _collect(self) -> Iterator[tuple[tuple[int, int], Drawn]]:
        reasons: dict[int, FinishReason] = {END: "end", STOP: "stop", LENGTH: "length"}
        tokens, surprisal = self.tokens.tolist(), self.surprisal.tolist()
        lengths, codes = self.length.tolist(), self.reason.tolist()
        for row, identity in enumerate(self.rows):
            n = lengths[row]
            drawn = Drawn(tuple(tokens[row][:n]), tuple(surprisal[row][:n]), reasons[codes[row]])
            yield identity, drawn
