"""The final answer of a solution in mathematics."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from critwin.feature import UNSCORED, Feature
from critwin.problem import Problem

ANNOUNCED = re.compile(r"(?:\banswer\s+is\b(?!\s+not\b)|\banswer\s*:|####|\\boxed(?=\s*\{))", re.I)
"""What announces an answer; the last one in a text counts."""

PLAIN_INTEGER = re.compile(r"[:\s]*(-?\d{1,15})\s*(?:$|[.;!?](?:\s|$)|,\s+[A-Za-z])")
"""A whole number that nothing but the end of a clause follows."""

WORDS = re.compile(r"[\w\s.%/:-]+")
"""A reference answer without formulas."""

BITS = 4096
"""Largest number that is worked out, in bits."""

SECONDS = 5
"""Time that one text may take; what takes longer is unscored."""


@dataclass(frozen=True, kw_only=True)
class MathAnswer(Feature):
    r"""Labels a text by the answer it announces last ("the answer is", `####`, a box).

    Whole numbers are read directly; everything else goes through math-verify. Rational numbers are
    labelled by their exact value, so `0.5`, `1/2` and `\frac12` agree; an answer that math-verify
    holds equal to the reference answer gets the reference's label.

    Attributes:
        anywhere: Where no answer is announced, take the last number or formula of the text. Off,
            such a text is unscored: the last number of a text that was cut off is no answer.
    """

    anywhere: bool = False

    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        """Give the canonical answer of each text, `UNSCORED` where none is announced."""
        truth = self.truth(problem)
        found: dict[str, str] = {}
        for text in set(texts):
            found[text] = self._label(text, truth, problem.truth)
        return [found[text] for text in texts]

    def truth(self, problem: Problem) -> str | None:
        """Give the canonical form of the reference answer, itself where it cannot be parsed."""
        if problem.truth is None:
            return None
        label = _canonical(_announce(problem.truth))
        return problem.truth.strip() if label == UNSCORED else label

    def _label(self, text: str, truth: str | None, reference: str | None) -> str:
        matches = list(ANNOUNCED.finditer(text))
        if not matches and not self.anywhere:
            return UNSCORED
        answer = text[matches[-1].start() :] if matches else text
        label = _canonical(answer)
        if label in (UNSCORED, truth) or truth is None or reference is None:
            return label
        if _is_number(label) and _is_number(truth):
            return label
        return truth if _equal(_announce(reference), answer) else label


def _announce(reference: str) -> str:
    """Write a reference answer as a solution would announce it; formulas between dollar signs."""
    if PLAIN_INTEGER.match(reference):
        return f"#### {reference}"
    plain = f"The final answer is {reference}"
    if WORDS.fullmatch(reference) and _parse(plain):
        return plain
    return f"The final answer is ${reference.strip('$ ')}$"


@lru_cache(maxsize=100_000)
def _canonical(answer: str) -> str:
    """Give one text for all ways to write the same value; `UNSCORED` where there is none."""
    announced = ANNOUNCED.match(answer)
    plain = PLAIN_INTEGER.match(answer, announced.end() if announced else 0)
    if plain:
        return str(int(plain[1]))
    parsed = _parse(answer)
    if not parsed:
        return UNSCORED
    import sympy

    value = parsed[0]
    if not isinstance(value, sympy.Expr):
        return str(value)
    try:
        exact = _exact(value)
    except ZeroDivisionError:
        return UNSCORED
    if exact is None and value.has(sympy.zoo, sympy.nan, sympy.oo):
        return UNSCORED
    return str(value if exact is None else exact)


def _exact(value: Any) -> Fraction | None:
    """Evaluate an unevaluated formula of sympy's; None where it is no rational number of use.

    Nothing of more than `BITS` bits is ever worked out, so `10^{10^{10}}` costs nothing.

    Raises:
        ZeroDivisionError: The formula divides by zero.
    """
    import sympy

    if isinstance(value, sympy.Rational | sympy.Float):
        return Fraction(str(value))
    parts = [_exact(part) for part in value.args]
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts) or max(map(_bits, known)) > BITS:
        return None
    if isinstance(value, sympy.UnevaluatedExpr):
        return known[0]
    if isinstance(value, sympy.Add):
        return sum(known, Fraction(0))
    if isinstance(value, sympy.Mul):
        return math.prod(known, start=Fraction(1))
    if isinstance(value, sympy.Pow):
        return _power(*known)
    if isinstance(value, sympy.factorial) and known[0].denominator == 1 and 0 <= known[0] <= BITS:
        found = Fraction(math.factorial(int(known[0])))
        return found if _bits(found) <= BITS else None
    return None


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if base == 0 and exponent == 0:
        raise ZeroDivisionError
    if exponent.denominator == 2 and base >= 0:
        root = Fraction(math.isqrt(base.numerator), math.isqrt(base.denominator))
        if root**2 != base:
            return None
        base, exponent = root, exponent * 2
    if exponent.denominator != 1 or abs(exponent) * _bits(base) > BITS:
        return None
    return Fraction(base ** int(exponent))


def _bits(number: Fraction) -> int:
    return max(number.numerator.bit_length(), number.denominator.bit_length())


@lru_cache(maxsize=10_000)
def _parse(answer: str) -> tuple[Any, ...]:
    import math_verify

    return tuple(math_verify.parse(answer, parsing_timeout=SECONDS))


def _equal(reference: str, answer: str) -> bool:
    import math_verify

    gold, given = _parse(reference), _parse(answer)
    return bool(math_verify.verify(list(gold), list(given), timeout_seconds=SECONDS))


def _is_number(label: str) -> bool:
    return re.fullmatch(r"-?\d+(/\d+)?", label) is not None
