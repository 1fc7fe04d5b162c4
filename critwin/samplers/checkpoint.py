"""Checkpoints of transformers: finding, hashing and loading them."""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from critwin.errors import ModelError, ParameterError
from critwin.samplers.engine import Engine
from critwin.samplers.plain_decoding import PlainDecoder

EMBEDDED = "embedded:"
ASSETS = Path(__file__).parents[1] / "assets"
HASHED = (".json", ".safetensors", ".txt", ".model", ".jinja")
"""Endings of the files of a checkpoint that decide what it generates."""

ENGINES = ("shared", "plain")


@dataclass(frozen=True)
class Loaded:
    """A model in memory with all that decoding asks of it.

    Attributes:
        model: The model, in eval mode.
        decoder: Draws from it.
        tokenizer: Its tokenizer.
        end_ids: Tokens that end a generation.
        context: Tokens that prompt and sample may have together.
    """

    model: Any
    decoder: Engine | PlainDecoder
    tokenizer: Any
    end_ids: tuple[int, ...]
    context: int


@lru_cache(maxsize=1)
def load(
    path: str,
    revision: str | None,
    dtype: str,
    device: str,
    trust_remote_code: bool,
    deterministic: bool,
    engine: str,
) -> Loaded:
    """Load weights and tokenizer; runs of one process that share a model load it once."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    device = choose_device(device)
    folder = local_folder(path)
    where = {} if revision is None else {"revision": revision}
    # grouped products of experts know no float64
    experts = {"experts_implementation": "eager"} if dtype == "float64" else {}
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
            **experts,
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(f"model.path is {path!r}; it cannot be loaded: {error}") from error
    torch.use_deterministic_algorithms(deterministic)
    model = model.to(device).eval()
    end_ids = _end_ids(model, tokenizer)
    try:
        decoder = Engine(model) if engine == "shared" else PlainDecoder(model)
    except ModelError as error:
        raise ModelError(f"model.engine is {engine!r}; {error}; allowed here: plain") from error
    return Loaded(
        model=model,
        decoder=decoder,
        tokenizer=tokenizer,
        end_ids=end_ids,
        context=_context(model.config.get_text_config()),
    )


def _context(config: Any) -> int:
    """Give the tokens that a model takes, as far as its positions mean the same at any length.

    Some rotary embeddings change for all tokens of a batch when one sequence becomes longer than
    those that the model was first trained on; up to there they do not.
    """
    longest: int = getattr(config, "max_position_embeddings", sys.maxsize)
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") in ("dynamic", "longrope"):
        first = rope.get("original_max_position_embeddings") or longest
        return min(longest, first)
    return longest


def choose_device(asked: str) -> str:
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


def check_path(path: object, index: str = "config.json") -> None:
    """Refuse what can be neither a checkpoint folder nor a hub name.

    Args:
        path: What was given.
        index: The file that a folder has to hold.
    """
    if not isinstance(path, str) or not path:
        raise ParameterError("path", path, "a checkpoint folder or a hub name such as org/name")
    if path.startswith(EMBEDDED) or path.startswith(("/", ".", "~")) or Path(path).exists():
        folder = local_folder(path)
        if folder is None or not (folder / index).is_file():
            shipped = ", ".join(
                f"{EMBEDDED}{p.name}" for p in sorted(ASSETS.iterdir()) if (p / index).is_file()
            )
            raise ParameterError(
                "path", path, f"a folder that holds {index} and *.safetensors, or {shipped}"
            )
    elif not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", path):
        raise ParameterError("path", path, "a checkpoint folder or a hub name such as org/name")


def local_folder(path: str) -> Path | None:
    """Give the folder of a local or embedded checkpoint; None for a hub name."""
    if path.startswith(EMBEDDED):
        return ASSETS / path.removeprefix(EMBEDDED)
    folder = Path(path).expanduser()
    return folder if folder.is_dir() else None


def hash_folder(folder: Path) -> str:
    """Hash the files of a checkpoint that decide what it generates."""
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix in HASHED and file.name != "card.json":
            state = file.stat()
            content = _hash_file(file.resolve(), state.st_size, state.st_mtime_ns)
            digest.update(f"{file.name}\0{content}\n".encode())
    return digest.hexdigest()


@lru_cache(maxsize=256)
def _hash_file(file: Path, size: int, modified: int) -> str:
    """Hash a file; size and time of change are arguments so that a changed one is read again."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@lru_cache(maxsize=16)
def hub_commit(path: str, revision: str | None, index: str = "config.json") -> str:
    """Give the commit that a hub model is at, or was when it was last fetched."""
    import huggingface_hub

    try:
        snapshot = huggingface_hub.snapshot_download(
            path, revision=revision, allow_patterns=[index]
        )
    except OSError as error:
        raise ModelError(
            f"model.path is {path!r}; it is no folder here, not in the local cache of the hub, and "
            f"the hub does not give it ({type(error).__name__})"
        ) from error
    return Path(snapshot).name
