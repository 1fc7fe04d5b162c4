"""Causal language models of transformers as samplers: observing is truncation.

Source: Li, Karan, Chen (2025), arXiv:2502.00921, Definitions 1 to 3, with Y_t the first tokens.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Any, Self

import numpy as np

from critwin.errors import ModelError, ParameterError
from critwin.generation import Generation, Prefix, TextSampler, truncate
from critwin.prompt import Prompt
from critwin.protocol import Sampling
from critwin.sampler import ForkingSampler, Path
from critwin.samplers.decoding import Drawn, Request, TokenLaw, decode, teacher_forced

EMBEDDED = "embedded:"
ASSETS = FilePath(__file__).parents[1] / "assets"
DTYPES = ("float32", "bfloat16", "float16", "float64")
HASHED = (".json", ".safetensors", ".txt", ".model", ".jinja")
"""Endings of the files of a checkpoint that decide what it generates."""


@dataclass(frozen=True, kw_only=True)
class LanguageSampler(TextSampler, ForkingSampler[Generation, Prefix]):
    """A causal language model, drawn from with temperature, top-k and top-p.

    Attributes:
        path: Local checkpoint folder, hub name such as `org/name`, or `embedded:arithmetic`.
        revision: Branch, tag or commit of a hub model; None for its default.
        dtype: Number type of weights and computation: float32, bfloat16, float16 or float64.
        device: `auto` (a GPU if there is one), `cpu`, `mps`, `cuda` or `cuda:N`.
        batch_size: Rows decoded together, >= 1; does not change the law.
        temperature: Divides the logits, >= 0; 0 takes the most probable token.
        top_k: Keep the k most probable tokens; None keeps all.
        top_p: Keep the most probable tokens that together reach this probability, in (0, 1].
        max_new_tokens: Length limit from the end of the prompt, >= 1; the model's context is one
            too. Both depend on the prompt alone, so originals and resamples share them.
        stop: Strings that end a generation; they stay part of it.
        trust_remote_code: Run Python code that comes with the checkpoint.
        deterministic: Compute in float64 with deterministic kernels, so that batch size and order
            do not change a byte; for tests and small models.
    """

    path: str
    revision: str | None = None
    dtype: str = "float32"
    device: str = "auto"
    batch_size: int = 256
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    max_new_tokens: int = 512
    stop: tuple[str, ...] = ()
    trust_remote_code: bool = False
    deterministic: bool = False

    execution = frozenset({"path", "device", "batch_size"})

    def __post_init__(self) -> None:
        checked = Sampling(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            max_new_tokens=self.max_new_tokens,
            stop=self.stop,
        )
        for name, value in checked.chosen().items():
            object.__setattr__(self, name, value)
        if self.dtype not in DTYPES:
            raise ParameterError("dtype", self.dtype, f"one of {', '.join(DTYPES)}")
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", str(self.device)):
            raise ParameterError("device", self.device, "auto, cpu, mps, cuda or cuda:N")
        if type(self.batch_size) is not int or self.batch_size < 1:
            raise ParameterError("batch_size", self.batch_size, "a whole number >= 1")
        _check_path(self.path)

    def with_sampling(self, sampling: Sampling) -> Self:
        """Return this sampler with its defaults replaced by the parameters that are set."""
        chosen: dict[str, Any] = sampling.chosen()
        return replace(self, **chosen)

    def fingerprint(self) -> str:
        """Hash the checkpoint's files, or give the commit of a hub model."""
        folder = _local_folder(self.path)
        return _hash_folder(folder) if folder else _hub_commit(self.path, self.revision)

    def device_used(self) -> str:
        """Name the device that holds the weights."""
        import torch

        device = self._loaded.model.device
        if device.type == "cuda":
            return f"{device} ({torch.cuda.get_device_name(device)})"
        return str(device)

    def start(self, prompts: Sequence[Prompt]) -> list[Prefix]:
        """Render each prompt to token ids, once, by the chat template where there is one."""
        tokenizer = self._loaded.tokenizer
        return [Prefix(_render(tokenizer, prompt)) for prompt in prompts]

    def resample(
        self, y: Sequence[Prefix], *, seeds: Sequence[Sequence[int]]
    ) -> list[list[Generation]]:
        """Continue each prefix, once per seed; a generation that was kept whole is returned."""
        limits = [self._limit(prefix) for prefix in y]
        open_ = [i for i, p in enumerate(y) if p.whole is None and p.level < limits[i]]
        requests = [
            Request(y[i].prompt_ids, y[i].token_ids, limits[i], tuple(seeds[i])) for i in open_
        ]
        by_item = dict(zip(open_, self._decode(requests), strict=True))
        return [
            self._join(prefix, by_item[i]) if i in by_item else self._unchanged(prefix, len(s))
            for i, (prefix, s) in enumerate(zip(y, seeds, strict=True))
        ]

    def paths(self, x: Sequence[Generation]) -> list[Path]:
        """Give the probability of each token that was drawn, by one teacher-forced pass each."""
        loaded = self._loaded
        found = teacher_forced(
            loaded.model,
            [(g.prompt_ids, g.token_ids) for g in x],
            self._law(),
            batch_size=self.batch_size,
            pad_id=loaded.pad_id,
        )
        return [Path(np.exp(np.array(own, dtype=np.float64))) for own in found]

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
                kept_ids=prefix.token_ids,
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
        return [self._loaded.tokenizer.decode([i]) for i in token_ids]

    def text(self, token_ids: Sequence[int]) -> str:
        """Give token ids as text, special tokens left out."""
        text: str = self._loaded.tokenizer.decode(list(token_ids), skip_special_tokens=True)
        return text

    def prompt_text(self, prompt_ids: Sequence[int]) -> str:
        """Give the prompt as it was sent, special tokens shown."""
        text: str = self._loaded.tokenizer.decode(list(prompt_ids))
        return text

    @property
    def _loaded(self) -> _Loaded:
        return _load(
            self.path,
            None if _local_folder(self.path) else _hub_commit(self.path, self.revision),
            "float64" if self.deterministic else self.dtype,
            self.device,
            self.trust_remote_code,
            self.deterministic,
        )

    def _decode(self, requests: Sequence[Request]) -> list[list[Drawn]]:
        loaded = self._loaded
        return decode(
            loaded.model,
            requests,
            self._law(),
            batch_size=self.batch_size,
            pad_id=loaded.pad_id,
        )

    def _limit(self, prefix: Prefix) -> int:
        """Give the length limit of samples with this prompt."""
        room = self._loaded.context - len(prefix.prompt_ids)
        if room < 1:
            raise ModelError(
                f"a prompt has {len(prefix.prompt_ids)} tokens; the model's context holds "
                f"{self._loaded.context}, and one has to be left for the answer"
            )
        return min(self.max_new_tokens, room)

    def _law(self) -> TokenLaw:
        loaded = self._loaded
        return TokenLaw(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            end_ids=loaded.end_ids,
            stopped=self._stopped if self.stop else None,
        )

    def _stopped(self, samples: Sequence[Sequence[int]]) -> list[bool]:
        """Tell which samples hold a stop string near their end.

        Texts are compared, not tokens: a stop string may begin and end inside of tokens. A token
        has one character or more, but for those of a few bytes, of which up to four make one.
        """
        reach = 4 * max(map(len, self.stop))
        tails = [list(ids[-reach:]) for ids in samples]
        texts = self._loaded.tokenizer.batch_decode(tails, skip_special_tokens=True)
        return [any(stop in text for stop in self.stop) for text in texts]

    def _join(self, prefix: Prefix, drawn: Sequence[Drawn]) -> list[Generation]:
        ids = [prefix.token_ids + d.token_ids for d in drawn]
        texts = self._loaded.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [
            Generation(prefix.prompt_ids, i, prefix.surprisal + d.surprisal, text, d.finish_reason)
            for i, d, text in zip(ids, drawn, texts, strict=True)
        ]

    def _unchanged(self, prefix: Prefix, count: int) -> list[Generation]:
        if prefix.whole is not None:
            return [prefix.whole] * count
        text = self.text(prefix.token_ids)
        return [
            Generation(prefix.prompt_ids, prefix.token_ids, prefix.surprisal, text, "length")
        ] * count


