"""Coarse classes made of fine ones: with both, a hierarchy of windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from critwin.errors import ParameterError
from critwin.feature import UNSCORED
from critwin.features.label_scores import check_names
from critwin.image_feature import ImageFeature
from critwin.picture import Image


@dataclass(frozen=True, kw_only=True)
class Grouped(ImageFeature):
    """Groups of the labels of another feature; what is UNSCORED there is so here.

    Attributes:
        of: The feature whose labels are grouped.
        groups: Name of each group and the labels in it, each label at most once; a label in none
            is a group of its own.
    """

    of: ImageFeature
    groups: Mapping[str, Sequence[str]]

    def __post_init__(self) -> None:
        check_names("groups", list(self.groups), least=1)
        members = [label for group in self.groups.values() for label in group]
        if len(set(members)) != len(members) or not all(self.groups.values()):
            raise ParameterError("groups", dict(self.groups), "groups of labels, each label once")
        known = set(self.of.known_labels())
        strange = [label for label in members if known and label not in known]
        if strange:
            raise ParameterError("groups", dict(self.groups), f"labels {', '.join(sorted(known))}")
        alone = [name for name in self.groups if name in known and name not in self.groups[name]]
        if alone:
            raise ParameterError("groups", dict(self.groups), "names that are no other's label")

    def known_labels(self) -> tuple[str, ...]:
        """Give the groups, then the labels in none."""
        return tuple(dict.fromkeys(self.group(label) for label in self.of.known_labels()))

    def group(self, label: str) -> str:
        """Give the group of a label."""
        if label == UNSCORED:
            return label
        return next((name for name, own in self.groups.items() if label in own), label)

    def labels(self, images: Sequence[Image]) -> list[str]:
        """Give the group of each picture's label."""
        return [self.group(label) for label in self.of.labels(images)]
