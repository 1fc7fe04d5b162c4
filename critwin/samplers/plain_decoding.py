"""Draws continuations with the model's own cache and attention: for models the engine refuses.

Slower than the engine: every row has its whole prefix for itself, and a batch lasts until its last
row has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from critwin.samplers.following import surprisals_along
from critwin.samplers.token_draws import TokenDraws
from critwin.samplers.token_law import Drawn, Request, Row, TokenLaw

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
        rows_of = [
            Row(request, number, draw, request.kept)
            for number, request in enumerate(requests)
            for draw in range(len(request.seeds))
        ]
        rows_of.sort(key=lambda row: row.start)
        results: list[dict[int, Drawn]] = [{} for _ in requests]
        with torch.inference_mode():
            for begin in range(0, len(rows_of), size):
                slab = rows_of[begin : begin + size]
                for row, drawn in zip(slab, self._slab(slab, law), strict=True):
                    results[row.number][row.draw] = drawn
        return [[found[i] for i in range(len(found))] for found in results]

    def surprisals(
        self, samples: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], law: TokenLaw
    ) -> list[list[float]]:
        """Give the surprisal of each token of samples; see `Engine.surprisals`."""
        import torch

        found = []
        with torch.inference_mode():
            for prompt_ids, sample_ids in samples:
                ids = torch.tensor([[*prompt_ids, *sample_ids]], device=self.model.device)
                [logits] = self.model(input_ids=ids, use_cache=False).logits
                found.append(
                    surprisals_along(law.along(logits, prompt_ids, sample_ids), sample_ids)
                )
        return found

    def _slab(self, rows: Sequence[Row], law: TokenLaw) -> list[Drawn]:
        import torch

        device = self.model.device
        longest = max(row.start for row in rows)
        padding = [longest - row.start for row in rows]
        ids = [
            [self.pad_id] * n + list(row.request.ids[: row.start])
            for n, row in zip(padding, rows, strict=True)
        ]
        next_ids = torch.tensor(ids, device=device)
        mask = torch.arange(longest, device=device) >= torch.tensor(padding, device=device)[:, None]
        mask, cache, draws = mask.long(), None, None
        width = max(row.left for row in rows)
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
                draws = TokenDraws(len(rows), width, law, vocabulary=logits.shape[1], device=device)
                draws.admit(range(len(rows)), rows)
            draws.step(logits)
            if len(draws.finished()) == len(rows):
                break
            next_ids = draws.next
            mask = torch.cat([mask, torch.ones_like(next_ids)], dim=1)
        assert draws is not None
        return draws.take(range(len(rows)))