@dataclass(frozen=True)
class _Loaded:
    model: Any
    tokenizer: Any
    end_ids: tuple[int, ...]
    pad_id: int
    context: int


@lru_cache(maxsize=1)
def _load(
    path: str,
    revision: str | None,
    dtype: str,
    device: str,
    trust_remote_code: bool,
    deterministic: bool,
) -> _Loaded:
    """Load weights and tokenizer; runs of one process that share a model load it once."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    device = _device(device)
    folder = _local_folder(path)
    where = {} if revision is None else {"revision": revision}
    source = str(folder or path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            source, trust_remote_code=trust_remote_code, **where
        )
        model: Any = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            **where,
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(f"model.path is {path!r}; it cannot be loaded: {error}") from error
    torch.use_deterministic_algorithms(deterministic)
    model = model.to(device).eval()
    end_ids = _end_ids(model, tokenizer)
    pad_id = tokenizer.pad_token_id
    return _Loaded(
        model=model,
        tokenizer=tokenizer,
        end_ids=end_ids,
        pad_id=end_ids[0] if pad_id is None else pad_id,
        context=getattr(model.config.get_text_config(), "max_position_embeddings", sys.maxsize),
    )


def _device(asked: str) -> str:
    """Choose the device, or refuse one that this machine does not have."""
    import torch

    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if torch.cuda.is_available():
        there.append("cuda")
    if torch.backends.mps.is_available():
        there.append("mps")
    if asked == "auto":
        return "cuda" if "cuda" in there else "cpu"
    if asked not in there:
        raise ModelError(
            f"model.device is {asked!r}; allowed: auto or what this machine has, {', '.join(there)}"
        )
    return asked


def _end_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Give the tokens that end a generation: the generation config's, else the tokenizer's."""
    ids = model.generation_config.eos_token_id
    if ids is None:
        ids = tokenizer.eos_token_id
    if ids is None:
        raise ModelError("the model names no end token, neither in its config nor its tokenizer")
    return tuple(ids) if isinstance(ids, list | tuple) else (ids,)


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


