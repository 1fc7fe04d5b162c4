"""The contract of features that read several choices off a text and know where each was made."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from critwin.feature import Feature


@dataclass(frozen=True)
class Choice:
    """One choice in a text.

    Attributes:
        name: Of the blank that it fills.
        value: What was chosen.
        start: Character of the text at which it begins.
        end: Character behind it.
    """

    name: str
    value: str
    start: int
    end: int


class ChoosingFeature(Feature):
    """Labels a text by the choices that it makes, blank after blank."""

    @abstractmethod
    def choices(self, text: str) -> list[Choice] | None:
        """Give the choices of a text in their order; None where a blank is not filled."""
