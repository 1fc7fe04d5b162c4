"""Brightness and colour of a part of a picture, in classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from critwin.errors import ParameterError
from critwin.features.label_scores import check_names
from critwin.image_feature import ImageFeature
from critwin.picture import Image

STATISTICS = ("brightness", "contrast", "red", "green", "blue", "saturation")


@dataclass(frozen=True, kw_only=True)
class RegionStatistic(ImageFeature):
    """A statistic of the pixels of a region, cut into classes at some edges.

    Attributes:
        statistic: brightness (mean of all channels), contrast (standard deviation of it over the
            pixels), red, green or blue (mean of the channel less that of all), or saturation (mean
            over the pixels of greatest less least channel); all with pixels in [0, 1].
        region: top, left, bottom and right as shares of height and width, in [0, 1].
        edges: Where classes begin, increasing; a value at an edge is above it.
        names: Names of the classes, one more than edges; null makes them of the edges.
    """

    statistic: str = "brightness"
    region: tuple[float, ...] = (0.0, 0.0, 1.0, 1.0)
    edges: tuple[float, ...] = (0.5,)
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.statistic not in STATISTICS:
            raise ParameterError("statistic", self.statistic, f"one of {', '.join(STATISTICS)}")
        shares = [v for v in self.region if not isinstance(v, bool) and 0 <= v <= 1]
        box = shares[0] < shares[2] and shares[1] < shares[3] if len(shares) == 4 else False
        if len(self.region) != 4 or not box:
            allowed = "top, left, bottom, right in [0, 1], top < bottom and left < right"
            raise ParameterError("region", list(self.region), allowed)
        if not self.edges or any(a >= b for a, b in pairwise(self.edges)):
            raise ParameterError("edges", list(self.edges), "at least one number, increasing")
        if self.names is not None:
            check_names("names", self.names, least=2)
            if len(self.names) != len(self.edges) + 1:
                allowed = f"null or {len(self.edges) + 1} names, one more than edges"
                raise ParameterError("names", list(self.names), allowed)

    def known_labels(self) -> tuple[str, ...]:
        """Give the names of the classes, lowest first."""
        if self.names is not None:
            return self.names
        low, high = self.edges[0], self.edges[-1]
        between = [f"{a:g} to {b:g}" for a, b in pairwise(self.edges)]
        texts = [f"below {low:g}", *between, f"from {high:g}"]
        return tuple(f"{self.statistic} {text}" for text in texts)

    def labels(self, images: Sequence[Image]) -> list[str]:
        """Give the class of each picture."""
        names = self.known_labels()
        found = [self.value(image) for image in images]
        return [names[int(i)] for i in np.searchsorted(self.edges, found, side="right")]

    def value(self, image: Image) -> float:
        """Give the statistic of one picture; colours of a grey picture are 0."""
        high, wide, channels = image.shape
        top, left, bottom, right = self.region
        # a region has at least the pixel that it begins in
        rows = slice(int(top * high), max(round(bottom * high), int(top * high) + 1))
        columns = slice(int(left * wide), max(round(right * wide), int(left * wide) + 1))
        pixels = image[rows, columns].astype(np.float64) / 255
        grey = pixels.mean(axis=2)
        if self.statistic == "brightness":
            return float(grey.mean())
        if self.statistic == "contrast":
            return float(grey.std())
        if channels == 1:
            return 0.0
        if self.statistic == "saturation":
            return float((pixels.max(axis=2) - pixels.min(axis=2)).mean())
        channel = ("red", "green", "blue").index(self.statistic)
        return float(pixels[..., channel].mean() - grey.mean())
