"""Draws continuations with the model's own cache and attention: for models the engine refuses.

Slower than the engine: every row has its whole prefix for itself, rows of a batch have prefixes of
one length, and it lasts until its last row has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from critwin.samplers.following import surprisals_along
from critwin.samplers.memory import Together, in_batches
from critwin.samplers.token_draws import TokenDraws
from critwin.samplers.token_law import Drawn, Request, Row, TokenLaw

ROWS = 64
"""Rows decoded together where no number is set."""


class PlainDecoder:
    """Decodes for one loaded model.

    Attributes:
        model: A causal language model of transformers, in eval mode.
        halvings: How often memory ran out and the rows were halved.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.halvings = 0

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

        together = Together(rows or ROWS)
        rows_of = [
            Row(request, number, draw, request.kept)
            for number, request in enumerate(requests)
            for draw in range(len(request.seeds))
        ]
        rows_of.sort(key=lambda row: row.start)
        results: list[dict[int, Drawn]] = [{} for _ in requests]

        def decode(slab: Sequence[Row]) -> None:
            for row, drawn in zip(slab, self._slab(slab, law), strict=True):
                results[row.number][row.draw] = drawn

        with torch.inference_mode():
            for _, alike in groupby(rows_of, key=lambda row: row.start):
                in_batches([*alike], decode, together=together)
        self.halvings += together.halvings
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
                found.append(surprisals_along(logits, prompt_ids, sample_ids, law))
        return found

    def _slab(self, rows: Sequence[Row], law: TokenLaw) -> list[Drawn]:
        """Decode rows whose prefixes are equally long: recurrent states know no padding."""
        import torch
        from transformers.generation.utils import ALL_CACHE_NAMES

        fed = [row.request.ids[: row.start] for row in rows]
        next_ids = torch.tensor(fed, device=self.model.device)
        width = max(row.left for row in rows)
        state: dict[str, Any] = {}
        draws = None
        for _ in range(width):
            output = self.model(input_ids=next_ids, use_cache=True, **state)
            state = {name: output[name] for name in ALL_CACHE_NAMES if name in output}
            logits = output.logits[:, -1]
            if draws is None:
                shape = len(rows), width
                draws = TokenDraws(
                    *shape, law, vocabulary=logits.shape[1], device=self.model.device
                )
                draws.admit(range(len(rows)), rows)
            draws.step(logits)
            if len(draws.finished()) == len(rows):
                break
            next_ids = draws.next
        assert draws is not None
        return draws.take(range(len(rows)))
