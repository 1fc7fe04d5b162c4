"""Which letter of a multiple choice a text states: the last statement counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from critwin.features.free_text import normalised
from critwin.problem import LETTERS
from critwin.thoughts import last_said

_OPEN = r"(?:\*\*|__|[(\[{`'\"“‘$]|\\boxed\s*\{|\\text(?:bf|rm)?\s*\{|\\mathrm\s*\{|\\\(|\s)*"  # noqa: RUF001
_WORD = r"(?:(?:option|choice|letter|answer|statement)\s*)?"
_LETTER = rf"{_OPEN}{_WORD}{_OPEN}(?P<letter>[A-Za-z])(?![A-Za-z0-9'’])"  # noqa: RUF001
_IS = r"(?:\s*(?:is|would\s+be|will\s+be|must\s+be|should\s+be|has\s+to\s+be|=|:|：)\s*)"  # noqa: RUF001
_ADVERB = r"(?:therefore|thus|hence|clearly|most\s+likely|probably|definitely|indeed)?[\s,:]*"
_NOUN = r"(?:answer|option|choice|conclusion|inference|response|selection)"
_SUBJECT = (
    rf"\b{_NOUN}s?(?:\s*\*\*)?"
    r"(?:\s+(?!is\b|would\b|will\b|must\b|should\b|not\b)[^\s.!?:]+){0,8}?"
)

STATEMENTS = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        # "the answer is (B)", "Answer: **B**", "the most probable option is (E)"
        rf"{_SUBJECT}{_IS}(?:\*\*)?\s*{_ADVERB}{_LETTER}",
        # "or answer (D)", "choose option C", "I pick B"
        r"\b(?:answer|option|choice)\s*(?:\*\*)?\s*[(\[]\s*(?P<letter>[A-Za-z])\s*[)\]]",
        rf"\b(?:choose|pick|select|go\s+with|chose|selected)\s+(?:the\s+)?{_LETTER}",
        rf"\bnot\s+{_WORD}{_OPEN}[A-Za-z][)\]*]*,?\s+but\s+(?:rather\s+)?{_LETTER}",
        # "(B) is correct", "option B is the right answer"
        rf"(?:{_WORD}{_OPEN})\b(?P<letter>[A-Za-z])[)\]*}}.]*\s+is\s+(?:the\s+)?"
        r"(?:correct|right|best|true)\b",
        r"\\boxed\s*\{\s*(?:\\text(?:bf|rm)?\s*\{|\\mathrm\s*\{)?\s*[(\[]?\s*"
        r"(?P<letter>[A-Za-z])\s*[)\]]?\s*(?:[.:)]\s*[^{}]*)?\}",
        # Korean, Chinese, Japanese
        r"(?:정답|답|答案|正解|答え)\s*(?:은|는|是|为|為|选|選|は)?\s*[:：]?\s*[(（\[]?\s*"  # noqa: RUF001
        r"(?P<letter>[A-Za-z])(?![A-Za-z])",
    )
)
"""Ways to state an answer; which one does not matter, the last in the text counts."""

_NOT = re.compile(rf"{_SUBJECT}{_IS}?\s*(?:\*\*)?\s*(?:is\s+)?(?:not|never)\b", re.I)
_ALONE = re.compile(
    rf"\s*{_WORD}{_OPEN}(?P<letter>[A-Z])(?:[)\]}}*`'\"”’.]|\s)*(?:[.):]\s.*)?",  # noqa: RUF001
    re.S,
)
_LAST_LINE = re.compile(r"(?:^|\n)\s*(?:\*\*)?[(\[]?(?P<letter>[A-Z])[)\].]?(?:\*\*)?[.]?\s*$")
_ENDING = re.compile(r"[(\[]\s*(?P<letter>[A-Z])\s*[)\]](?:\*\*)?\s*[.!]?\s*$")
_NAMED = re.compile(
    r"\b(?:is|are|be|of|with|as|as an?|in|by|to|called|through|from|for|on|at)\s+"
    r"(?P<letter>[A-Z])[.)]\s+(?=[A-Za-z\"“(])"
)
_NAME = re.compile(r"[A-Z][\w.]*\s+[A-Z]")
"""What follows the initial of a person."""
_MORE = re.compile(
    r"(?:[)\]}*`'\"”’.]|\s)*(?:,?\s*(?:or|and|/|&)\s*|/)\s*(?:option\s*)?[(\[*]*(?P<letter>[A-Z])(?![A-Za-z0-9])"  # noqa: RUF001
)
_AFTER_WORD = re.compile(
    r"\s+(?!because|since|as\b|and\b|or\b|is\b|with\b|which|based|due\b|for\b|in\b|but\b)[a-z]"
)
TAIL = 300
"""Characters at the end of a text in which an answer may stand that nothing announces."""


@dataclass(frozen=True)
class Statement:
    """A place where a text names an option.

    Attributes:
        start: Where it begins.
        letter: What it names, upper case; None where it names several.
    """

    start: int
    letter: str | None


def stated_letter(text: str, options: int, texts: Sequence[str] = ()) -> str | None:
    """Give the letter of the option that a text states last.

    A statement is "the answer is (B)" and what people write for it: bold, boxed, in parentheses,
    "option B is correct". "The answer is not (B)" states nothing; "(A) or (B)" states no one
    option. Where nothing is announced, a text that is only a letter counts, a last line that is,
    a parenthesised letter at the very end, `... is B. <words of the option>` at the end, or what is
    said to be the answer in the words of one option.

    Args:
        text: A generation, or a whole chat transcript, of which the last turn is read.
        options: How many options there are, >= 2.
        texts: Their words, in the order of the letters; empty where they are not known.

    Returns:
        The letter, upper case; None where none is stated, or one that no option has.
    """
    text = last_said(text)
    letters = LETTERS[:options]
    found = _statements(text)
    worded = _worded(text, texts, after=found[-1].start if found else -1)
    if worded is not None:
        return worded
    if found:
        letter = found[-1].letter
        return letter if letter is not None and letter in letters else None
    return _unannounced(text, letters, texts)


def _statements(text: str) -> list[Statement]:
    found = []
    for pattern in STATEMENTS:
        for match in pattern.finditer(text):
            if not _is_word(text, match):
                more = _MORE.match(text, match.end("letter"))
                named = match["letter"].upper()
                other = more is not None and more["letter"] != named
                found.append(Statement(match.start("letter"), None if other else named))
    return sorted(found, key=lambda statement: (statement.start, statement.letter is not None))


def _is_word(text: str, match: re.Match[str]) -> bool:
    """Tell whether what was found is no letter of an option: "a dog", "not", "x = 3"."""
    letter, start, end = match["letter"], *match.span("letter")
    enclosed = start > 0 and text[start - 1] in "([{*`'\"“$" and end < len(text)
    if letter.islower() and not enclosed:
        closed = re.match(r"\s*(?:[.)\]]|$)", text[end:])
        return letter in "ai" or not closed
    if re.match(r"\s*[=^_+<>≤≥]|\s*\\[a-z]|\(", text[end:]):
        return True  # a formula
    return letter in "AI" and not enclosed and bool(_AFTER_WORD.match(text, end))


def _worded(text: str, texts: Sequence[str], *, after: int) -> str | None:
    """Give the option whose words follow the last "answer is", behind a certain place."""
    known = [normalised(words) for words in texts]
    if not any(known):
        return None
    matches = [m for m in re.finditer(r"\banswer(?:\s+is|\s*:)\s*", text, re.I) if m.end() > after]
    if not matches:
        return None
    said = normalised(text[matches[-1].end() :].partition("\n")[0])
    fitting = [letter for letter, words in zip(LETTERS, known, strict=False) if words == said]
    return fitting[0] if len(fitting) == 1 and said else None


def _unannounced(text: str, letters: str, texts: Sequence[str]) -> str | None:
    for pattern in (_ALONE.fullmatch, _LAST_LINE.search, _ENDING.search):
        match = pattern(text.strip())
        if match and match["letter"] in letters and not _NOT.search(text[-TAIL:]):
            return match["letter"]
    tail = text.rstrip()[-TAIL:]
    named = {}
    for match in _NAMED.finditer(tail):
        letter, rest = match["letter"], normalised(tail[match.end() :])
        at = letters.find(letter)
        words = normalised(texts[at]) if 0 <= at < len(texts) else ""
        named_so = rest.startswith(words) if words else not _NAME.match(tail, match.end())
        if at >= 0 and named_so:
            named[letter] = match
    return next(iter(named)) if len(named) == 1 else None
