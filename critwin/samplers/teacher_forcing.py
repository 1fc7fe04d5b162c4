"""Teacher-forced passes: a sequence's keys, values and logits, kept for all that begins in it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

_T = TypeVar("_T")

FORCED_TOKENS = 4096
"""Tokens of one teacher-forced pass, unless a single sequence has more."""

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
    """

    def __init__(self, model: Any, room: int) -> None:
        self.model, self.room = model, room
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
            for batch in batches(sorted(missing, key=lambda ids: (len(ids), ids)), len):
                fresh |= {state.ids: state for state in self._run(batch)}
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

    def _run(self, batch: Sequence[tuple[int, ...]]) -> Iterator[Sequenced]:
        import torch

        from critwin.samplers.shared_attention import WholeSequences

        longest = max(map(len, batch))
        padded = [[*ids, *[ids[0]] * (longest - len(ids))] for ids in batch]
        rows = WholeSequences()
        with torch.inference_mode():
            logits = self.model(
                input_ids=torch.tensor(padded, device=self.model.device),
                position_ids=torch.arange(longest, device=self.model.device).expand(len(batch), -1),
                use_cache=False,
                rows=rows,
            ).logits
        for i, ids in enumerate(batch):
            keys, values = (
                [held[layer][i, :, : len(ids)].clone() for layer in sorted(held)]
                for held in (rows.keys, rows.values)
            )
            yield Sequenced(ids, keys, values, logits[i, : len(ids)].clone())


def batches(items: Sequence[_T], length: Callable[[_T], int]) -> Iterator[list[_T]]:
    """Cut sequences, sorted by length, into batches of so many tokens, padding counted."""
    batch: list[_T] = []
    for item in items:
        if batch and (len(batch) + 1) * length(item) > FORCED_TOKENS:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
