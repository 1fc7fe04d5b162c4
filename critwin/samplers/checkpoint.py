"""Checkpoints of transformers: finding, hashing and loading them."""

from __future__ import annotations

import hashlib
import logging
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from critwin.errors import ModelError, ParameterError
from critwin.samplers.engine import Engine
from critwin.samplers.plain_decoding import PlainDecoder

log = logging.getLogger(__name__)

EMBEDDED = "embedded:"
ASSETS = Path(__file__).parents[1] / "assets"
HASHED = (".json", ".safetensors", ".txt", ".model", ".jinja")
"""Endings of the files of a checkpoint that decide what it generates."""

ENGINES = ("shared", "plain")

COMMIT = re.compile(r"[0-9a-f]{40}")
"""A revision that cannot change."""


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


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What is loaded, and how; see the fields of LanguageSampler."""

    path: str
    revision: str | None
    dtype: str
    device: str
    engine: str
    device_map: str | None
    attention: str | None
    adapter: str | None
    adapter_revision: str | None
    quantization: str | None
    trust_remote_code: bool
    deterministic: bool


@lru_cache(maxsize=1)
def load(checkpoint: Checkpoint) -> Loaded:
    """Load weights and tokenizer; runs of one process that share a model load it once."""
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    device = choose_device(checkpoint.device)
    torch.use_deterministic_algorithms(checkpoint.deterministic)
    try:
        tokenizer = load_tokenizer(
            checkpoint.path, checkpoint.revision, trust_remote_code=checkpoint.trust_remote_code
        )
        model = _weights(checkpoint, device)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"model.path is {checkpoint.path!r}; it cannot be loaded: {error}"
        ) from error
    _adapt(model, checkpoint)
    model = model.eval()
    end_ids = _end_ids(model.generation_config.eos_token_id, tokenizer)
    return Loaded(
        model=model,
        decoder=_decoder(model, checkpoint.engine),
        tokenizer=tokenizer,
        end_ids=end_ids,
        context=_context(model.config.get_text_config()),
    )


def load_tokenizer(path: str, revision: str | None, *, trust_remote_code: bool) -> Any:
    """Load the tokenizer of a checkpoint, with its chat template."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(
        str(local_folder(path) or path),
        trust_remote_code=trust_remote_code,
        **_revision(revision),
    )


def _weights(checkpoint: Checkpoint, device: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    dtype = getattr(torch, "float64" if checkpoint.deterministic else checkpoint.dtype)
    settings: dict[str, Any] = {}
    # grouped products of experts know no float64
    if dtype == torch.float64:
        settings["experts_implementation"] = "eager"
    if checkpoint.attention is not None:
        settings["attn_implementation"] = checkpoint.attention
    if checkpoint.quantization is not None:
        settings["quantization_config"] = _bits(checkpoint.quantization, dtype)
        settings["device_map"] = {"": device}  # packed weights cannot be moved afterwards
    if checkpoint.device_map is not None:
        settings["device_map"] = checkpoint.device_map
    model: Any = AutoModelForCausalLM.from_pretrained(
        str(local_folder(checkpoint.path) or checkpoint.path),
        dtype=dtype,
        use_safetensors=True,
        trust_remote_code=checkpoint.trust_remote_code,
        **_revision(checkpoint.revision),
        **settings,
    )
    return model if "device_map" in settings else model.to(device)


def _bits(quantization: str, dtype: Any) -> Any:
    from transformers import BitsAndBytesConfig

    if quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    # normal-float weights: Dettmers et al. (2023), QLoRA, arXiv:2305.14314, Section 3
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )


def _adapt(model: Any, checkpoint: Checkpoint) -> None:
    """Put an adapter into a model; it is not merged, so that quantised weights can have one."""
    if checkpoint.adapter is None:
        return
    source = local_folder(checkpoint.adapter) or checkpoint.adapter
    try:
        model.load_adapter(str(source), **_revision(checkpoint.adapter_revision))
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise ModelError(
            f"model.adapter is {checkpoint.adapter!r}; it cannot be loaded: {error}"
        ) from error


def _decoder(model: Any, engine: str) -> Engine | PlainDecoder:
    places = set(getattr(model, "hf_device_map", {}).values())
    if engine == "plain":
        return PlainDecoder(model)
    if len(places) > 1:
        found = ", ".join(sorted(str(place) for place in places))
        raise ModelError(
            f"model.engine is {engine!r}; the model lies on several devices ({found}), and this "
            "engine computes on one; allowed here: plain"
        )
    try:
        return Engine(model)
    except ModelError as error:
        raise ModelError(f"model.engine is {engine!r}; {error}; allowed here: plain") from error


