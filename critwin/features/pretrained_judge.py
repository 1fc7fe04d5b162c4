"""What judges of transformers share: where they are, and how pictures are put to them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from critwin.errors import ModelError, ParameterError
from critwin.features.label_scores import BATCH, check_confidence
from critwin.image_feature import ImageFeature
from critwin.picture import Image
from critwin.samplers.checkpoint import (
    check_path,
    choose_device,
    hash_folder,
    hub_commit,
    local_folder,
)


@dataclass(frozen=True, kw_only=True)
class PretrainedJudge(ImageFeature):
    """A model of transformers that looks at pictures.

    Attributes:
        path: Folder as `save_pretrained` writes it, or hub name such as `org/name`.
        revision: Branch, tag or commit of a hub model; None for its default.
        min_confidence: Least probability of a label, in [0, 1]; below it the picture is UNSCORED.
        device: `auto` (a GPU if there is one), `cpu`, `mps`, `cuda` or `cuda:N`.
    """

    path: str
    revision: str | None = None
    min_confidence: float = 0.0
    device: str = "auto"

    execution = frozenset({"path", "device"})

    def __post_init__(self) -> None:
        check_path(self.path)
        check_confidence(self.min_confidence)
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", str(self.device)):
            raise ParameterError("device", self.device, "auto, cpu, mps, cuda or cuda:N")

    def fingerprint(self) -> str:
        """Hash the files, or give the commit of a hub model."""
        folder = local_folder(self.path)
        return hash_folder(folder) if folder else hub_commit(self.path, self.revision)


def load_judge(kind: str, path: str, revision: str | None, device: str) -> tuple[Any, Any]:
    """Load a model and what prepares pictures for it.

    Args:
        kind: Name of the class in transformers.
        path: As PretrainedJudge has it, and so for the rest.
        revision: The same.
        device: The same.

    Raises:
        ModelError: It cannot be loaded.
    """
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()
    where = {} if revision is None else {"revision": revision}
    source = str(local_folder(path) or path)
    try:
        # the backend of PIL is there everywhere, and the same everywhere
        prepare = transformers.AutoImageProcessor.from_pretrained(source, backend="pil", **where)
        model = getattr(transformers, kind).from_pretrained(source, use_safetensors=True, **where)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(f"{path!r} cannot be loaded as {kind}: {error}") from error
    return model.to(choose_device(device)).eval(), prepare


def prepared(images: Sequence[Image], prepare: Any, device: Any) -> Iterator[Any]:
    """Give batches of pictures as a model takes them."""
    for first in range(0, len(images), BATCH):
        # grey is shown as colour: these models know nothing else
        colour = [np.broadcast_to(i, (*i.shape[:2], 3)) for i in images[first : first + BATCH]]
        found = prepare(
            images=[np.ascontiguousarray(c) for c in colour],
            input_data_format="channels_last",
            return_tensors="pt",
        )
        yield found["pixel_values"].to(device)
