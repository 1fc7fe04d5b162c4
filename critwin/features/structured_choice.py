"""What was chosen in the blanks of a structured output."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from critwin.errors import ParameterError
from critwin.feature import UNSCORED
from critwin.features.choosing import Choice, ChoosingFeature
from critwin.problem import Problem
from critwin.protocol import check_whole
from critwin.thoughts import spoken


@dataclass(frozen=True, kw_only=True)
class StructuredChoice(ChoosingFeature):
    """Labels a text by the options that it takes, blank after blank.

    Options are found as whole words, in the order in which they stand. A text that fills fewer
    blanks than there are is unscored; what stands behind the last one is not looked at.

    Attributes:
        options: What may stand in a blank, at least two, none inside another as whole words.
        blanks: Number of blanks, >= 1.
        blank: Which one is the label, counted from 1; null: all of them, joined by commas.
        before: What stands right in front of a choice, a regular expression; empty: anything. Words
            of the text around that look like options are then not taken for choices.
        ignore_case: Whether case does not count.
    """

    options: tuple[str, ...]
    blanks: int = 1
    blank: int | None = None
    before: str = ""
    ignore_case: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.options, str) or len(set(self.options)) < 2 or "" in self.options:
            raise ParameterError("options", self.options, "a list of two or more different texts")
        check_whole("blanks", self.blanks, low=1)
        check_whole("blank", self.blank, low=1)
        if self.blanks is None or (self.blank or 1) > self.blanks:
            raise ParameterError("blank", self.blank, f"null or a whole number, 1 to {self.blanks}")
        try:
            re.compile(self.before)
        except re.error as error:
            allowed = f"a regular expression of Python's ({error})"
            raise ParameterError("before", self.before, allowed) from None

    def choices(self, text: str) -> list[Choice] | None:
        """Give the choices of a text and where they stand; None where fewer blanks are filled."""
        found = self._found(text)
        return found if len(found) == self.blanks else None

    def _found(self, text: str) -> list[Choice]:
        """Give the choices of a text, those of the blanks alone."""
        ordered = sorted(self.options, key=len, reverse=True)
        words = "|".join(map(re.escape, ordered))
        pattern = rf"(?:{self.before})(?<!\w)(?P<option>{words})(?!\w)"
        flags = re.IGNORECASE if self.ignore_case else 0
        spelled = {self._key(option): option for option in self.options}
        return [
            Choice(f"blank {number}", spelled[self._key(match["option"])], *match.span("option"))
            for number, match in enumerate(re.finditer(pattern, spoken(text), flags), start=1)
        ][: self.blanks]

    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        """Give what each text takes."""
        return [self._label(text) for text in texts]

    def truth(self, problem: Problem) -> str | None:
        """Give what the reference answer takes."""
        label = UNSCORED if problem.truth is None else self._label(problem.truth)
        return None if label == UNSCORED else label

    def _key(self, option: str) -> str:
        return option.casefold() if self.ignore_case else option

    def _label(self, text: str) -> str:
        taken = [choice.value for choice in self._found(text)]
        if len(taken) < (self.blank or self.blanks):
            return UNSCORED
        return ",".join(taken) if self.blank is None else taken[self.blank - 1]
