"""Rows of the resamples table, made from what was drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from critwin.asking import Reply
from critwin.feature import UNSCORED
from critwin.generation import Generation, TextSampler
from critwin.records import RESAMPLES


class ResampleRows:
    """Makes rows of the resamples table; texts of what is kept are decoded once per cut."""

    def __init__(self, sampler: TextSampler) -> None:
        self._sampler = sampler
        self._kept: dict[tuple[str, int], str] = {}
        self._tokens: dict[int, str] = {}
        self._rows: list[dict[str, Any]] = []

    def add(
        self,
        original: Mapping[str, Any],
        draw: Generation,
        *,
        kind: str,
        position: int,
        replicate: int,
        label: str,
        reply: Reply | None = None,
        seed: int,
    ) -> None:
        """Add a resample of an original that shares its first `position` tokens."""
        kept = self._kept_text(original, position)
        begin = _shared_characters(kept, original["text"], draw.text)
        fresh = draw.token_ids[position:]
        first = fresh[0] if fresh else None
        unscored = label == UNSCORED
        self._rows.append(
            {
                "original_id": original["original_id"],
                "position": position,
                "t": 1 - position / len(original["token_ids"]),
                "replicate": replicate,
                "kind": kind,
                "first_token": first,
                "first_token_text": None if first is None else self._token_text(first),
                "text_start": begin,
                "text": draw.text[begin:],
                "label": label,
                "agrees": None if unscored or original["unscored"] else label == original["label"],
                "unscored": unscored,
                "finish_reason": draw.finish_reason,
                "tokens_generated": len(fresh),
                "seed": seed,
                "reply": None if reply is None else reply.text,
                "reply_tokens": None if reply is None else reply.tokens,
            }
        )

    def add_direct(
        self,
        original: Mapping[str, Any],
        reply: Reply,
        *,
        position: int,
        replicate: int,
        label: str,
        seed: int,
    ) -> None:
        """Add what the model said when it was asked after `position` tokens of an original."""
        unscored = label == UNSCORED
        self._rows.append(
            {
                "original_id": original["original_id"],
                "position": position,
                "t": 1 - position / len(original["token_ids"]),
                "replicate": replicate,
                "kind": "direct",
                "text_start": 0,  # the reply alone is the text
                "text": reply.text,
                "label": label,
                "agrees": None if unscored or original["unscored"] else label == original["label"],
                "unscored": unscored,
                "finish_reason": reply.finish_reason,
                "tokens_generated": reply.tokens,
                "seed": seed,
            }
        )

    def table(self) -> pa.Table:
        """Give the rows in the order in which they were added."""
        return pa.Table.from_pylist(self._rows, schema=RESAMPLES)

    def _kept_text(self, original: Mapping[str, Any], position: int) -> str:
        key = (original["original_id"], position)
        if key not in self._kept:
            self._kept[key] = self._sampler.text(original["token_ids"][:position])
        return self._kept[key]

    def _token_text(self, token_id: int) -> str:
        if token_id not in self._tokens:
            (self._tokens[token_id],) = self._sampler.tokens([token_id])
        return self._tokens[token_id]


def _shared_characters(kept: str, original: str, resample: str) -> int:
    """Count the characters that original and resample share because their tokens were kept."""
    if resample.startswith(kept) and original.startswith(kept):
        return len(kept)
    pairs = zip(kept, resample, original, strict=False)
    return next((i for i, (a, b, c) in enumerate(pairs) if not a == b == c), 0)