def _check_path(path: object) -> None:
    if not isinstance(path, str) or not path:
        raise ParameterError("path", path, "a checkpoint folder or a hub name such as org/name")
    if path.startswith(EMBEDDED) or path.startswith(("/", ".", "~")) or FilePath(path).exists():
        folder = _local_folder(path)
        if folder is None or not (folder / "config.json").is_file():
            shipped = ", ".join(
                f"{EMBEDDED}{p.name}" for p in sorted(ASSETS.iterdir()) if p.is_dir()
            )
            raise ParameterError(
                "path", path, f"a folder that holds config.json and *.safetensors, or {shipped}"
            )
    elif not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", path):
        raise ParameterError("path", path, "a checkpoint folder or a hub name such as org/name")


def _local_folder(path: str) -> FilePath | None:
    """Give the folder of a local or embedded checkpoint; None for a hub name."""
    if path.startswith(EMBEDDED):
        return ASSETS / path.removeprefix(EMBEDDED)
    folder = FilePath(path).expanduser()
    return folder if folder.is_dir() else None


def _hash_folder(folder: FilePath) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix in HASHED and file.name != "card.json":
            state = file.stat()
            content = _hash_file(file.resolve(), state.st_size, state.st_mtime_ns)
            digest.update(f"{file.name}\0{content}\n".encode())
    return digest.hexdigest()


@lru_cache(maxsize=256)
def _hash_file(file: FilePath, size: int, modified: int) -> str:
    """Hash a file; size and time of change are arguments so that a changed one is read again."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@lru_cache(maxsize=16)
def _hub_commit(path: str, revision: str | None) -> str:
    """Give the commit that a hub model is at, or was when it was last fetched."""
    import huggingface_hub

    try:
        snapshot = huggingface_hub.snapshot_download(
            path, revision=revision, allow_patterns=["config.json"]
        )
    except OSError as error:
        raise ModelError(
            f"model.path is {path!r}; it is no folder here, not in the local cache of the hub, and "
            f"the hub does not give it ({type(error).__name__})"
        ) from error
    return FilePath(snapshot).name
