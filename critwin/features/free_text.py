"""A free answer in words, by normalised match."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from critwin.feature import UNSCORED
from critwin.features.answers import AnswerFeature
from critwin.features.math_text import last_boxed
from critwin.problem import Problem
from critwin.thoughts import last_said

_SAID = re.compile(r"\banswer\s*(?:is\b(?!\s+not\b)|:)\s*(?:that\b|:)?", re.I)
_STOP = re.compile(r"\n|(?<!\b[A-Z])[.!?](?:\s|$)")


@dataclass(frozen=True, kw_only=True)
class FreeText(AnswerFeature):
    """Labels a text by the words that it announces last ("the answer is", a box), normalised.

    Case, accents, punctuation, articles and spaces do not count. A text that announces nothing is
    unscored, unless it is short enough to be an answer as a whole.

    Attributes:
        most_words: Longest text that is an answer without announcing one, in words; 0 for none.
    """

    most_words: int = 5

    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        """Give the normalised answer of each text."""
        return [self._label(text) for text in texts]

    def truth(self, problem: Problem) -> str | None:
        """Give the normalised reference answer."""
        return None if problem.truth is None else normalised(problem.truth) or problem.truth.strip()

    def announce(self, answer: str) -> str:
        """Write a bare answer as a text that announces it."""
        return f"The answer is {answer}"

    def _label(self, text: str) -> str:
        text = last_said(text)
        matches = [*_SAID.finditer(text)]
        boxed = last_boxed(text)
        if matches:
            said = _STOP.split(text[matches[-1].end() :].strip(), maxsplit=1)[0]
            return normalised(last_boxed(said) or said) or UNSCORED
        if boxed is not None:
            return normalised(boxed) or UNSCORED
        short = len(text.split()) <= self.most_words and not re.search(r"\banswer\b", text, re.I)
        return normalised(text) or UNSCORED if short else UNSCORED


def normalised(text: str) -> str:
    r"""Give words in lower case without accents, punctuation, `\text{}` and articles.

    Source: the normalisation of SQuAD (Rajpurkar et al., 2016, arXiv:1606.05250), accents taken
    off as well.
    """
    text = re.sub(r"\\text(?:bf|rm|it)?\s*\{([^{}]*)\}", r"\1", text)
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    words = re.sub(r"(?<=\d)[,](?=\d)", "", plain)
    words = re.sub(r"(?<!\d)\.|\.(?!\d)|[^\w\s.]|_", " ", words)
    return " ".join(re.sub(r"\b(?:a|an|the)\b", " ", words).split())
