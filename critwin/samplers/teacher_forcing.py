"""Teacher-forced passes: a sequence's keys, values and logits, kept for all that begins in it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from critwin.samplers.memory import LEAST_TOKENS, Together, in_batches

if TYPE_CHECKING:
    from torch import Tensor

FORCED_TOKENS = 4096
"""Tokens of one teacher-forced pass at most, padding counted; less where memory has run out."""

KEPT = 256
"""Sequences kept at most, however small they are."""


@dataclass(frozen=True)
class Sequenced:
    """A sequence after its teacher-forced pass.

    Attributes:
        ids: Its L token ids.
        keys: Per layer, shape (H_kv, L, D).
        values: Per layer, shape (H_kv, L, D_v).
        logits: What the model gives after each token, shape (L, V).
    """

    ids: tuple[int, ...]
    keys: list[Tensor]
    values: list[Tensor]
    logits: Tensor

    @property
    def token_bytes(self) -> int:
        """Memory of the keys and values of one token."""
        tensors = [*self.keys, *self.values]
        return sum(t.numel() * t.element_size() for t in tensors) // len(self.ids)

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        tensors = [*self.keys, *self.values, self.logits]
        return sum(t.numel() * t.element_size() for t in tensors)


class SequenceStore:
    """Sequences of one model that were run, the last used ones kept.

    Attributes:
        model: A causal language model that attends by shared_attention.
        room: Bytes that kept sequences may take.
        together: Tokens of a pass.
    """

    def __init__(self, model: Any, room: int) -> None:
        self.model, self.room = model, room
        self.together = Together(FORCED_TOKENS, least=LEAST_TOKENS)
        self.kept: OrderedDict[tuple[int, ...], Sequenced] = OrderedDict()
        self.lock = Lock()

    def clear(self) -> None:
        """Let all sequences go."""
        self.kept.clear()

    def of(self, wanted: Sequence[tuple[int, ...]]) -> list[Sequenced]:
        """Run sequences teacher-forced, or find them, whole or as part of a longer one."""
        with self.lock:
            there = [self._find(ids) for ids in wanted]
            missing = {ids for ids, state in zip(wanted, there, strict=True) if state is None}
            fresh: dict[tuple[int, ...], Sequenced] = {}

            def run(batch: Sequence[tuple[int, ...]]) -> None:
                fresh.update((state.ids, state) for state in self._run(batch))

            ordered = sorted(missing, key=lambda ids: (len(ids), ids))
            in_batches(ordered, run, together=self.together, size=len)
            self.kept |= fresh
            while len(self.kept) > KEPT or sum(s.bytes for s in self.kept.values()) > self.room:
                self.kept.popitem(last=False)
        return [state or fresh[ids] for ids, state in zip(wanted, there, strict=True)]

    def _find(self, ids: tuple[int, ...]) -> Sequenced | None:
        keys = [ids] if ids in self.kept else self.kept
        found = next((key for key in keys if key[: len(ids)] == ids), None)
        if found is None:
            return None
        self.kept.move_to_end(found)
        return self.kept[found]

    def _run(self, batch: Sequence[tuple[int, ...]]) -> list[Sequenced]:
        """Run sequences in one pass, or one sequence in as many as memory asks for."""
        while True:
            width = self.together.most
            try:
                return [*self._passed(batch, width)]
            except (RuntimeError, MemoryError) as error:
                if len(batch) > 1:
                    raise
                self.together.halve(error, min(width, len(batch[0])))
            self.kept.clear()

    def _passed(self, batch: Sequence[tuple[int, ...]], width: int) -> Iterator[Sequenced]:
        """Run sequences side by side, so many tokens of each in a pass."""
        import torch

        from critwin.samplers.shared_attention import WholeSequences

        longest = max(map(len, batch))
        padded = [[*ids, *[ids[0]] * (longest - len(ids))] for ids in batch]
        fed = torch.tensor(padded, device=self.model.device)
        at = torch.arange(longest, device=self.model.device).expand(len(batch), -1)
        rows, parts = WholeSequences(), []
        with torch.inference_mode():
            for begin in range(0, longest, width):
                piece = slice(begin, begin + width)
                output = self.model(
                    input_ids=fed[:, piece],
                    position_ids=at[:, piece],
                    use_cache=False,
                    rows=rows,
                )
                parts.append(output.logits)
            logits = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        for i, ids in enumerate(batch):
            keys, values = (
                [held[layer][i, :, : len(ids)].clone() for layer in sorted(held)]
                for held in (rows.keys, rows.values)
            )
            yield Sequenced(ids, keys, values, logits[i, : len(ids)].clone())
