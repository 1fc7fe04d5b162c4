"""Scikit-learn's handwritten digits in parts that do not overlap: what is trained on what.

1797 real digits of 8 by 8 pixels in 17 greys. Their writers are not told apart: a writer's digits
may be in several parts.

Source: sklearn.datasets.load_digits, the test set of Alpaydin, Kaynak (1998), "Optical recognition
of handwritten digits", UCI machine learning repository, CC BY 4.0.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from critwin.seeds import fold_in

Part = Literal["train", "validation", "classifier", "held_out"]

PARTS: dict[Part, int] = {"train": 1047, "validation": 100, "classifier": 350, "held_out": 300}
"""Digits of each part: the diffusion model learns from `train` and stops by `validation`, its judge
learns from `classifier`, and nobody learns from `held_out`."""

SIDE, GREYS = 8, 16
"""Pixels of a side, and the whitest grey."""


def load_digits(part: Part) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Give the digits of a part.

    Returns:
        Pictures as bytes, shape (N, 8, 8, 1), and their classes in 0..9, shape (N,).
    """
    images, classes = _all_digits()
    order = sorted(range(len(images)), key=lambda i: fold_in(0, "digit", i))
    names = list(PARTS)
    first = sum(PARTS[name] for name in names[: names.index(part)])
    chosen = order[first : first + PARTS[part]]
    return to_bytes(images[chosen])[..., None], classes[chosen]


def to_bytes(greys: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Turn greys in 0..16 into bytes."""
    return np.rint(greys * (255 / GREYS)).clip(0, 255).astype(np.uint8)


@cache
def digits_hash() -> str:
    """Give the hex SHA-256 of all digits and their classes."""
    images, classes = _all_digits()
    return hashlib.sha256(to_bytes(images).tobytes() + classes.tobytes()).hexdigest()


@cache
def _all_digits() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    from sklearn import datasets

    found = datasets.load_digits()
    return found.images, found.target.astype(np.int64)