def _revision(revision: str | None) -> dict[str, str]:
    return {} if revision is None else {"revision": revision}


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


def context_of(path: str, revision: str | None, *, trust_remote_code: bool) -> int:
    """Give the tokens that a checkpoint takes, without its weights."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(
        str(local_folder(path) or path), trust_remote_code=trust_remote_code, **_revision(revision)
    )
    return _context(config.get_text_config())


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


def end_ids_of(path: str, revision: str | None, tokenizer: Any) -> tuple[int, ...]:
    """Give the tokens that end a generation of a checkpoint, without its weights."""
    from transformers import GenerationConfig

    try:
        where: dict[str, Any] = _revision(revision)
        found = GenerationConfig.from_pretrained(str(local_folder(path) or path), **where)
    except OSError:  # it has none
        return _end_ids(None, tokenizer)
    return _end_ids(found.eos_token_id, tokenizer)


def _end_ids(named: int | list[int] | None, tokenizer: Any) -> tuple[int, ...]:
    """Give the tokens that end a generation: the generation config's, else the tokenizer's."""
    ids = tokenizer.eos_token_id if named is None else named
    if ids is None:
        raise ModelError("the model names no end token, neither in its config nor its tokenizer")
    return tuple(ids) if isinstance(ids, list | tuple) else (ids,)


def check_path(path: object, *, name: str = "path", holds: str = "config.json") -> None:
    """Refuse what can be neither a checkpoint folder nor a hub name.

    Args:
        path: A folder or a hub name.
        name: The key that names it, for the message.
        holds: File that a folder has to hold.
    """
    allowed = "a checkpoint folder or a hub name such as org/name"
    if not isinstance(path, str) or not path:
        raise ParameterError(name, path, allowed)
    if path.startswith(EMBEDDED) or path.startswith(("/", ".", "~")) or Path(path).exists():
        folder = local_folder(path)
        if folder is None or not (folder / holds).is_file():
            shipped = ", ".join(
                f"{EMBEDDED}{p.name}" for p in sorted(ASSETS.iterdir()) if (p / holds).is_file()
            )
            what = f"a folder that holds {holds} and *.safetensors"
            raise ParameterError(name, path, f"{what}, or {shipped}" if name == "path" else what)
    elif not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", path):
        raise ParameterError(name, path, allowed)


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
def hub_commit(path: str, revision: str | None, file: str = "config.json") -> str:
    """Give the commit that a hub model is at, or was when it was last fetched."""
    import huggingface_hub

    try:
        snapshot = huggingface_hub.snapshot_download(path, revision=revision, allow_patterns=[file])
    except OSError as error:
        name = "path" if file == "config.json" else "adapter"
        raise ModelError(
            f"model.{name} is {path!r}; it is no folder here, not in the local cache of the hub, "
            f"and the hub does not give it ({type(error).__name__})"
        ) from error
    return Path(snapshot).name


def content_of(path: str, revision: str | None, file: str = "config.json") -> str:
    """Hash the files of a local checkpoint, or give the commit of a hub model."""
    folder = local_folder(path)
    return hash_folder(folder) if folder else hub_commit(path, revision, file)


def origin(path: str, revision: str | None) -> dict[str, object]:
    """Describe where a checkpoint comes from, for the record of a run.

    Returns:
        path, revision as it was asked for, content (commit or SHA-256 of the files), pinned
        (whether the revision cannot change) and, where it can, a warning.
    """
    pinned = local_folder(path) is not None or bool(COMMIT.fullmatch(revision or ""))
    found: dict[str, object] = {
        "path": path,
        "revision": revision,
        "content": content_of(path, revision),
        "pinned": pinned,
    }
    if not pinned:
        found["warning"] = (
            f"{path} is taken at {revision or 'its default branch'}, which can change; the commit "
            f"of this run is {found['content']}"
        )
    return found


@lru_cache(maxsize=16)
def warn_unpinned(path: str, revision: str | None) -> None:
    """Warn, once in a process, of a checkpoint that can change from one run to the next."""
    warning = origin(path, revision).get("warning")
    if warning is not None:
        log.warning("%s; model.revision=COMMIT pins it", warning)
