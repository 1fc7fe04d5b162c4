"""Pipelines of diffusers: what their files tell, loading them, and running their own loop."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from critwin.errors import ModelError, ParameterError
from critwin.samplers.checkpoint import choose_device, hash_folder, local_folder
from critwin.samplers.noise_schedule import SCHEDULERS, scheduler_name

if TYPE_CHECKING:
    import torch

Values = npt.NDArray[np.float32]

INDEX = "model_index.json"

UNCONDITIONAL = ("DDPMPipeline", "DDIMPipeline")
"""Pipelines that are told nothing."""

CLASSES = 1000
"""Classes that DiTPipeline knows, those of ImageNet."""


@dataclass(frozen=True)
class Facts:
    """What the files of a pipeline tell without loading it.

    Attributes:
        pipeline: Name of its class.
        scheduler: Name of the scheduler that is used, as SCHEDULERS has it.
        config: Configuration of that scheduler, its class name included.
        train_steps: Steps of its noise schedule.
    """

    pipeline: str
    scheduler: str
    config: Mapping[str, Any]
    train_steps: int

    @property
    def prompted(self) -> bool:
        """Whether it takes prompts."""
        return self.guided and self.pipeline != "DiTPipeline"

    @property
    def guided(self) -> bool:
        """Whether it has classifier-free guidance."""
        return self.pipeline not in UNCONDITIONAL

    def takes(self, condition: str) -> bool:
        """Tell whether it can be asked for a condition."""
        if self.prompted:
            return bool(condition.strip())
        return is_class(condition) if self.guided else condition == ""

    @property
    def allowed_conditions(self) -> str:
        """Say in words what `takes` accepts."""
        if self.prompted:
            return "a prompt"
        numbers = f"the number of a class as a text, '0' to '{CLASSES - 1}'"
        return numbers if self.guided else "one empty text: the model is unconditional"


def is_class(condition: str) -> bool:
    """Tell whether a condition is the number of a class."""
    return condition.isdecimal() and int(condition) < CLASSES


def described(folder: Path, scheduler: str | None) -> Facts:
    """Read what the files of a pipeline tell.

    Args:
        folder: The pipeline.
        scheduler: Name of the scheduler that is asked for; None for its own.

    Raises:
        ParameterError: They are damaged, or its scheduler is none of SCHEDULERS.
    """
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        kept = json.loads((folder / "scheduler" / "scheduler_config.json").read_text("utf-8"))
        name, class_name = str(index["_class_name"]), str(kept["_class_name"])
    except (OSError, ValueError, KeyError) as error:
        allowed = f"a folder as save_pretrained writes it ({type(error).__name__}: {error})"
        raise ParameterError("path", str(folder), allowed) from None
    if scheduler is not None:
        class_name, changes = SCHEDULERS[scheduler]
        kept = kept | changes | {"_class_name": class_name}
    return Facts(name, scheduler_name(kept), kept, int(kept.get("num_train_timesteps", 1000)))


def hash_pipeline(folder: Path) -> str:
    """Hash the files of a pipeline that decide what it draws."""
    digest = hashlib.sha256((folder / INDEX).read_bytes())
    parts = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    for part in sorted(name for name in parts if (folder / name).is_dir()):
        digest.update(f"{part}\0{hash_folder(folder / part)}\n".encode())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def load_pipeline(
    path: str, revision: str | None, scheduler: str | None, dtype: str, device: str
) -> LoadedPipeline:
    """Load a pipeline; runs of one process that share one load it once.

    Raises:
        ModelError: It cannot be loaded, or is of a kind that is not served.
    """
    import torch
    from diffusers import DiffusionPipeline
    from diffusers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    source = str(local_folder(path) or path)
    where = {} if revision is None else {"revision": revision}
    try:
        index = DiffusionPipeline.load_config(source, **where)
        # a pipeline that was saved without a part is loaded without it; and pictures are
        # measured as they are: nothing is blackened
        absent = {
            name: None
            for name, part in index.items()
            if isinstance(part, list | tuple) and (part[0] is None or name == "safety_checker")
        }
        pipeline = DiffusionPipeline.from_pretrained(
            source, dtype=getattr(torch, dtype), use_safetensors=True, **absent, **where
        )
    except (OSError, ValueError, KeyError, ImportError, TypeError, AttributeError) as error:
        raise ModelError(f"model.path is {path!r}; it cannot be loaded: {error}") from error
    if scheduler is not None:
        import diffusers

        class_name, changes = SCHEDULERS[scheduler]
        kind = getattr(diffusers, class_name)
        pipeline.scheduler = kind.from_config(pipeline.scheduler.config, **changes)
    loaded = LoadedPipeline(pipeline.to(choose_device(device)))
    try:
        scheduler_name(loaded.config)
    except ParameterError as error:
        raise ModelError(str(error.within("model"))) from None
    return loaded


class LoadedPipeline:
    """A pipeline in memory: how it is told what to draw, and what its pictures look like."""

    def __init__(self, pipeline: Any) -> None:
        import inspect

        pipeline.set_progress_bar_config(disable=True)
        self.pipeline = pipeline
        found = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
        self.denoiser: Any = found
        self.vae: Any = getattr(pipeline, "vae", None)
        self._asked = inspect.signature(pipeline.__call__).parameters
        known = ("prompt", "class_labels", "batch_size")
        self.told = next((name for name in known if name in self._asked), None)
        if self.denoiser is None or self.told is None:
            raise ModelError(
                f"model.path holds a {type(pipeline).__name__}; allowed: a pipeline with a unet or "
                f"a transformer that is told one of {', '.join(known)}"
            )
        self.denoiser.eval()

    @property
    def config(self) -> dict[str, Any]:
        """Configuration of the scheduler, its class name included."""
        scheduler = self.pipeline.scheduler
        return dict(scheduler.config) | {"_class_name": type(scheduler).__name__}

    @property
    def device(self) -> torch.device:
        """What holds the weights."""
        found: torch.device = self.denoiser.device
        return found

    @property
    def conditional(self) -> bool:
        """Whether pictures are drawn for a prompt or a class."""
        return self.told != "batch_size"

    def takes(self, condition: str) -> bool:
        """Tell whether this pipeline can be asked for a condition."""
        if self.told == "class_labels":
            return is_class(condition)
        return bool(condition.strip()) if self.told == "prompt" else condition == ""

    def shape(self, height: int | None, width: int | None) -> tuple[int, int, int]:
        """Give the shape of what is noised."""
        size = self.denoiser.config.sample_size
        own = (size, size) if isinstance(size, int) else tuple(size)
        scale = self._scale if self.vae is not None else 1
        high, wide = (
            n if asked is None else asked // scale
            for n, asked in zip(own, (height, width), strict=True)
        )
        return int(self.denoiser.config.in_channels), int(high), int(wide)

    @property
    def _scale(self) -> int:
        """Pixels of a side of a latent."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    def run(
        self,
        state: torch.Tensor,
        levels: list[int],
        generators: Sequence[torch.Generator],
        conditions: list[str],
        *,
        steps: int,
        guidance: float | None,
        negative_prompt: str | None,
        eta: float,
        kept: Sequence[int],
    ) -> tuple[Values, dict[int, Values]]:
        """Run the pipeline's own loop from the levels of the rows to their pictures.

        Returns:
            The pictures and, for each level kept, the rows as they were there; shape (B, C, H, W).
        """
        import torch

        from critwin.samplers.ladder import Ladder, climbing

        state = state.to(self.device, self.denoiser.dtype)
        ladder = Ladder(self.pipeline.scheduler, state, levels, generators, eta=eta, kept=kept)
        size = dict(zip(("height", "width"), state.shape[2:], strict=True))
        asked: dict[str, Any] = {
            "num_inference_steps": steps,
            "guidance_scale": guidance,
            "negative_prompt": None if negative_prompt is None else [negative_prompt] * len(levels),
            # what the pipeline draws to begin with is thrown away: the ladder has the rows
            "generator": torch.Generator().manual_seed(0),
            **{name: self._scale * n for name, n in size.items() if self.vae is not None},
        }
        arguments = {k: v for k, v in asked.items() if k in self._asked and v is not None}
        with climbing(self.pipeline, self.denoiser, ladder):
            self.pipeline(**self._batch(conditions), **arguments)
        if ladder.active != len(levels):
            raise ModelError(f"{type(self.pipeline).__name__} did not take all of its steps")
        states = {level: _plain(rows) for level, rows in ladder.states.items()}
        return _plain(ladder.state), states

    def _batch(self, conditions: list[str]) -> dict[str, Any]:
        if self.told == "prompt":
            return {"prompt": conditions}
        if self.told == "class_labels":
            return {"class_labels": [int(condition) for condition in conditions]}
        return {"batch_size": len(conditions)}

    def decode(self, values: Values) -> Values:
        """Give pictures in [0, 1], shape (B, C, H, W)."""
        import torch

        with torch.no_grad():
            rows = torch.from_numpy(values)
            if self.vae is not None:
                kind = self.vae.dtype
                if kind == torch.float16 and getattr(self.vae.config, "force_upcast", False):
                    kind = torch.float32  # as the pipeline does: half precision gives black ones
                    self.vae.to(kind)
                shift = getattr(self.vae.config, "shift_factor", None) or 0.0
                scaled = rows / self.vae.config.scaling_factor + shift
                rows = self.vae.decode(scaled.to(self.device, kind)).sample
            return _plain((rows.float() / 2 + 0.5).clamp(0, 1))

    def encode(self, values: Values) -> Values:
        """Give what is noised of pictures in [-1, 1], shape (B, C, H, W)."""
        import torch

        with torch.no_grad():
            if self.vae is None:
                return values
            rows = torch.from_numpy(values).to(self.device, self.vae.dtype)
            shift = getattr(self.vae.config, "shift_factor", None) or 0.0
            found = self.vae.encode(rows).latent_dist.mode()
            return _plain((found - shift) * self.vae.config.scaling_factor)


def _plain(rows: torch.Tensor) -> Values:
    return np.asarray(rows.detach().float().cpu().numpy(), np.float32)
