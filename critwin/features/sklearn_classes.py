"""Image classes by a model of scikit-learn that is trained when it is first asked.

Nothing is unpickled: the model is trained anew from a data set that comes with scikit-learn, which
takes a second and gives the same model every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from critwin.digits import PARTS, SIDE, Part, digits_hash, load_digits
from critwin.errors import ModelError, ParameterError
from critwin.features.label_scores import check_confidence, confident_labels
from critwin.image_feature import ImageFeature
from critwin.picture import Image

MODELS = ("logistic_regression", "nearest_neighbours", "random_forest", "support_vectors")


@dataclass(frozen=True, kw_only=True)
class SklearnClasses(ImageFeature):
    """A classifier of handwritten digits.

    Attributes:
        model: logistic_regression, nearest_neighbours, random_forest or support_vectors.
        dataset: What it is trained on: digits, scikit-learn's handwritten digits.
        part: Which of them; `classifier` are those that the embedded diffusion model has never
            seen and that are no originals.
        min_confidence: Least probability of a class, in [0, 1]; below it the picture is UNSCORED.
    """

    model: str = "support_vectors"
    dataset: Literal["digits"] = "digits"
    part: str = "classifier"
    min_confidence: float = 0.5

    def __post_init__(self) -> None:
        check_confidence(self.min_confidence)
        if self.model not in MODELS:
            raise ParameterError("model", self.model, f"one of {', '.join(MODELS)}")
        if self.part not in PARTS:
            raise ParameterError("part", self.part, f"one of {', '.join(PARTS)}")

    def fingerprint(self) -> str:
        """Give the hash of the data set."""
        return digits_hash()

    def known_labels(self) -> tuple[str, ...]:
        """Give the ten digits."""
        return tuple(map(str, range(10)))

    def labels(self, images: Sequence[Image]) -> list[str]:
        """Give the most probable digit of each picture."""
        for image in images:
            if image.shape != (SIDE, SIDE, 1):
                raise ModelError(
                    f"a picture has shape {image.shape}; allowed for {self.dataset}: (8, 8, 1)"
                )
        if not images:
            return []
        shares = _trained(self.model, self.part).predict_proba(_flat(np.stack(images)))
        return confident_labels(shares, self.known_labels(), min_confidence=self.min_confidence)


@lru_cache(maxsize=4)
def _trained(model: str, part: Part) -> Any:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    made = {
        "logistic_regression": lambda: LogisticRegression(max_iter=2000),
        "nearest_neighbours": lambda: KNeighborsClassifier(5, weights="distance"),
        "random_forest": lambda: RandomForestClassifier(300, random_state=0),
        "support_vectors": lambda: CalibratedClassifierCV(SVC(C=4.0), ensemble=False),
    }[model]()
    images, classes = load_digits(part)
    return made.fit(_flat(images), classes)


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1) / 255.0
