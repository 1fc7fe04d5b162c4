"""What transformers gives without any of critwin: one pass, eager attention, no cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from critwin.generation import Generation, Prefix


def reference(folder: Path, dtype: torch.dtype = torch.float64) -> Any:
    """Load a checkpoint anew, with transformers' plainest code."""
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager", experts_implementation="eager"
    ).eval()


def recomputed(model: Any, samples: Sequence[Generation]) -> list[np.ndarray]:
    """Give the surprisals of the samples' tokens at temperature 1, all in one pass."""
    ids = [[*x.prompt_ids, *x.token_ids] for x in samples]
    longest = max(map(len, ids))
    padded = torch.tensor([[*own, *[0] * (longest - len(own))] for own in ids])
    with torch.inference_mode():
        nats = -model(input_ids=padded, use_cache=False).logits.double().log_softmax(dim=-1)
    return [
        np.array([float(nats[i, at - 1, own[at]]) for at in range(len(x.prompt_ids), len(own))])
        for i, (x, own) in enumerate(zip(samples, ids, strict=True))
    ]


def greedy(model: Any, prefix: Prefix, count: int) -> list[int]:
    """Give the kept tokens and what `generate` adds to them at temperature 0."""
    ids = torch.tensor([[*prefix.prompt_ids, *prefix.token_ids]])
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=count,
        pad_token_id=0,
    )
    found: list[int] = out[0, len(prefix.prompt_ids) :].tolist()
    return found
