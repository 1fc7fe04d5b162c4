"""Whether a model that repeats a word leaves the repetition, and when."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from critwin.errors import ParameterError
from critwin.feature import UNSCORED, Feature
from critwin.problem import Problem
from critwin.protocol import check_whole
from critwin.thoughts import last_said

REPEATS, DIVERGES = "repeats", "diverges"


@dataclass(frozen=True, kw_only=True)
class RepeatedWord(Feature):
    """Labels a text `diverges` where something else than one word stands in it, else `repeats`.

    Case and punctuation between repetitions do not count. An empty text is unscored.

    Attributes:
        word: The word; null: the first one of the text.
        after: Repetitions, >= 0, after which leaving counts as divergence; a text that has fewer
            and goes on differently never began to repeat, and is unscored.
    """

    word: str | None = None
    after: int = 1

    def __post_init__(self) -> None:
        if self.word is not None and len(_words(self.word)) != 1:
            raise ParameterError("word", self.word, "null or one word")
        check_whole("after", self.after, low=0)
        if self.after is None:
            raise ParameterError("after", None, "a whole number >= 0")

    def repetitions(self, text: str) -> int:
        """Count how often the word stands at the beginning, before anything else does."""
        words = _words(last_said(text))
        wanted = self._wanted(words)
        return next((i for i, word in enumerate(words) if word != wanted), len(words))

    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        """Give `repeats` or `diverges` for each text."""
        return [self._label(text) for text in texts]

    def truth(self, problem: Problem) -> str | None:
        """Give nothing: neither is right."""
        return None

    def _wanted(self, words: Sequence[str]) -> str | None:
        if self.word is not None:
            return _words(self.word)[0]
        return words[0] if words else None

    def _label(self, text: str) -> str:
        count = self.repetitions(text)
        words = _words(last_said(text))
        if not words or (count < self.after and count < len(words)):
            return UNSCORED
        return REPEATS if count == len(words) else DIVERGES


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.casefold())  # noqa: RUF001
