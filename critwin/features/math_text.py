r"""Where in a text the answer to a problem in mathematics stands; no formula is read here."""

from __future__ import annotations

import re

from critwin.thoughts import last_said

ANNOUNCED = re.compile(
    r"(?:\banswer\s+is\b(?!\s+not\b)|\banswer\s*:|\banswer(?=\s*(?:\\\(|\\\[|\$))|####"
    r"|\\(?:boxed|fbox)(?=\s*\{))",
    re.I,
)
"""What announces an answer; the last one in a text counts."""

_BOX = re.compile(r"\\(?:boxed|fbox)\s*(?=\{)")
_JOINT = re.compile(
    r"\\(?:[()\[\],;: ]|q?quad\b)|\\text\{\s*(?:and|or)\s*\}|\b(?:and|or)\b|[\s,;.$]"
    r"|[A-Za-z]\w*(?:_\{?\w+\}?)?\s*="
)
"""What may stand between boxes that hold one answer together."""

_CONCLUDES = re.compile(
    r"^\W*(?:therefore|thus|hence|so|consequently|finally|in conclusion|the final result)\b", re.I
)
_STATES = re.compile(r"(?:\b(?:is|are|equals)\b|:)\s+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|\n\s*\n")
_FORMULA = re.compile(
    r"\s*(?:\$[^$]+\$|\\\((?:(?!\\\)).)+\\\)|\\\[(?:(?!\\\]).)+\\\]"
    r"|-?[\d.,/]+)\s*\.?\s*$",
    re.S,
)
_VALUE = re.compile(r"^(?:[$\\(\[{+-]|[\d.]).*", re.S)
_END = (".", "$", "}", ")", "]", "!", "²", "³", "%")


def announced(text: str) -> str | None:
    """Give the part of a text that begins with its last announcement of an answer.

    An announcement is "the answer is", "answer:", `####` or a box; boxes one after the other are
    one answer. Without any, a text that is nothing but a formula or a number is an answer, and so
    is what the last, finished sentence says something to be, where it draws a conclusion
    ("therefore", "so") or is the only one. The last number of a text that was cut off is none.

    Returns:
        The part, or None.
    """
    text = last_said(text)
    matches = [*ANNOUNCED.finditer(text)]
    if matches:
        return text[_joined(text, matches) :]
    return concluded(text)


def concluded(text: str) -> str | None:
    """Give the answer of a text that announces none, or None."""
    text = text.strip()
    if _FORMULA.fullmatch(text):
        return f"The final answer is {text}"
    sentences = [part for part in _SENTENCE.split(text) if part.strip()]
    if not sentences:
        return None
    last = sentences[-1].strip()
    if len(sentences) > 1 and not _CONCLUDES.match(last):
        return None
    stated = [*_STATES.finditer(last)]
    if not stated:
        return None
    value = last[stated[-1].end() :].strip()
    if not _VALUE.match(value) or not (value.endswith(_END) or len(value.split()) == 1):
        return None
    return f"The final answer is {value}"


def last_boxed(text: str) -> str | None:
    r"""Give what the last `\boxed{...}` holds, braces balanced; None where there is none."""
    for match in reversed([*_BOX.finditer(text)]):
        end = _closing(text, match.end())
        if end is not None:
            return text[match.end() + 1 : end]
    return None


def _joined(text: str, matches: list[re.Match[str]]) -> int:
    """Give where the last answer begins: at the first of a row of boxes, else at the last match."""
    first = matches[-1]
    for before in reversed(matches[:-1]):
        if "box" not in before[0] or "box" not in first[0]:
            break
        end = _closing(text, before.end() + text[before.end() :].index("{"))
        if end is None or _JOINT.sub("", text[end + 1 : first.start()]):
            break
        first = before
    return first.start()


def _closing(text: str, opening: int) -> int | None:
    """Give where the brace that opens at a place is closed."""
    depth = 0
    for at in range(opening, len(text)):
        if text[at] == "\\":
            continue
        escaped = at and text[at - 1] == "\\"
        if text[at] == "{" and not escaped:
            depth += 1
        elif text[at] == "}" and not escaped:
            depth -= 1
            if depth == 0:
                return at
    return None
