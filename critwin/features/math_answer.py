"""The final answer of a solution in mathematics."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from critwin.feature import UNSCORED, Conflict
from critwin.features.answers import ASKED_LATEX, AnswerFeature
from critwin.features.math_pool import grading_pool
from critwin.features.math_text import ANNOUNCED, announced
from critwin.problem import Problem

PLAIN_INTEGER = re.compile(r"[:\s]*(-?\d{1,15})\s*(?:$|[.;!?](?:\s|$)|,\s+[A-Za-z])")
"""A whole number that nothing but the end of a clause follows."""

WORDS = re.compile(r"[\s.,/:-]*\d[\d\s.,/:-]*(?:%|[A-Za-z]{3,}|$)[\w\s.%/:-]*")
"""A bare answer that is a number with words or a percent sign behind it."""

MOST_COMPARED = 40
"""Answers to one problem that are compared in pairs."""

Question: TypeAlias = tuple[str, str | None]
"""An announced answer, and the announced reference that it is compared with."""

Reading: TypeAlias = tuple[str | None, bool | None]
"""Canonical form, and whether it equals the reference."""

_KEPT = 200_000
_readings: dict[Question, Reading] = {}


@dataclass(frozen=True, kw_only=True)
class MathAnswer(AnswerFeature):
    r"""Labels a text by the answer it announces last ("the answer is", `####`, a box).

    Whole numbers are read directly; everything else goes through math-verify, in processes of its
    own with a time limit: an answer that takes longer is unscored. Rational numbers are labelled by
    their exact value, so `0.5`, `1/2` and `\frac12` agree, and formulas by a normal form; an answer
    that math-verify holds equal to the reference answer (decimals to six places, with or without a
    percent sign) gets the reference's label.

    Attributes:
        anywhere: Where no answer is announced, take the last number or formula of the text. Off,
            such a text is unscored: the last number of a text that was cut off is no answer.
    """

    question: str = ASKED_LATEX
    anywhere: bool = False

    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        """Give the canonical answer of each text, `UNSCORED` where none is announced."""
        (found,) = self.labels_of([(texts, problem)])
        return found

    def labels_of(self, batches: Sequence[tuple[Sequence[str], Problem]]) -> list[list[str]]:
        """Give the canonical answers of texts about several problems, all graded together."""
        references = [_reference(problem) for _, problem in batches]
        answers = [{text: self._announced(text) for text in texts} for texts, _ in batches]
        pairs = zip(references, answers, strict=True)
        readings = _read(
            (answer, reference)
            for reference, own in pairs
            for answer in (reference, *own.values())
            if answer is not None
        )
        labels = []
        for (texts, problem), reference, own in zip(batches, references, answers, strict=True):
            truth = None if reference is None else _truth(problem, readings[reference, reference])
            label = {
                text: _label(readings.get((answer or "", reference)), truth)
                for text, answer in own.items()
            }
            labels.append([label[text] for text in texts])
        return labels

    def truth(self, problem: Problem) -> str | None:
        """Give the canonical form of the reference answer, itself where it cannot be parsed."""
        reference = _reference(problem)
        if reference is None:
            return None
        return _truth(problem, _read([(reference, reference)])[reference, reference])

    def announce(self, answer: str) -> str:
        """Write a bare answer as a solution would announce it; formulas between dollar signs."""
        if ANNOUNCED.search(answer):
            return answer
        if PLAIN_INTEGER.match(answer):
            return f"#### {answer}"
        if "$" in answer.strip().strip("$") or WORDS.fullmatch(answer):
            return f"The final answer is {answer}"
        return f"The final answer is ${answer.strip('$ ')}$"

    def conflicts(self, texts: Sequence[str], problem: Problem) -> list[Conflict]:
        """Compare answers that are written differently, in pairs, with math-verify.

        One text stands for each canonical form and label. Two rational numbers are compared only
        where they have one label, as the grader held both equal to the reference; one number with
        two labels is a conflict, as where `28%` passes for the reference `28` and `0.28` does not.
        At most `MOST_COMPARED` are looked at.
        """
        reference = _reference(problem)
        answers = {text: self._announced(text) for text in dict.fromkeys(texts)}
        readings = _read((a, reference) for a in answers.values() if a is not None)
        labels = dict(zip(answers, self.labels([*answers], problem), strict=True))
        forms: dict[tuple[str, str], str] = {}
        for text, answer in answers.items():
            form = readings[answer, reference][0] if answer is not None else None
            if form is not None and labels[text] != UNSCORED:
                forms.setdefault((form, labels[text]), str(answer))
        chosen = [*forms][:MOST_COMPARED]
        pairs = [
            (a, b)
            for a, b in itertools.combinations(chosen, 2)
            if a[1] == b[1] or a[0] == b[0] or not (_is_number(a[0]) and _is_number(b[0]))
        ]
        asked = [
            ["equal", forms[x], forms[y]]
            for a, b in pairs
            if a[0] != b[0]
            for x, y in ((a, b), (b, a))
        ]
        replies = iter(grading_pool().ask(asked) if asked else [])
        found = []
        for a, b in pairs:
            verdicts = (True, True) if a[0] == b[0] else (next(replies), next(replies))
            held = True in verdicts
            if None not in verdicts and held != (a[1] == b[1]):
                names = (a[1], b[1])
                found.append(Conflict(problem.problem_id, forms[a], forms[b], names, held))
        return found

    def _announced(self, text: str) -> str | None:
        answer = announced(text)
        return text if answer is None and self.anywhere and text.strip() else answer


def _reference(problem: Problem) -> str | None:
    """Write the reference answer as a solution would announce it."""
    if problem.truth is None:
        return None
    return announced(problem.truth) or MathAnswer().announce(problem.truth)


def _truth(problem: Problem, reading: Reading) -> str:
    return reading[0] if reading[0] is not None else str(problem.truth).strip()


def _label(reading: Reading | None, truth: str | None) -> str:
    label, same = reading or (None, None)
    if label is None:
        return UNSCORED
    return truth if truth is not None and same else label


def _read(questions: Iterable[Question]) -> dict[Question, Reading]:
    """Read answers; whole numbers here, all others in the pool, each of them once."""
    wanted = dict.fromkeys(questions)
    fresh = []
    found: dict[Question, Reading] = {}
    for question in wanted:
        plain = _plain(question)
        if plain is not None:
            found[question] = plain
        elif question in _readings:
            found[question] = _readings[question]
        else:
            fresh.append(question)
    replies = grading_pool().ask([["read", *question] for question in fresh]) if fresh else []
    if len(_readings) > _KEPT:
        _readings.clear()
    for question, reply in zip(fresh, replies, strict=True):
        found[question] = _readings[question] = (None, None) if reply is None else tuple(reply)
    return found


def _plain(question: Question) -> Reading | None:
    """Read a whole number that is compared with a whole number; None where it takes more."""
    numbers = [_integer(text) for text in question if text is not None]
    if None in numbers:
        return None
    return numbers[0], None if question[1] is None else numbers[0] == numbers[-1]


def _integer(answer: str) -> str | None:
    match = ANNOUNCED.match(answer)
    plain = PLAIN_INTEGER.match(answer, match.end() if match else 0)
    return str(int(plain[1])) if plain else None


def _is_number(label: str) -> bool:
    return re.fullmatch(r"-?\d+(/\d+)?", label) is not None
