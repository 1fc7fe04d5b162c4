"""The language that a text is written in, by script and frequent words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from critwin.errors import ParameterError
from critwin.feature import UNSCORED, Feature
from critwin.problem import Problem

SCRIPTS = {
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CJK": "zh",
    "ARABIC": "ar",
    "HEBREW": "he",
    "GREEK": "el",
    "DEVANAGARI": "hi",
    "THAI": "th",
    "CYRILLIC": "ru",
}
"""Scripts that tell a language by themselves, well enough; Cyrillic is called Russian."""

FREQUENT = {
    "en": "the of and to in is that it was for on are with as be this have from you not we so",
    "de": "der die das und ist nicht ein eine zu den mit von auf für sich dem wir als auch es",
    "fr": "le la les de des et est un une pas que pour dans qui sur avec nous ce il du donc",
    "es": "el la los las de y es un una no que para en con por se lo del al como está",
    "it": "il lo la gli di e è un una non che per in con si del della sono come questo",
    "pt": "o os as de e é um uma não que para em com por se do da no na como são",
    "nl": "de het een en is niet van dat op te met voor zijn er aan die wij ook als",
    "pl": "i w na nie z do jest to że się o jak ale po co tak za od przez",
    "sv": "och att det som en är på av för med den till inte om ett men vi",
    "tr": "ve bir bu da de için ile olarak çok daha ne gibi ama olan değil",
}
"""Frequent short words of languages in Latin script; our own choice, of which each text of some
sentences has several."""

_WORDS = {language: frozenset(words.split()) for language, words in FREQUENT.items()}
_CODE = re.compile(r"```.*?(?:```|$)|\$\$.*?\$\$|\$[^$]*\$|\\\(.*?\\\)|\\\[.*?\\\]", re.S)


@dataclass(frozen=True, kw_only=True)
class Language(Feature):
    """Labels a text by its language, two letters; a text that shows none is unscored.

    A script that tells the language decides where most letters are in it; in Latin script the
    language most of whose frequent words stand in the text does. Code and formulas do not count.

    Attributes:
        least_words: Frequent words that have to stand in the text, >= 1.
        only: Languages that are told apart; empty for all.
    """

    least_words: int = 2
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if type(self.least_words) is not int or self.least_words < 1:
            raise ParameterError("least_words", self.least_words, "a whole number >= 1")
        known = {*FREQUENT, *SCRIPTS.values()}
        if isinstance(self.only, str) or not set(self.only) <= known:
            raise ParameterError("only", self.only, f"a list of {', '.join(sorted(known))}")

    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        """Give the language of each text."""
        return [self._label(_CODE.sub(" ", text)) for text in texts]

    def truth(self, problem: Problem) -> str | None:
        """Give the language of the reference answer where that names one: `en`."""
        said = (problem.truth or "").strip()
        return said if said in {*FREQUENT, *SCRIPTS.values()} else None

    def _label(self, text: str) -> str:
        scripts = Counter(_script(c) for c in text if c.isalpha())
        foreign = Counter[str]()
        for script, count in scripts.items():
            if script in SCRIPTS:
                foreign[SCRIPTS[script]] += count
        if foreign["ja"]:
            foreign["ja"] += foreign.pop("zh", 0)  # Japanese is written in both
        ranked = [pair for pair in foreign.most_common() if self._told(pair[0])]
        if ranked and ranked[0][1] * 2 > sum(scripts.values()):
            return ranked[0][0]
        words = Counter(re.findall(r"[^\W\d_]+", text.casefold()))
        hits = Counter(
            {
                language: sum(words[word] for word in known)
                for language, known in _WORDS.items()
                if self._told(language)
            }
        ).most_common(2)
        if not hits or hits[0][1] < self.least_words:
            return UNSCORED
        tied = len(hits) > 1 and hits[0][1] == hits[1][1]
        return UNSCORED if tied else hits[0][0]

    def _told(self, language: str) -> bool:
        return not self.only or language in self.only


def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0]
