"""Image classes by CLIP, without training: the prompt that fits a picture best.

Source: Radford et al. (2021), arXiv:2103.00020, section 3.1 (zero-shot classification).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from critwin.errors import ParameterError
from critwin.features.label_scores import check_names, confident_labels
from critwin.features.pretrained_judge import PretrainedJudge, load_judge, prepared
from critwin.image_feature import ImageFeature
from critwin.picture import Image
from critwin.samplers.checkpoint import local_folder


@dataclass(frozen=True, kw_only=True)
class ClipClasses(PretrainedJudge, ImageFeature):
    """The label whose prompt CLIP finds most alike.

    Attributes:
        prompts: Name of each label, two or more, and its prompt.
    """

    prompts: Mapping[str, str]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("prompts", list(self.prompts), least=2)
        texts = list(self.prompts.values())
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise ParameterError("prompts", dict(self.prompts), "a text for each label")
        if len(set(texts)) != len(texts):
            raise ParameterError("prompts", dict(self.prompts), "prompts that are all different")

    def known_labels(self) -> tuple[str, ...]:
        """Give the labels."""
        return tuple(self.prompts)

    def labels(self, images: Sequence[Image]) -> list[str]:
        """Give the label of each picture."""
        shares = self.probabilities(images)
        return confident_labels(shares, self.known_labels(), min_confidence=self.min_confidence)

    def probabilities(self, images: Sequence[Image]) -> np.ndarray:
        """Give the softmax over the prompts of CLIP's own logits, shape (N, K)."""
        import torch

        model, prepare, tokenizer = _loaded(self.path, self.revision, self.device)
        asked = tokenizer(list(self.prompts.values()), padding=True, return_tensors="pt")
        asked = asked.to(model.device)
        found = [np.zeros((0, len(self.prompts)))]
        with torch.inference_mode():
            for pixels in prepared(images, prepare, model.device):
                logits = model(**asked, pixel_values=pixels).logits_per_image
                found.append(logits.float().softmax(dim=1).cpu().numpy())
        return np.concatenate(found)


@lru_cache(maxsize=2)
def _loaded(path: str, revision: str | None, device: str) -> tuple[Any, Any, Any]:
    from transformers import AutoTokenizer

    model, prepare = load_judge("CLIPModel", path, revision, device)
    where = {} if revision is None else {"revision": revision}
    return model, prepare, AutoTokenizer.from_pretrained(str(local_folder(path) or path), **where)
