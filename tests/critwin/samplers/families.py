"""Tiny random-weight checkpoints of the decoder families that people use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers as hf

LETTERS = "abcdefghijklmnopqrstuvwxyz"

SHAPE: dict[str, Any] = {
    "vocab_size": len(LETTERS) + 1,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": 0,
    "attention_dropout": 0.0,
}
"""Grouped heads; weights large enough that the logits depend on all of the context."""

WINDOW = 6
"""Tokens that sliding layers see: fewer than all prompts but the shortest have."""

MIXED = {"num_hidden_layers": 3, "sliding_window": WINDOW, "head_dim": 8} | {
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]
}

FAMILIES: dict[str, Callable[[], Any]] = {
    "llama": lambda: hf.LlamaConfig(**SHAPE),
    "qwen2": lambda: hf.Qwen2Config(**SHAPE),
    "qwen3": lambda: hf.Qwen3Config(**SHAPE, head_dim=8),
    "phi3": lambda: hf.Phi3Config(**SHAPE),
    "mistral": lambda: hf.MistralConfig(**SHAPE, sliding_window=WINDOW),
    "gemma2": lambda: hf.Gemma2Config(**SHAPE | MIXED, query_pre_attn_scalar=8),
    "gemma3": lambda: hf.Gemma3TextConfig(**SHAPE | MIXED, query_pre_attn_scalar=8),
    "olmo2": lambda: hf.Olmo2Config(**SHAPE),
    "gpt_neox": lambda: hf.GPTNeoXConfig(**SHAPE),
    "gpt_oss": lambda: hf.GptOssConfig(
        **SHAPE | MIXED,
        num_local_experts=4,
        num_experts_per_tok=2,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    ),
    "gpt2": lambda: hf.GPT2Config(
        vocab_size=SHAPE["vocab_size"],
        n_positions=256,
        n_embd=32,
        n_layer=2,
        n_head=4,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    ),
}
"""What the engine serves."""

REFUSED: dict[str, Callable[[], Any]] = {
    # keeps a state of fixed size in place of keys and values
    "mamba": lambda: hf.MambaConfig(
        vocab_size=SHAPE["vocab_size"],
        hidden_size=32,
        state_size=4,
        num_hidden_layers=2,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    ),
    # adds a slope over distances to its scores, outside of the attention interface
    "bloom": lambda: hf.BloomConfig(
        vocab_size=SHAPE["vocab_size"],
        hidden_size=32,
        n_layer=2,
        n_head=4,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=0,
    ),
    # does not tell its attention which window a layer has; no short text would show it
    "qwen2_moe": lambda: hf.Qwen2MoeConfig(
        **SHAPE | MIXED | {"sliding_window": 40},
        use_sliding_window=True,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
    ),
}
"""What the engine does not serve, each for another reason."""


def write_checkpoint(config: Any, folder: Path) -> Path:
    """Save a model of random weights in float32 beside a tokenizer of single letters."""
    import torch

    write_letters(folder)
    torch.manual_seed(0)
    with torch.random.fork_rng():
        model = hf.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    return folder


def write_letters(folder: Path) -> None:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {"</s>": 0, **{letter: i + 1 for i, letter in enumerate(LETTERS)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>").save_pretrained(folder)
