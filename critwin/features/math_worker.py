"""Reads and compares answers with math-verify: the process that `math_pool` starts and may kill.

    python -m critwin.features.math_worker

One JSON list per line in, one JSON value per line out: `["read", answer, reference]` gives
`[label, equal]`, `["equal", a, b]` gives true or false; null says that it took too long or cannot
be worked out.
"""

from __future__ import annotations

import json
import logging
import math
import resource
import signal
import sys
from fractions import Fraction
from functools import lru_cache
from typing import IO, Any

BITS = 4096
"""Largest number that is worked out, in bits."""

OPERATIONS = 60
"""Longest formula that is brought into a normal form, in operations."""

EXPONENT = 20
"""Largest exponent that is multiplied out."""

OTHERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that are meant for the run: SLURM sends them to every process of a job. An answer would
be unscored because of them; the process ends with its input."""

SECONDS = 5
"""Processor time that one request may take."""

MEMORY = 4 << 30
"""Address space of the process, in bytes."""

UNWORKABLE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What sympy raises about formulas that make no sense to it."""


class Late(BaseException):
    """The time of a request is over; math-verify catches every other exception and says unequal."""


def main() -> None:
    """Answer requests until there are none."""
    for number in OTHERS:
        signal.signal(number, signal.SIG_IGN)
    replies, sys.stdout = sys.stdout, sys.stderr
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    signal.signal(signal.SIGPROF, _ring)
    import math_verify  # noqa: F401  the first import takes seconds, which count for no request

    _reply(replies, "ready")
    for line in sys.stdin:
        _reply(replies, answer_within(json.loads(line), SECONDS))


def answer_within(request: list[Any], seconds: float) -> object:
    """Give the reply to a request; None where it took more processor time, or makes no sense."""
    rung = False

    def ring(number: int, frame: object) -> None:
        nonlocal rung
        rung = True
        raise Late

    signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        kind, *arguments = request
        found = read(*arguments) if kind == "read" else equal(*arguments)
    except (Late, *UNWORKABLE):
        return None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None if rung else found


def _ring(number: int, frame: object) -> None:
    raise Late


def _reply(replies: IO[str], value: object) -> None:
    replies.write(json.dumps(value) + "\n")
    replies.flush()


def read(answer: str, reference: str | None) -> tuple[str | None, bool | None]:
    """Give the canonical form of an announced answer, and whether it equals a reference.

    Returns:
        One text for all ways to write the same value, None where there is none; and whether
        math-verify holds it equal, None without a reference or without a value.
    """
    label = canonical(answer)
    return label, None if label is None or reference is None else equal(reference, answer)


def equal(reference: str, answer: str) -> bool:
    """Tell whether math-verify holds an announced answer equal to an announced reference."""
    import math_verify

    gold, given = parse(reference), parse(answer)
    return bool(
        math_verify.verify(
            list(gold), list(given), timeout_seconds=None, allow_set_relation_comp=True
        )
    )


@lru_cache(maxsize=10_000)
def parse(answer: str) -> tuple[Any, ...]:
    """Give what math-verify reads, best reading first."""
    import math_verify

    return tuple(math_verify.parse(answer, parsing_timeout=None))


def canonical(answer: str) -> str | None:
    """Give one text for all ways to write the same value; None where there is none.

    Raises:
        ArithmeticError, ValueError, ...: The formula makes no sense (`UNWORKABLE`).
    """
    import sympy

    parsed = parse(answer)
    if not parsed:
        return None
    value = parsed[0]
    if not isinstance(value, sympy.Basic | sympy.MatrixBase):
        return str(value)
    simple = _simple(value)
    if isinstance(simple, sympy.Expr) and simple.has(sympy.zoo, sympy.nan, sympy.oo):
        return None
    return str(simple)


def _simple(value: Any) -> Any:
    """Give a formula's normal form, parts of sets, tuples and matrices too."""
    import sympy

    if isinstance(value, sympy.MatrixBase):
        return value.applyfunc(_simple)
    if not isinstance(value, sympy.Expr):
        if not value.args or not all(isinstance(a, sympy.Basic) for a in value.args):
            return value
        try:
            return value.func(*(_simple(part) for part in value.args))
        except (ArithmeticError, AttributeError, TypeError, ValueError):
            return value
    exact = _exact(value)
    if exact is not None:
        return sympy.Rational(exact.numerator, exact.denominator)
    return _normal(value)


def _normal(value: Any) -> Any:
    """Give the normal form of a formula that is no rational number; itself where it is too big."""
    import sympy

    if value.count_ops() > OPERATIONS or not _tame(value):
        return value
    built = _built(value)
    symbols = built.free_symbols
    if symbols and built.is_rational_function(*symbols):
        return sympy.expand(sympy.cancel(sympy.together(built)))
    return sympy.expand(built)


def _tame(value: Any) -> bool:
    """Tell whether nothing in a formula grows when it is worked out."""
    import sympy

    return not value.has(sympy.factorial, sympy.Integral, sympy.Derivative, sympy.Sum) and all(
        _small_exponent(power.exp) for power in value.atoms(sympy.Pow)
    )


def _small_exponent(exponent: Any) -> bool:
    number = _exact(exponent)
    return number is None or abs(number) <= EXPONENT


def _built(value: Any) -> Any:
    """Build a formula anew, so that sympy evaluates what math-verify left as it was written."""
    import sympy

    if isinstance(value, sympy.UnevaluatedExpr):
        return _built(value.args[0])
    if isinstance(value, sympy.Float):
        return sympy.Rational(str(value))
    return value.func(*map(_built, value.args)) if value.args else value


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


if __name__ == "__main__":
    main()
