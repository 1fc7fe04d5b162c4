"""Key-value caches that grow in place; transformers' own copies the whole cache for each token."""

from __future__ import annotations

from typing import Any, cast

import torch
from transformers.cache_utils import DynamicLayer

SPARE = 64
"""Tokens of room that are made at a time."""


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A `DynamicLayer` whose keys and values are views into buffers with room to spare.

    Buffers have shape (B, H, capacity, D); `keys` and `values` are their first L tokens.
    """

    buffers: tuple[torch.Tensor, torch.Tensor]
    keys: torch.Tensor
    values: torch.Tensor

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new keys and values, (B, H, new, D), behind the old ones and return all."""
        length = self.keys.shape[-2]
        total = length + key_states.shape[-2]
        if total > self.buffers[0].shape[-2]:
            self.buffers = _roomy(self.keys, total), _roomy(self.values, total)
        keys, values = self.buffers
        keys[:, :, length:total] = key_states
        values[:, :, length:total] = value_states
        self.keys, self.values = keys[:, :, :total], values[:, :, :total]
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows, in this order; a row may be taken several times."""
        length = self.keys.shape[-2]
        self.buffers = _roomy(self.keys[indices], length), _roomy(self.values[indices], length)
        self.keys, self.values = (buffer[:, :, :length] for buffer in self.buffers)


def grow_in_place(cache: Any) -> None:
    """Let the plain layers of a filled `DynamicCache` grow in place; other layers stay."""
    for layer in cache.layers:
        if type(layer) is DynamicLayer:
            layer.__class__ = GrowingLayer
            grown = cast(GrowingLayer, layer)
            grown.buffers = grown.keys, grown.values


def _roomy(content: torch.Tensor, total: int) -> torch.Tensor:
    """Copy keys or values, (B, H, L, D), into a buffer that holds `total` tokens and more."""
    rows, heads, length, width = content.shape
    buffer = content.new_empty((rows, heads, total + SPARE, width))
    buffer[:, :, :length] = content
    return buffer
