"""Image classes by any classifier of transformers: ViT, ResNet, ConvNeXt and the like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from critwin.features.label_scores import confident_labels
from critwin.features.pretrained_judge import PretrainedJudge, load_judge, prepared
from critwin.picture import Image


@dataclass(frozen=True, kw_only=True)
class HubClassifier(PretrainedJudge):
    """A model with a head for classes; labels are the names in its own configuration.

    `min_confidence` is as in PretrainedJudge.
    """

    def labels(self, images: Sequence[Image]) -> list[str]:
        """Give the most probable class of each picture."""
        import torch

        model, prepare = _loaded(self.path, self.revision, self.device)
        names = [str(model.config.id2label[i]) for i in range(model.config.num_labels)]
        found = [np.zeros((0, len(names)))]
        with torch.inference_mode():
            for pixels in prepared(images, prepare, model.device):
                logits = model(pixel_values=pixels).logits
                found.append(logits.float().softmax(dim=1).cpu().numpy())
        shares = np.concatenate(found)
        return confident_labels(shares, names, min_confidence=self.min_confidence)


@lru_cache(maxsize=2)
def _loaded(path: str, revision: str | None, device: str) -> tuple[Any, Any]:
    return load_judge("AutoModelForImageClassification", path, revision, device)
