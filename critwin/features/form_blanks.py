"""What stands in the blanks of a form that is known word for word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from critwin.errors import ParameterError
from critwin.feature import UNSCORED
from critwin.features.choosing import Choice, ChoosingFeature
from critwin.problem import Problem
from critwin.thoughts import spoken


@dataclass(frozen=True, kw_only=True)
class FormBlanks(ChoosingFeature):
    """Labels a text by the words in its blanks; unscored where one of them is missing.

    Attributes:
        pattern: Regular expression with a named group for each blank, in the order of the text; it
            is searched for, upper and lower case are one, and a dot stands for any character.
    """

    pattern: str

    def __post_init__(self) -> None:
        try:
            names = re.compile(self.pattern).groupindex
        except (re.error, TypeError) as error:
            raise ParameterError(
                "pattern", self.pattern, f"a regular expression ({error})"
            ) from None
        if not names:
            raise ParameterError("pattern", self.pattern, "one with named groups, (?P<name>...)")

    @cached_property
    def _search(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.IGNORECASE | re.DOTALL)

    @property
    def names(self) -> tuple[str, ...]:
        """The blanks, in their order."""
        return tuple(self._search.groupindex)

    def choices(self, text: str) -> list[Choice] | None:
        """Give what stands in each blank, and where; None where the text does not fill them all."""
        found = self._search.search(spoken(text))
        if found is None or any(found[name] is None for name in self.names):
            return None
        chosen = []
        for name in self.names:
            words = found[name]
            start = found.start(name) + len(words) - len(words.lstrip())
            chosen.append(Choice(name, words.strip(), start, start + len(words.strip())))
        return chosen

    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        """Give the words in the blanks, lower case, joined by commas; or `UNSCORED`."""
        found = [self.choices(text) for text in texts]
        return [
            UNSCORED if own is None else ", ".join(choice.value.lower() for choice in own)
            for own in found
        ]

    def truth(self, problem: Problem) -> str | None:
        """Give none: no filling is right or wrong."""
        return None
