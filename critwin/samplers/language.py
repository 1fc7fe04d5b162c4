"""Causal language models of transformers as samplers: observing is truncation.

Source: Li, Karan, Chen (2025), arXiv:2502.00921, Definitions 1 to 3, with Y_t the first tokens.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Literal

import numpy as np

from critwin.errors import ParameterError
from critwin.generation import Generation
from critwin.protocol import check_number, check_whole
from critwin.sampler import Floats, Path
from critwin.samplers.chat_text import ChatText
from critwin.samplers.checkpoint import (
    ENGINES,
    Checkpoint,
    Loaded,
    check_path,
    content_of,
    load,
    local_folder,
    origin,
)
from critwin.samplers.token_law import Drawn, Request
from critwin.samplers.token_sampler import TokenSampler

ATTENTION = re.compile(r"(paged\|)?(eager|sdpa|flex_attention|flash_attention_\d)|[\w.-]+/[\w.:-]+")
"""What transformers calls implementations of attention; the last are kernels of the hub."""

DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
"""How accelerate spreads layers."""

DTYPES = ("float32", "bfloat16", "float16", "float64")


@dataclass(frozen=True, kw_only=True)
class LanguageSampler(TokenSampler):
    """A causal language model of transformers in this process.

    Attributes beside those of TokenSampler:
        dtype: Number type of weights and computation: float32, bfloat16, float16 or float64.
        device: `auto` (a GPU if there is one), `cpu`, `mps`, `cuda` or `cuda:N`.
        device_map: Spreads the layers over what there is, as accelerate does (`auto`, `balanced`,
            `sequential`); None puts all on `device`. More than one device needs the plain engine.
        attention: Attention implementation of transformers, such as `sdpa` or `flash_attention_2`,
            for the plain engine; None for its default. The shared engine brings its own.
        quantization: `4bit` or `8bit` weights of bitsandbytes; None for `dtype`.
        adapter: Folder or hub name of a PEFT adapter; None for none.
        adapter_revision: Branch, tag or commit of a hub adapter; None for its default.
        engine: `shared` decodes rows together that share what their prefixes share; `plain` takes
            models that it refuses. The law is the same.
        batch_size: Rows decoded together at most, >= 1; None finds what fits and is of use.
        memory_gb: Memory that decoding may take, in 10^9 bytes, > 0; None takes half of what is
            free. Out of memory halves the rows.
        deterministic: Compute in float64 with deterministic kernels, so that batch size and order
            do not change a byte; for tests and small models.
    """

    dtype: str = "float32"
    device: str = "auto"
    device_map: str | None = None
    attention: str | None = None
    quantization: Literal["4bit", "8bit"] | None = None
    adapter: str | None = None
    adapter_revision: str | None = None
    engine: str = "shared"
    batch_size: int | None = None
    memory_gb: float | None = None
    deterministic: bool = False

    # what path, adapter and their revisions name is hashed by its content
    execution = frozenset(
        {"path", "revision", "adapter", "adapter_revision"}
        | {"device", "device_map", "attention", "engine", "batch_size", "memory_gb"}
    )
    loaded_by = frozenset(field.name for field in fields(Checkpoint))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dtype not in DTYPES:
            raise ParameterError("dtype", self.dtype, f"one of {', '.join(DTYPES)}")
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", str(self.device)):
            raise ParameterError("device", self.device, "auto, cpu, mps, cuda or cuda:N")
        if self.engine not in ENGINES:
            raise ParameterError("engine", self.engine, f"one of {', '.join(ENGINES)}")
        check_whole("batch_size", self.batch_size, low=1)
        check_number("memory_gb", self.memory_gb, low=0.0, high=math.inf)
        self._check_loading()

    def _check_loading(self) -> None:
        """Refuse ways of loading that do not go together, or need a package that is missing."""
        if self.attention is not None and not ATTENTION.fullmatch(str(self.attention)):
            allowed = "null, eager, sdpa, flex_attention, flash_attention_2 or a kernel, org/name"
            raise ParameterError("attention", self.attention, allowed)
        if self.device_map not in (None, *DEVICE_MAPS):
            allowed = f"null or one of {', '.join(DEVICE_MAPS)}"
            raise ParameterError("device_map", self.device_map, allowed)
        if self.attention is not None and self.engine == "shared":
            allowed = "null, because engine=shared brings its own; engine=plain takes it"
            raise ParameterError("attention", self.attention, allowed)
        if self.device_map is not None and self.device != "auto":
            raise ParameterError("device", self.device, "auto where device_map is set")
        if self.quantization is not None and self.deterministic:
            raise ParameterError("quantization", self.quantization, "null with deterministic=true")
        for name, package in (
            ("adapter", "peft"),
            ("quantization", "bitsandbytes"),
            ("device_map", "accelerate"),
        ):
            if getattr(self, name) is not None and find_spec(package) is None:
                allowed = f"null, because {package} is not installed (pip install 'critwin[large]')"
                raise ParameterError(name, getattr(self, name), allowed)
        if self.adapter is not None:
            check_path(self.adapter, name="adapter", holds="adapter_config.json")

    def fingerprint(self) -> str:
        """Hash the checkpoint's files, or give the commit of a hub model; with its adapter's."""
        content = content_of(self.path, self.revision)
        if self.adapter is None:
            return content
        return f"{content}+{self._adapter_content()}"

    def _adapter_content(self) -> str:
        return content_of(str(self.adapter), self.adapter_revision, "adapter_config.json")

    def facts(self) -> dict[str, object]:
        """Say which checkpoint was loaded, for the record of a run."""
        found = origin(self.path, self.revision)
        if self.adapter is not None:
            found["adapter"] = {"path": self.adapter, "content": self._adapter_content()}
        return found

    def device_used(self) -> str:
        """Name the device that holds the weights."""
        import torch

        device = self.loaded.model.device
        if device.type == "cuda":
            return f"{device} ({torch.cuda.get_device_name(device)})"
        return str(device)

    @property
    def halvings(self) -> int:
        """How often memory ran out in this process and half as much was computed at once."""
        return self.loaded.decoder.halvings

    def paths(self, x: Sequence[Generation]) -> list[Path]:
        """Give the probability of each token that was drawn, by one teacher-forced pass each."""
        found = self.surprisals([(g.prompt_ids, g.token_ids) for g in x])
        return [Path(np.exp(-own)) for own in found]

    def surprisals(
        self, sequences: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]
    ) -> list[Floats]:
        """Give the surprisal of each token after a prompt, in nats, for pairs of token ids."""
        found = self.loaded.decoder.surprisals(sequences, self.law())
        return [np.array(own, dtype=np.float64) for own in found]

    @property
    def chat(self) -> ChatText:
        """The tokenizer with what stands about the model's turn in the config."""
        return ChatText(self.loaded.tokenizer, self.chat_arguments, self.opening, self.shown)

    @property
    def context(self) -> int:
        """Tokens that prompt and sample may have together."""
        return self.loaded.context

    @property
    def loaded(self) -> Loaded:
        """The model in memory, loaded on first use."""
        return load(self._checkpoint())

    def _checkpoint(self) -> Checkpoint:
        """Say what is loaded: the names of a hub model as the commits that they mean now."""
        given = {f.name: getattr(self, f.name) for f in fields(Checkpoint)}
        given["revision"] = None if local_folder(self.path) else self.fingerprint().split("+")[0]
        if self.adapter is not None and not local_folder(self.adapter):
            given["adapter_revision"] = self._adapter_content()
        return Checkpoint(**given)

    def decode(self, requests: Sequence[Request]) -> list[list[Drawn]]:
        """Draw continuations; for each request its draws, in the order of its seeds."""
        return self.loaded.decoder.decode(
            requests,
            self.law(),
            rows=self.batch_size,
            memory=None if self.memory_gb is None else int(self.memory_gb * 1e9),
        )

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Tokens that end a generation."""
        return self.loaded.end_ids
