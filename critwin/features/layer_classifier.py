"""Image classes by a small torch module: its layers in a JSON file, its weights in safetensors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from critwin.errors import ModelError, ParameterError
from critwin.features.label_scores import BATCH, check_confidence, confident_labels
from critwin.image_feature import ImageFeature
from critwin.picture import Image
from critwin.samplers.checkpoint import check_path, hash_folder, local_folder

LAYERS = {
    "conv": ("Conv2d", ("in_channels", "out_channels", "kernel_size", "stride", "padding")),
    "linear": ("Linear", ("in_features", "out_features")),
    "batch_norm": ("BatchNorm2d", ("num_features",)),
    "group_norm": ("GroupNorm", ("num_groups", "num_channels")),
    "dropout": ("Dropout", ("p",)),
    "max_pool": ("MaxPool2d", ("kernel_size",)),
    "average_pool": ("AdaptiveAvgPool2d", ("output_size",)),
    "relu": ("ReLU", ()),
    "gelu": ("GELU", ()),
    "flatten": ("Flatten", ()),
}
"""Names of layers in `config.json`, the class in torch.nn, and the settings that may be given."""


@dataclass(frozen=True, kw_only=True)
class LayerClassifier(ImageFeature):
    """A sequence of layers that gives a score to each class.

    Attributes:
        path: Folder with `config.json` (`layers`: a list of objects with `kind`, one of LAYERS,
            and its settings; `labels`: the names of the classes) and `model.safetensors`, or
            `embedded:digits/classifier`. Pictures come in as numbers in [-1, 1], channels first.
        min_confidence: Least probability of a class, in [0, 1]; below it the picture is UNSCORED.
    """

    path: str
    min_confidence: float = 0.5

    execution = frozenset({"path"})

    def __post_init__(self) -> None:
        check_path(self.path)
        check_confidence(self.min_confidence)
        if local_folder(self.path) is None:
            raise ParameterError("path", self.path, "a folder: the hub has no such classifiers")

    def fingerprint(self) -> str:
        """Hash the files."""
        return hash_folder(self._folder)

    def known_labels(self) -> tuple[str, ...]:
        """Give the names of the classes."""
        return tuple(_described(self._folder)["labels"])

    def labels(self, images: Sequence[Image]) -> list[str]:
        """Give the most probable class of each picture."""
        shares = self.probabilities(images)
        return confident_labels(shares, self.known_labels(), min_confidence=self.min_confidence)

    def probabilities(self, images: Sequence[Image]) -> np.ndarray:
        """Give the probability of each class, shape (N, K)."""
        import torch

        net = _loaded(self._folder)
        found = [np.zeros((0, len(self.known_labels())))]
        for first in range(0, len(images), BATCH):
            stack = np.stack(images[first : first + BATCH])
            rows = torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 127.5 - 1
            with torch.inference_mode():
                found.append(net(rows).softmax(dim=1).numpy())
        return np.concatenate(found)

    @property
    def _folder(self) -> Path:
        folder = local_folder(self.path)
        assert folder is not None
        return folder


def build_layers(layers: Sequence[dict[str, Any]]) -> Any:
    """Build the module that a list of layers describes.

    Raises:
        ModelError: A layer is none of LAYERS, or has other settings.
    """
    import torch

    built = []
    for layer in layers:
        settings = {key: value for key, value in layer.items() if key != "kind"}
        name, known = LAYERS.get(layer.get("kind", ""), ("", ()))
        if not name or not set(settings) <= set(known):
            raise ModelError(f"layer {layer} is not known; allowed: kinds {', '.join(LAYERS)}")
        built.append(getattr(torch.nn, name)(**settings))
    return torch.nn.Sequential(*built)


@lru_cache(maxsize=4)
def _loaded(folder: Path) -> Any:
    from safetensors.torch import load_model

    net = build_layers(_described(folder)["layers"])
    try:
        load_model(net, folder / "model.safetensors")
    except (OSError, RuntimeError) as error:
        raise ModelError(f"{folder} holds no weights of its layers: {error}") from None
    return net.float().eval()


def _described(folder: Path) -> dict[str, Any]:
    try:
        described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        labels, layers = described["labels"], described["layers"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        allowed = f"a folder whose config.json has layers and labels ({error})"
        raise ParameterError("path", str(folder), allowed) from None
    return {"labels": [str(label) for label in labels], "layers": layers}
