"""Causal language models of transformers as samplers: observing is truncation.

Source: Li, Karan, Chen (2025), arXiv:2502.00921, Definitions 1 to 3, with Y_t the first tokens.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from critwin.errors import ModelError, ParameterError
from critwin.generation import Generation, Prefix, TextSampler, truncate
from critwin.prompt import Prompt
from critwin.protocol import Sampling, check_number, check_whole
from critwin.sampler import ForkingSampler, Path
from critwin.samplers.checkpoint import (
    ENGINES,
    Loaded,
    check_path,
    hash_folder,
    hub_commit,
    load,
    local_folder,
)
from critwin.samplers.conversation import follow_up_ids
from critwin.samplers.token_law import Drawn, Request, TokenLaw

DTYPES = ("float32", "bfloat16", "float16", "float64")


@dataclass(frozen=True, kw_only=True)
class LanguageSampler(TextSampler, ForkingSampler[Generation, Prefix]):
    """A causal language model, drawn from with temperature, top-k and top-p.

    Attributes:
        path: Local checkpoint folder, hub name such as `org/name`, or `embedded:arithmetic`.
        revision: Branch, tag or commit of a hub model; None for its default.
        dtype: Number type of weights and computation: float32, bfloat16, float16 or float64.
        device: `auto` (a GPU if there is one), `cpu`, `mps`, `cuda` or `cuda:N`.
        engine: `shared` decodes rows together that share what their prefixes share; `plain` takes
            models that it refuses. The law is the same.
        batch_size: Rows decoded together at most, >= 1; None finds what fits and is of use.
        memory_gb: Memory that decoding may take, in 10^9 bytes, > 0; None takes half of what is
            free. Out of memory halves the rows.
        temperature: Divides the logits, >= 0; 0 takes the most probable token.
        top_k: Keep the k most probable tokens; None keeps all.
        top_p: Keep the most probable tokens that together reach this probability, in (0, 1].
        min_p: Drop tokens less probable than this share of the most probable one, in [0, 1].
        repetition_penalty: Divides the logits of tokens that stand in prompt or sample already
            (multiplies those below 0), > 0; 1 for none.
        max_new_tokens: Length limit from the end of the prompt, >= 1; the model's context is one
            too. Both depend on the prompt alone, so originals and resamples share them.
        stop: Strings that end a generation; they stay part of it. Names of special tokens may
            stand in them; the token ends it then, though no text shows it.
        trust_remote_code: Run Python code that comes with the checkpoint.
        deterministic: Compute in float64 with deterministic kernels, so that batch size and order
            do not change a byte; for tests and small models.
    """

    path: str
    revision: str | None = None
    dtype: str = "float32"
    device: str = "auto"
    engine: str = "shared"
    batch_size: int | None = None
    memory_gb: float | None = None
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    max_new_tokens: int = 512
    stop: tuple[str, ...] = ()
    trust_remote_code: bool = False
    deterministic: bool = False

    execution = frozenset({"path", "device", "engine", "batch_size", "memory_gb"})
    converses: ClassVar[bool] = True
    loaded_by = frozenset(
        {"path", "revision", "dtype", "device", "engine", "trust_remote_code", "deterministic"}
    )

    def __post_init__(self) -> None:
        checked = Sampling(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            max_new_tokens=self.max_new_tokens,
            stop=self.stop,
        )
        for name, value in checked.chosen().items():
            object.__setattr__(self, name, value)
        if self.dtype not in DTYPES:
            raise ParameterError("dtype", self.dtype, f"one of {', '.join(DTYPES)}")
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", str(self.device)):
            raise ParameterError("device", self.device, "auto, cpu, mps, cuda or cuda:N")
        if self.engine not in ENGINES:
            raise ParameterError("engine", self.engine, f"one of {', '.join(ENGINES)}")
        check_whole("batch_size", self.batch_size, low=1)
        check_number("memory_gb", self.memory_gb, low=0.0, high=math.inf)
        check_path(self.path)

    def with_sampling(self, sampling: Sampling) -> Self:
        """Return this sampler with its defaults replaced by the parameters that are set."""
        chosen: dict[str, Any] = sampling.chosen()
        return replace(self, **chosen)

    def fingerprint(self) -> str:
        """Hash the checkpoint's files, or give the commit of a hub model."""
        folder = local_folder(self.path)
        return hash_folder(folder) if folder else hub_commit(self.path, self.revision)

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

    def start(self, prompts: Sequence[Prompt]) -> list[Prefix]:
        """Render each prompt to token ids, once, by the chat template where there is one."""
        tokenizer = self.loaded.tokenizer
        return [Prefix(_render(tokenizer, prompt)) for prompt in prompts]

    def follow_up(self, y: Sequence[Prefix], prompts: Sequence[Prompt]) -> list[Prefix | None]:
        """Continue each conversation with a further turn of the user, by the chat template."""
        loaded = self.loaded
        asked = [
            follow_up_ids(
                loaded.tokenizer, (*p.prompt_ids, *p.token_ids), said, end_ids=loaded.end_ids
            )
            for p, said in zip(y, prompts, strict=True)
        ]
        return [Prefix(ids) if len(ids) < loaded.context else None for ids in asked]

    def resample(
        self, y: Sequence[Prefix], *, seeds: Sequence[Sequence[int]]
    ) -> list[list[Generation]]:
        """Continue each prefix, once per seed; a generation that was kept whole is returned."""
        limits = [self._limit(prefix) for prefix in y]
        open_ = [i for i, p in enumerate(y) if p.whole is None and p.level < limits[i]]
        requests = [
            Request(
                prompt_ids=y[i].prompt_ids,
                sample_ids=_known(y[i]),
                kept=y[i].level,
                limit=limits[i],
                seeds=tuple(seeds[i]),
            )
            for i in open_
        ]
        by_item = dict(zip(open_, self._decode(requests), strict=True))
        return [
            self._join(prefix, by_item[i]) if i in by_item else self._unchanged(prefix, len(s))
            for i, (prefix, s) in enumerate(zip(y, seeds, strict=True))
        ]

    def paths(self, x: Sequence[Generation]) -> list[Path]:
        """Give the probability of each token that was drawn, by one teacher-forced pass each."""
        sequences = [(g.prompt_ids, g.token_ids) for g in x]
        found = self.loaded.decoder.surprisals(sequences, self._law())
        return [Path(np.exp(-np.array(own, dtype=np.float64))) for own in found]

    def fork(
        self, x: Sequence[Generation], position: Sequence[int], *, seeds: Sequence[int]
    ) -> list[Generation]:
        """Replace token `position` of each generation by another one and go on to the end.

        Forks of one generation at one token share the computation of what stands before it.
        """
        alike: dict[tuple[Generation, int], list[int]] = {}
        for item, (g, at) in enumerate(zip(x, position, strict=True)):
            if not 1 <= at <= len(g.token_ids):
                raise ValueError(f"position is {at}; allowed: 1 to {len(g.token_ids)}")
            alike.setdefault((g, at), []).append(item)
        prefixes = [truncate(g, at - 1) for g, at in alike]
        requests = [
            Request(
                prompt_ids=prefix.prompt_ids,
                sample_ids=g.token_ids,
                kept=prefix.level,
                limit=self._limit(prefix),
                seeds=tuple(seeds[item] for item in items),
                excluded=g.token_ids[at - 1],
            )
            for prefix, ((g, at), items) in zip(prefixes, alike.items(), strict=True)
        ]
        forks: dict[int, Generation] = {}
        for prefix, items, drawn in zip(
            prefixes, alike.values(), self._decode(requests), strict=True
        ):
            forks.update(zip(items, self._join(prefix, drawn), strict=True))
        return [forks[item] for item in range(len(x))]

    def tokens(self, token_ids: Sequence[int]) -> list[str]:
        """Give each token as text; special tokens as the tokenizer writes them."""
        return [self.loaded.tokenizer.decode([i]) for i in token_ids]

    def text(self, token_ids: Sequence[int]) -> str:
        """Give token ids as text, special tokens left out."""
        text: str = self.loaded.tokenizer.decode(list(token_ids), skip_special_tokens=True)
        return text

    def prompt_text(self, prompt_ids: Sequence[int]) -> str:
        """Give the prompt as it was sent, special tokens shown."""
        text: str = self.loaded.tokenizer.decode(list(prompt_ids))
        return text

    @property
    def loaded(self) -> Loaded:
        """The model in memory, loaded on first use."""
        return load(
            self.path,
            None if local_folder(self.path) else hub_commit(self.path, self.revision),
            "float64" if self.deterministic else self.dtype,
            self.device,
            self.trust_remote_code,
            self.deterministic,
            self.engine,
        )

    def _decode(self, requests: Sequence[Request]) -> list[list[Drawn]]:
        return self.loaded.decoder.decode(
            requests,
            self._law(),
            rows=self.batch_size,
            memory=None if self.memory_gb is None else int(self.memory_gb * 1e9),
        )

    def _limit(self, prefix: Prefix) -> int:
        """Give the length limit of samples with this prompt."""
        room = self.loaded.context - len(prefix.prompt_ids)
        if room < 1:
            raise ModelError(
                f"a prompt has {len(prefix.prompt_ids)} tokens; the model's context holds "
                f"{self.loaded.context}, and one has to be left for the answer"
            )
        return min(self.max_new_tokens, room)

    def _law(self) -> TokenLaw:
        return TokenLaw(
            tokenizer=self.loaded.tokenizer,
            end_ids=self.loaded.end_ids,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            stop=self.stop,
        )

    def _join(self, prefix: Prefix, drawn: Sequence[Drawn]) -> list[Generation]:
        ids = [prefix.token_ids + d.token_ids for d in drawn]
        # draws that follow their original to its end are all alike
        distinct = [*dict.fromkeys(ids)]
        texts = self.loaded.tokenizer.batch_decode(distinct, skip_special_tokens=True)
        text = dict(zip(distinct, texts, strict=True))
        return [
            Generation(
                prefix.prompt_ids, i, prefix.surprisal + d.surprisal, text[i], d.finish_reason
            )
            for i, d in zip(ids, drawn, strict=True)
        ]

    def _unchanged(self, prefix: Prefix, count: int) -> list[Generation]:
        if prefix.whole is not None:
            return [prefix.whole] * count
        text = self.text(prefix.token_ids)
        return [
            Generation(prefix.prompt_ids, prefix.token_ids, prefix.surprisal, text, "length")
        ] * count


def _known(prefix: Prefix) -> tuple[int, ...]:
    """Give the tokens of a sample that begins with the prefix."""
    origin = prefix.origin
    if origin is None or origin.token_ids[: prefix.level] != prefix.token_ids:
        return prefix.token_ids
    return origin.token_ids


def _render(tokenizer: Any, prompt: Prompt) -> tuple[int, ...]:
    if tokenizer.chat_template is None:
        parts = [prompt.system, prompt.user, prompt.prefix]
        text = "\n".join(part for part in parts[:2] if part) + "\n" + prompt.prefix
        return tuple(tokenizer(text)["input_ids"])
    messages = [{"role": "user", "content": prompt.user}]
    if prompt.system:
        messages.insert(0, {"role": "system", "content": prompt.system})
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return tuple(tokenizer(text + prompt.prefix, add_special_tokens=False)["input_ids"])
