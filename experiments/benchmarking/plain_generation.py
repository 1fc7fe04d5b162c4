"""Resampling with `model.generate`: every prefix is computed anew for all of its resamples.

Source: what the released code of this kind of study does; Li, Karan, Chen (2025), Section 6.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from critwin.samplers.language import LanguageSampler
from experiments.benchmarking.work import Cut

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig

Drawn = list[list[list[int]]]
"""For each cut, for each of its resamples, the token ids drawn, the end token included."""


@dataclass(frozen=True)
class Checkpoint:
    """A model as transformers made it, for its own ways of generating.

    Attributes:
        model: The model, in eval mode.
        tokenizer: Its tokenizer.
        end_ids: Tokens that end a generation.
        pad_id: Token used for padding.
        context: Tokens that prompt and sample may have together.
        config: The sampler's parameters as transformers takes them, none left to a default.
    """

    model: Any
    tokenizer: Any
    end_ids: tuple[int, ...]
    pad_id: int
    context: int
    config: GenerationConfig

    @classmethod
    def of(cls, sampler: LanguageSampler) -> Checkpoint:
        """Load a sampler's checkpoint once more: the engine has its own attention put into its."""
        loaded = replace(sampler, engine="plain").loaded
        pad_id = loaded.tokenizer.pad_token_id
        pad_id = loaded.end_ids[0] if pad_id is None else pad_id
        config = _generation_config(sampler, loaded.end_ids, pad_id)
        # `generate` fills what is not set from the model's own config
        loaded.model.generation_config = config
        return cls(loaded.model, loaded.tokenizer, loaded.end_ids, pad_id, loaded.context, config)

    def limited(self, room: int, *, draws: int = 1) -> GenerationConfig:
        """Give the config with a length limit and a number of draws from each prefix."""
        config = copy(self.config)
        config.max_new_tokens, config.num_return_sequences = room, draws
        return config


def _generation_config(
    sampler: LanguageSampler, end_ids: tuple[int, ...], pad_id: int
) -> GenerationConfig:
    from transformers import GenerationConfig

    truncation: dict[str, Any] = {}
    if sampler.temperature > 0:
        truncation = {
            "temperature": sampler.temperature,
            "top_k": sampler.top_k or 0,
            "top_p": sampler.top_p,
            "min_p": sampler.min_p or None,
        }
    return GenerationConfig(
        do_sample=sampler.temperature > 0,
        repetition_penalty=sampler.repetition_penalty,
        stop_strings=list(sampler.stop) or None,
        eos_token_id=list(end_ids),
        pad_token_id=pad_id,
        use_cache=True,
        **truncation,
    )


@dataclass(frozen=True)
class PlainGeneration:
    """Calls `model.generate` on one prefix after the other, or on several, padded on the left.

    Attributes:
        checkpoint: The model, and what it draws from.
        rows: Resamples in a call at most.
        mixed: Whether a call may hold several prefixes.
    """

    checkpoint: Checkpoint
    rows: int
    mixed: bool = False

    def draw(self, cuts: Sequence[Cut]) -> Drawn:
        """Draw the resamples of some cuts."""
        import torch

        drawn: Drawn = [[] for _ in cuts]
        with torch.inference_mode():
            for batch in self._batches(cuts):
                found = self._generate([cuts[i] for i in batch])
                for i, ids in zip(batch, found, strict=True):
                    drawn[i].append(ids)
        return drawn

    def _batches(self, cuts: Sequence[Cut]) -> Iterator[list[int]]:
        """Give the cut of each row of each call.

        Prefixes of one call have similar lengths, so that little is padded. All rows of a call go
        on until the last one has ended, so the longest prefix and the greatest room have to fit
        into the context together.
        """
        order = range(len(cuts))
        batch: list[int] = []
        for i in sorted(order, key=lambda i: len(cuts[i].ids)) if self.mixed else order:
            if batch and not (self.mixed and self._fit([*(cuts[j] for j in {*batch}), cuts[i]])):
                yield batch
                batch = []
            batch += [i] * cuts[i].draws
            while len(batch) >= self.rows:
                yield batch[: self.rows]
                batch = batch[self.rows :]
        if batch:
            yield batch

    def _fit(self, cuts: Sequence[Cut]) -> bool:
        longest = max(len(cut.ids) for cut in cuts)
        return longest + max(cut.room for cut in cuts) <= self.checkpoint.context

    def _generate(self, batch: Sequence[Cut]) -> list[list[int]]:
        import torch

        device, pad = self.checkpoint.model.device, self.checkpoint.pad_id
        longest = max(len(cut.ids) for cut in batch)
        ids = [[pad] * (longest - len(cut.ids)) + list(cut.ids) for cut in batch]
        mask = [[0] * (longest - len(cut.ids)) + [1] * len(cut.ids) for cut in batch]
        rooms = [cut.room for cut in batch]
        more: dict[str, Any] = {}
        if len(set(rooms)) > 1:
            more["stopping_criteria"] = [_Rooms(longest, torch.tensor(rooms, device=device))]
        if self.checkpoint.config.stop_strings:
            more["tokenizer"] = self.checkpoint.tokenizer
        output = self.checkpoint.model.generate(
            input_ids=torch.tensor(ids, device=device),
            attention_mask=torch.tensor(mask, device=device),
            generation_config=self.checkpoint.limited(max(rooms)),
            **more,
        )
        rows = output[:, longest:].tolist()
        return [self._own(row[:room]) for row, room in zip(rows, rooms, strict=True)]

    def _own(self, row: list[int]) -> list[int]:
        """Cut off what `generate` put behind the end of a row."""
        closing = {*self.checkpoint.end_ids, self.checkpoint.pad_id}
        at = next((i for i, token in enumerate(row) if token in closing), len(row))
        ended = at < len(row) and row[at] in self.checkpoint.end_ids
        # what follows a stop string is padding, and often the end token serves for that
        return row[: at + 1] if ended and not self._stopped(row[:at]) else row[:at]

    def _stopped(self, ids: list[int]) -> bool:
        stops = self.checkpoint.config.stop_strings or []
        text = self.checkpoint.tokenizer.decode(ids) if stops else ""
        return any(stop in text for stop in stops)


class _Rooms:
    """Stops each row at its own length limit; `generate` knows one for all."""

    def __init__(self, start: int, rooms: torch.Tensor) -> None:
        self.start, self.rooms = start, rooms

    def __call__(self, ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return ids.shape[1] - self.start >= self.rooms
