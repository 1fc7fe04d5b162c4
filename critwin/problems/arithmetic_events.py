"""The events of arithmetic stories: the steps that may follow an opening, with their branches."""

from __future__ import annotations

from dataclasses import dataclass

from critwin.problems.arithmetic_steps import (
    DISTRACTOR,
    REPAIR,
    SIGN,
    SLIP,
    STRATEGIES,
    THREE_READINGS,
    TWO_READINGS,
    Step,
)
from critwin.problems.arithmetic_student import Cast, Pen

SIGN_WORDS = {"+": "add", "-": "take away"}


def _change(pen: Pen, total: int, sign: str, n: int) -> int:
    pen.write(": ")
    total = pen.reckon(total, sign, n)
    pen.write(".")
    return total


@dataclass(frozen=True)
class Move(Step):
    """Things come or go; nothing to misread."""

    verb: str
    sign: str
    n: int

    def sentence(self, cast: Cast, when: str) -> str:
        """Tell it."""
        return f"{when} they {self.verb} {self.n} {cast.things}."

    def solve(self, total: int) -> int:
        """Add or take away."""
        return total + self.n if self.sign == "+" else total - self.n

    def write(self, pen: Pen, cast: Cast, total: int, after: str) -> int:
        """Write the calculation."""
        pen.write(f"Then they {self.verb} {self.n}, so {SIGN_WORDS[self.sign]}")
        return _change(pen, total, self.sign, self.n)


@dataclass(frozen=True)
class Loan(Step):
    """Things are lent to or borrowed from a third person; the sign may be mistaken."""

    verb: str
    sign: str
    n: int

    def sentence(self, cast: Cast, when: str) -> str:
        """Tell it."""
        toward = "from" if self.sign == "+" else "to"
        return f"{when} they {self.verb} {self.n} {cast.things} {toward} {cast.other}."

    def solve(self, total: int) -> int:
        """Add what is borrowed, take away what is lent."""
        return total + self.n if self.sign == "+" else total - self.n

    def write(self, pen: Pen, cast: Cast, total: int, after: str) -> int:
        """Take the right sign or the wrong one."""
        signs = (self.sign, "-" if self.sign == "+" else "+")
        context = f"Then they {self.verb} {self.n}, so "
        taken = pen.decide("sign", context, [SIGN_WORDS[sign] for sign in signs], SIGN)
        return _change(pen, total, signs[taken], self.n)


@dataclass(frozen=True)
class Return(Step):
    """Things are returned to a third person: first mistaken for a gain, then maybe repaired."""

    n: int

    def sentence(self, cast: Cast, when: str) -> str:
        """Tell it."""
        return f"{when} they return {self.n} {cast.things} to {cast.other}."

    def solve(self, total: int) -> int:
        """Take away."""
        return total - self.n

    def write(self, pen: Pen, cast: Cast, total: int, after: str) -> int:
        """Slip into adding, and maybe notice it."""
        context = f"Then they return {self.n}, so "
        slipped = pen.decide("slip", context, ("take away", "add"), SLIP)
        if not slipped:
            return _change(pen, total, "-", self.n)
        wrong = _change(pen, total, "+", self.n)
        context = f"{total} + {self.n} = {wrong}. "
        if pen.choose("repair", context, ("Wait", after), REPAIR) == 1:
            return wrong
        pen.write(" Wait, they give back, so take away")
        return _change(pen, total, "-", self.n)


@dataclass(frozen=True)
class Days(Step):
    """One number said of two days: on each of them or on both."""

    verb: str
    sign: str
    n: int

    def sentence(self, cast: Cast, when: str) -> str:
        """Tell it."""
        return f"{when} they {self.verb} {self.n} {cast.things} on Monday and Tuesday."

    def solve(self, total: int) -> int:
        """Add or take away twice the number."""
        return total + 2 * self.n if self.sign == "+" else total - 2 * self.n

    def write(self, pen: Pen, cast: Cast, total: int, after: str) -> int:
        """Read it as each day or as both days."""
        context = f"Then they {self.verb} {self.n} "
        reading = pen.decide("reading", context, ("each day, so ", "in all, so "), TWO_READINGS)
        n = self.n
        if reading == 0:
            n = pen.reckon(n, "+", n)
            pen.write(" and ")
        pen.write(SIGN_WORDS[self.sign])
        return _change(pen, total, self.sign, n)


@dataclass(frozen=True)
class Gift(Step):
    """One number said of two people and two days: three readings."""

    n: int

    def sentence(self, cast: Cast, when: str) -> str:
        """Tell it."""
        return f"{when} {cast.other} gives them {self.n} {cast.things} on Monday and Tuesday."

    def solve(self, total: int) -> int:
        """Add four times the number."""
        return total + 4 * self.n

    def write(self, pen: Pen, cast: Cast, total: int, after: str) -> int:
        """Read it as for each on each day, as on each day, or as in all."""
        context = f"Then they get {self.n} "
        endings = ("each per day, so ", "per day, so ", "in all, so ")
        reading = pen.decide("reading", context, endings, THREE_READINGS)
        n = self.n
        for _ in range(2 - reading):
            n = pen.reckon(n, "+", n)
            pen.write(" and ")
        pen.write("add")
        return _change(pen, total, "+", n)


@dataclass(frozen=True)
class Both(Step):
    """A gain and a loss in one sentence, which may be worked out in either order."""

    gain_verb: str
    loss_verb: str
    gain: int
    loss: int

    def sentence(self, cast: Cast, when: str) -> str:
        """Tell it."""
        return (
            f"{when} they {self.gain_verb} {self.gain} {cast.things} "
            f"and {self.loss_verb} {self.loss}."
        )

    def solve(self, total: int) -> int:
        """Add the gain and take away the loss."""
        return total + self.gain - self.loss

    def write(self, pen: Pen, cast: Cast, total: int, after: str) -> int:
        """Write it in one of the two orders."""
        endings = (f"{self.gain_verb} {self.gain}: ", f"{self.loss_verb} {self.loss}: ")
        order = pen.decide("strategy", "Then first they ", endings, STRATEGIES)
        first, second = ("+", self.gain), ("-", self.loss)
        if order == 1:
            first, second = second, first
        total = pen.reckon(total, *first)
        pen.write(" and ")
        total = pen.reckon(total, *second)
        pen.write(".")
        return total


@dataclass(frozen=True)
class Bystander(Step):
    """Someone else gets things, which do not count."""

    verb: str
    n: int

    def sentence(self, cast: Cast, when: str) -> str:
        """Tell it."""
        return f"{when} {cast.other} {self.verb} {self.n} {cast.things}."

    def solve(self, total: int) -> int:
        """Change nothing."""
        return total

    def opening(self, cast: Cast) -> str:
        """Start with the bystander's name."""
        return cast.other

    def write(self, pen: Pen, cast: Cast, total: int, after: str) -> int:
        """Leave the bystander out, or count them in."""
        endings = ("does not count.", "counts too, so add")
        taken = pen.decide("distractor", f"{cast.other} ", endings, DISTRACTOR)
        return _change(pen, total, "+", self.n) if taken else total
