"""Attention over keys and values that many rows share, for any decoder of transformers.

Resamples of one original repeat its beginning. Its keys and values are kept once; the rows of a
group attend to them by one product, and each row apart to the tokens it has drawn itself. Models
reach this code through transformers' own attention interface, so positions, norms and projections
stay theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

from critwin.errors import ModelError

NAME = "critwin_shared"

ROOM = 64
"""Columns for drawn tokens that are made at first, and least spare columns afterwards."""

_KNOWN_LAYERS = {"full_attention", "sliding_attention"}


@dataclass(frozen=True)
class Scoring:
    """How a layer scores keys: its scale, sliding window, soft cap and attention sinks."""

    scale: float
    window: int | None
    softcap: float | None
    sinks: Tensor | None

    def weigh(self, scores: Tensor, mask: Tensor) -> Tensor:
        """Turn scaled scores, shape (B, H, Q, L), and an additive mask into weights."""
        if self.softcap is not None:
            scores = torch.tanh(scores / self.softcap) * self.softcap
        scores = scores.add_(mask).to(torch.promote_types(scores.dtype, torch.float32))
        if self.sinks is None:
            return scores.softmax(dim=-1)
        sinks = self.sinks.to(scores.dtype).reshape(1, -1, 1, 1).expand(*scores.shape[:3], 1)
        return torch.cat([scores, sinks], dim=-1).softmax(dim=-1)[..., :-1]


class WholeSequences:
    """Attention of teacher-forced passes; keeps the keys and values of every layer.

    A pass goes on where the one before it stopped.

    Attributes:
        keys: Per layer, shape (N, H_kv, L, D).
        values: Per layer, shape (N, H_kv, L, D_v).
        windows: Per layer, the sliding window that it asked for.
    """

    def __init__(self) -> None:
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}
        self.windows: dict[int, int | None] = {}

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scoring: Scoring) -> Tensor:
        """Attend to oneself and what stands before, q, k and v of shape (N, H, L, D)."""
        if layer in self.keys:
            k = torch.cat([self.keys[layer], k], dim=2)
            v = torch.cat([self.values[layer], v], dim=2)
        self.keys[layer], self.values[layer] = k, v
        self.windows[layer] = scoring.window
        length, until = q.shape[2], k.shape[2]
        allowed = None
        if until > min(length, scoring.window or length):
            at = torch.arange(until, device=q.device)
            distance = at[until - length :, None] - at[None, :]
            allowed = (distance >= 0) & (distance < (scoring.window or until))
        if scoring.softcap is None and scoring.sinks is None:
            found = torch.nn.functional.scaled_dot_product_attention(
                q,
                k,
                v,
                attn_mask=allowed,
                is_causal=allowed is None,
                scale=scoring.scale,
                enable_gqa=q.shape[1] != k.shape[1],
            )
            return found.transpose(1, 2)
        if allowed is None:
            allowed = torch.ones((length, until), dtype=torch.bool, device=q.device).tril()
        repeats = q.shape[1] // k.shape[1]
        keys, values = k.repeat_interleave(repeats, 1), v.repeat_interleave(repeats, 1)
        scores = (q * scoring.scale) @ keys.transpose(-1, -2)
        weights = scoring.weigh(scores, _additive(allowed, q.dtype)).to(q.dtype)
        return (weights @ values).transpose(1, 2)


class SharedRows:
    """Keys and values of rows that draw tokens: B = groups x rows per group.

    The rows of a group share the beginning of one sequence, each up to its own place. Drawn tokens
    stand in columns that all rows fill together; a row sees the columns since it was admitted.

    Attributes:
        groups: G.
        per_group: R.
        start: Tokens of the shared sequence that each row sees, shape (B,).
    """

    def __init__(self, groups: int, per_group: int, device: torch.device) -> None:
        self.groups, self.per_group, self.device = groups, per_group, device
        self.start = torch.zeros(groups * per_group, dtype=torch.int64, device=device)
        self.last = torch.zeros_like(self.start)
        self.since = torch.zeros_like(self.start)
        self.since_of = [0] * (groups * per_group)
        self.lengths = [0] * groups
        self.column = 0
        self.first = 0
        self.prefix: dict[int, tuple[Tensor, Tensor]] = {}
        self.suffix: dict[int, tuple[Tensor, Tensor]] = {}
        self.masks: dict[int | None, Tensor] = {}

    def load(self, group: int, keys: list[Tensor], values: list[Tensor]) -> None:
        """Give a group a sequence: per layer its keys (H_kv, L, D) and values."""
        length = keys[0].shape[1]
        for layer, pair in enumerate(zip(keys, values, strict=True)):
            if layer not in self.prefix:
                shape = (self.groups, pair[0].shape[0], 0)
                self.prefix[layer] = (
                    pair[0].new_zeros((*shape, pair[0].shape[2])),
                    pair[1].new_zeros((*shape, pair[1].shape[2])),
                )
            if self.prefix[layer][0].shape[2] < length:
                k, v = (_widened(t, length + ROOM) for t in self.prefix[layer])
                self.prefix[layer] = k, v
            for buffer, content in zip(self.prefix[layer], pair, strict=True):
                buffer[group, :, :length] = content
        self.lengths[group] = length

    def admit(self, rows: list[int], *, starts: list[int], ends: list[int]) -> None:
        """Let rows begin anew.

        Args:
            rows: Which.
            starts: Tokens of its group's sequence that each sees.
            ends: Positions that each may have, its sequence included; idle rows stay below too.
        """
        at = torch.tensor(rows, device=self.device)
        self.start[at] = torch.tensor(starts, device=self.device)
        self.last[at] = torch.tensor(ends, device=self.device) - 1
        self.since[at] = self.column
        for row in rows:
            self.since_of[row] = self.column

    def look(self, alive: Sequence[int]) -> None:
        """Note which rows matter from now on: columns that none of them sees are left out."""
        self.first = min((self.since_of[row] for row in alive), default=self.column)

    def begin_step(self) -> Tensor:
        """Make room for a token per row; give the position of each row's token, shape (B, 1)."""
        full = self.suffix[0][0].shape[2] if self.suffix else ROOM
        if self.column >= full:
            self._slide()
        self.masks = {}
        positions = self.start + self.column - self.since
        return torch.minimum(positions, self.last)[:, None]

    def end_step(self) -> None:
        """Count the column that was filled."""
        self.column += 1

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scoring: Scoring) -> Tensor:
        """Attend to the shared sequence and the row's own tokens.

        Args:
            layer: Number of the layer.
            q: Shape (B, H, 1, D).
            k: Keys of the new tokens, shape (B, H_kv, 1, D).
            v: Values of them, shape (B, H_kv, 1, D_v).
            scoring: How the layer scores.

        Returns:
            Shape (B, 1, H, D_v).
        """
        rows, heads, _, width = q.shape
        few = k.shape[1]
        if layer not in self.suffix:
            self.suffix[layer] = _columns(k, ROOM), _columns(v, ROOM)
        own_k, own_v = self.suffix[layer]
        own_k[:, :, self.column], own_v[:, :, self.column] = k[:, :, 0], v[:, :, 0]
        until = self.column + 1
        own_k, own_v = own_k[:, :, self.first : until], own_v[:, :, self.first : until]
        longest = max(self.lengths)
        shared_k, shared_v = (t[:, :, :longest] for t in self.prefix[layer])

        q = (q * scoring.scale).view(rows, few, heads // few, width)
        scores = torch.cat(
            [
                self._by_row(self._by_group(q) @ shared_k.transpose(-1, -2), heads // few),
                q @ own_k.transpose(-1, -2),
            ],
            dim=-1,
        )
        flat = scores.view(rows, heads, 1, -1)
        weights = scoring.weigh(flat, self._mask(scoring.window, longest, q.dtype)).to(q.dtype)
        weights = weights.view(scores.shape)
        shared = self._by_group(weights[..., :longest]) @ shared_v
        # products of many small matrices are faster where these lie close together
        found = self._by_row(shared, heads // few) + weights[..., longest:].contiguous() @ own_v
        return found.reshape(rows, 1, heads, -1)

    def select(self, groups: list[int], rows: list[int], per_group: int) -> None:
        """Keep these groups and these rows, `per_group` in each group, in this order."""
        at, of = (torch.tensor(kept, device=self.device) for kept in (rows, groups))
        self.groups, self.per_group = len(groups), per_group
        self.start, self.last, self.since = self.start[at], self.last[at], self.since[at]
        self.since_of = [self.since_of[row] for row in rows]
        self.lengths = [self.lengths[group] for group in groups]
        self.prefix = {layer: (k[of], v[of]) for layer, (k, v) in self.prefix.items()}
        self._slide(at)

    def _slide(self, rows: Tensor | None = None) -> None:
        """Drop the columns that no row sees any more, and the rows that are not named."""
        size = self.column - self.first
        for layer, pair in self.suffix.items():
            k, v = (_moved(t, rows, self.first, self.column, 2 * size + ROOM) for t in pair)
            self.suffix[layer] = k, v
        self.since -= self.first
        self.since_of = [column - self.first for column in self.since_of]
        self.first, self.column = 0, size

    def _mask(self, window: int | None, longest: int, dtype: torch.dtype) -> Tensor:
        """Give the additive mask of this step, shape (B, 1, 1, longest + columns)."""
        if window not in self.masks:
            place = torch.arange(longest, device=self.device)
            column = torch.arange(self.first, self.column + 1, device=self.device)
            before = place < self.start[:, None]
            after = column >= self.since[:, None]
            if window is not None:
                position = (self.start + self.column - self.since)[:, None]
                before &= place > position - window
                after &= column > self.column - window
            allowed = torch.cat([before, after], dim=1)
            self.masks[window] = _additive(allowed, dtype)[:, None, None]
        return self.masks[window]

    def _by_group(self, rows: Tensor) -> Tensor:
        """Bring (B, H_kv, r, D) into (G, H_kv, R r, D): rows of a group make one product."""
        _, few, repeats, width = rows.shape
        grouped = rows.reshape(self.groups, self.per_group, few, repeats, width).transpose(1, 2)
        return grouped.reshape(self.groups, few, self.per_group * repeats, width)

    def _by_row(self, groups: Tensor, repeats: int) -> Tensor:
        """Bring (G, H_kv, R r, D) back into (B, H_kv, r, D)."""
        _, few, _, width = groups.shape
        split = groups.view(self.groups, few, self.per_group, repeats, width).transpose(1, 2)
        return split.reshape(self.groups * self.per_group, few, repeats, width)


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    rows: WholeSequences | SharedRows | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers' attention interface asks, over the rows that the engine passes."""
    strange = [name for name in ("position_bias", "head_mask") if others.get(name) is not None]
    if rows is None or strange:
        raise ModelError(f"attention with {strange or 'no rows'} is none that the engine knows")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scoring = Scoring(scale, sliding_window, softcap, s_aux)
    return rows.attend(module.layer_idx, query, key, value, scoring), None


AttentionInterface.register(NAME, attention)


def take_over(model: Any) -> None:
    """Let a model attend by this module.

    Raises:
        ModelError: It does not use transformers' attention interface, or it has layers of a kind
            that is not known here.
    """
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or []) - _KNOWN_LAYERS
    name = type(model).__name__
    if kinds or model.config.is_encoder_decoder:
        found = ", ".join(sorted(kinds)) or "an encoder"
        raise ModelError(
            f"{name} has {found}; the engine knows decoders of full or sliding attention"
        )
    model.set_attn_implementation(NAME)
    for module in model.modules():
        if hasattr(module, "warn_if_padding_and_no_attention_mask"):
            # it reads token ids back from the device at every step, and warns where no padding is
            module.warn_if_padding_and_no_attention_mask = _silent
    if model.config._attn_implementation != NAME:
        raise ModelError(f"{name} does not use transformers' attention interface")


def _silent(*_: object) -> None:
    pass


def check_windows(model: Any, ids: Sequence[int]) -> None:
    """Refuse a model with sliding layers that leave the window to the mask alone.

    Source:
        transformers 5.23, models/qwen2_moe: its attention does not pass `sliding_window` on.

    Raises:
        ModelError: A layer that slides asked for no window.
    """
    kinds = getattr(model.config.get_text_config(), "layer_types", None) or []
    rows = WholeSequences()
    model(input_ids=torch.tensor([[*ids]], device=model.device), use_cache=False, rows=rows)
    blind = [
        layer
        for layer, kind in enumerate(kinds)
        if kind == "sliding_attention" and rows.windows.get(layer) is None
    ]
    if blind:
        raise ModelError(
            f"{type(model).__name__} does not tell its layers {blind} their sliding window"
        )


def _additive(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros_like(allowed, dtype=dtype).masked_fill_(~allowed, -torch.inf)


def _widened(content: Tensor, length: int) -> Tensor:
    buffer = content.new_zeros((*content.shape[:2], length, content.shape[3]))
    buffer[:, :, : content.shape[2]] = content
    return buffer


def _columns(content: Tensor, count: int) -> Tensor:
    return content.new_empty((*content.shape[:2], count, content.shape[3]))


def _moved(content: Tensor, rows: Tensor | None, first: int, until: int, room: int) -> Tensor:
    """Bring columns of rows to the front, in place where nothing but columns changes."""
    kept = content[:, :, first:until]
    kept = kept.clone() if rows is None else kept[rows]
    if rows is not None or content.shape[2] < room:
        content = _columns(kept, room)
    content[:, :, : until - first] = kept
    return content
