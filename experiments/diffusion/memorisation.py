"""Whether pictures are copies of training data: distances to the nearest training picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from critwin.picture import Image
from critwin.statistics import Interval, clustered_share

Floats = npt.NDArray[np.float64]

QUANTILE = 0.05
"""A picture is called near when it is nearer to a training picture than all but this share of the
real ones that nobody learned from."""


@dataclass(frozen=True)
class Memorisation:
    """How near pictures are to training pictures, beside real ones that were not trained on.

    Attributes:
        pictures: Distance of each picture to its nearest training picture, root mean square over
            pixels in [0, 1], shape (N,).
        fresh: The same of real pictures that nobody learned from, shape (M,).
        near: Share of the pictures that are near, with its interval; about QUANTILE without
            memorisation.
        copies: Pictures that are nearer than any of the real ones is to a training picture.
    """

    pictures: Floats
    fresh: Floats
    near: Interval
    copies: int

    @property
    def threshold(self) -> float:
        """Distance below which a picture is near."""
        return float(np.quantile(self.fresh, QUANTILE))


def memorisation(
    pictures: Sequence[Image], train: Sequence[Image], fresh: Sequence[Image]
) -> Memorisation:
    """Compare distances to the nearest training picture.

    Args:
        pictures: What is checked, N >= 1.
        train: What the model learned from.
        fresh: Real pictures that it did not learn from.
    """
    ours, real = nearest(pictures, train), nearest(fresh, train)
    threshold = float(np.quantile(real, QUANTILE))
    near = clustered_share((ours < threshold).astype(int), np.ones(len(ours), int))
    assert near is not None
    return Memorisation(ours, real, near, int((ours < real.min()).sum()))


def nearest(pictures: Sequence[Image], train: Sequence[Image]) -> Floats:
    """Give the distance of each picture to the nearest of others, shape (N,)."""
    one, other = (
        np.stack(p).reshape(len(p), -1).astype(np.float64) / 255 for p in (pictures, train)
    )
    square = (one**2).sum(1)[:, None] - 2 * one @ other.T + (other**2).sum(1)
    found: Floats = np.sqrt(np.maximum(square.min(axis=1), 0) / one.shape[1])
    return found
