"""The contract of features of pictures: what a picture shows, as a label."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from critwin.picture import Image


class ImageFeature(ABC):
    """Reads the value of a feature off a picture. Subclasses are frozen dataclasses.

    Constructors are cheap: weights are loaded, and judges trained, on first use.
    """

    @abstractmethod
    def labels(self, images: Sequence[Image]) -> list[str]:
        """Give the label of each picture; `UNSCORED` (critwin/feature.py) where it is unreadable.

        The label of a picture does not depend on the others of the batch.
        """

    def known_labels(self) -> tuple[str, ...]:
        """Give the labels that there are, without a model; nothing where they are not known."""
        return ()
