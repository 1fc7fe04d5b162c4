"""Draws continuations with the model's own cache and attention: for models the engine refuses.

Slower than the engine: every row has its whole prefix for itself, and a batch lasts until its last
row has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from critwin.samplers.token_draws import TokenDraws
from critwin.samplers.token_law import Drawn, Request, TokenLaw

ROWS = 64
"""Rows decoded together where no number is set."""


class PlainDecoder:
    """Decodes for one loaded model.

    Attributes:
        model: A causal language model of transformers, in eval mode.
        pad_id: Token id used for padding; any valid id.
    """

    def __init__(self, model: Any, *, pad_id: int) -> None:
        self.model, self.pad_id = model, pad_id

    def decode(
        self,
        requests: Sequence[Request],
        law: TokenLaw,
        *,
        rows: int | None = None,
        memory: int | None = None,
    ) -> list[list[Drawn]]:
        """Draw continuations; see `Engine.decode`. `memory` is not looked at."""
        import torch

        size = rows or ROWS
        order = sorted(range(len(requests)), key=lambda i: len(requests[i].ids))
        draws = [(i, d) for i in order for d in range(len(requests[i].seeds))]
        results: list[dict[int, Drawn]] = [{} for _ in requests]
        with torch.inference_mode():
            for begin in range(0, len(draws), size):
                slab = draws[begin : begin + size]
                found = self._slab([(requests[i], d) for i, d in slab], law)
                for (i, d), drawn in zip(slab, found, strict=True):
                    results[i][d] = drawn
        return [[found[i] for i in range(len(found))] for found in results]

    def log_probabilities(
        self, sequences: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], law: TokenLaw
    ) -> list[list[float]]:
        """Give the log-probability of each token of samples; see `Engine.log_probabilities`."""
        import torch

        found = []
        with torch.inference_mode():
            for prompt_ids, token_ids in sequences:
                ids = torch.tensor([[*prompt_ids, *token_ids]], device=self.model.device)
                [logits] = self.model(input_ids=ids, use_cache=False).logits
                found.append(law.of_path(logits, prompt_ids, token_ids))
        return found

    def _slab(self, work: Sequence[tuple[Request, int]], law: TokenLaw) -> list[Drawn]:
        import torch

        device = self.model.device
        longest = max(len(request.ids) for request, _ in work)
        padding = [longest - len(request.ids) for request, _ in work]
        ids = [
            [self.pad_id] * n + list(request.ids)
            for n, (request, _) in zip(padding, work, strict=True)
        ]
        next_ids = torch.tensor(ids, device=device)
        mask = torch.arange(longest, device=device) >= torch.tensor(padding, device=device)[:, None]
        mask, cache, draws = mask.long(), None, None
        width = max(request.limit - len(request.kept_ids) for request, _ in work)
        for _ in range(width):
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -next_ids.shape[1] :]
            output = self.model(
                input_ids=next_ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache, logits = output.past_key_values, output.logits[:, -1]
            if draws is None:
                draws = TokenDraws(len(work), width, law, vocabulary=logits.shape[1], device=device)
                draws.admit(range(len(work)), work)
            draws.step(logits)
            if len(draws.finished()) == len(work):
                break
            next_ids = draws.next
            mask = torch.cat([mask, torch.ones_like(next_ids)], dim=1)
        assert draws is not None
        return draws.take(range(len(work)))
