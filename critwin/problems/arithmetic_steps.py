"""The steps that arithmetic stories are made of: each one tells, solves and writes itself.

The documented conventions, which make every question answerable in exactly one way:

- a number said of two people ("Ann and Ben have 6 coins") holds for each of them;
- "Max gives them 3 coins on Monday and Tuesday" means 3 to each, on each day;
- "they find 3 coins on Monday and Tuesday" means 3 on each day;
- "3 bags with 4 coins", said of two people, means 3 bags each and 4 coins in every bag;
- "2 times more" means 2 times as many;
- what is lent or returned is gone, what is borrowed is there; other people's things do not count.

The careless student breaks them with the probabilities below.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from critwin.problems.arithmetic_student import Cast, Pen

# The probabilities are set so that a right answer, too, can come out of a jump of agreement by more
# than .5 without a fall by more than .3 (DESIGN.md, section 8, and the rule of Li, Karan and Chen).
# Reading: .41 -> about .97. Slip: .15 + .85 * .36 = .46 -> .36 -> ("Wait") about .97.
TWO_READINGS = (0.41, 0.59)
THREE_READINGS = (0.41, 0.34, 0.25)
STRATEGIES = (0.5, 0.5)
SIGN = (0.8, 0.2)
DISTRACTOR = (0.78, 0.22)
SLIP = (0.15, 0.85)
REPAIR = (0.36, 0.64)

GAINS = ("find", "buy", "get", "win")
LOSSES = ("lose", "sell", "drop", "use")


@dataclass(frozen=True)
class Step(ABC):
    """One sentence of a story and what it does to the number of things counted so far."""

    @abstractmethod
    def sentence(self, cast: Cast, when: str) -> str:
        """Tell it, as it stands in the question; `when` is the word that opens a later event."""

    @abstractmethod
    def solve(self, total: int) -> int:
        """Give the number of things after the step under the documented conventions."""

    @abstractmethod
    def write(self, pen: Pen, cast: Cast, total: int, after: str) -> int:
        """Write the student's part for the step and give the number the student came to.

        Args:
            pen: Where the text goes.
            cast: Who and what the story is about.
            total: The number of things that the student has so far.
            after: The first word of what the student writes next.
        """

    def opening(self, cast: Cast) -> str:
        """Give the first word of what the student writes for this step."""
        return "Then"


def _together(pen: Pen, left: int, right: int) -> int:
    pen.write(", so together ")
    total = pen.reckon(left, "+", right)
    pen.write(".")
    return total


@dataclass(frozen=True)
class Two(Step):
    """Opening: two people with a number each; either may be counted first."""

    a: int
    b: int

    def sentence(self, cast: Cast, when: str) -> str:
        """Tell it."""
        return (
            f"{cast.first} has {self.a} {cast.things} and {cast.second} has {self.b} {cast.things}."
        )

    def solve(self, total: int) -> int:
        """Give the sum."""
        return self.a + self.b

    def write(self, pen: Pen, cast: Cast, total: int, after: str) -> int:
        """Write the sum in one of the two orders."""
        order = pen.decide("strategy", "We start with the ", ("first", "last"), STRATEGIES)
        pen.write(" number: ")
        left, right = (self.a, self.b) if order == 0 else (self.b, self.a)
        total = pen.reckon(left, "+", right)
        pen.write(".")
        return total


@dataclass(frozen=True)
class More(Step):
    """Opening: one person has more than the other by a difference."""

    a: int
    more: int

    def sentence(self, cast: Cast, when: str) -> str:
        """Tell it."""
        return f"{cast.first} has {self.a} {cast.things} and {cast.second} has {self.more} more."

    def solve(self, total: int) -> int:
        """Give the sum."""
        return 2 * self.a + self.more

    def write(self, pen: Pen, cast: Cast, total: int, after: str) -> int:
        """Write both calculations."""
        pen.write(f"{cast.second} has ")
        second = pen.reckon(self.a, "+", self.more)
        return _together(pen, self.a, second)


@dataclass(frozen=True)
class Fewer(Step):
    """Opening with a slip: "fewer" is said of the person with the known number."""

    a: int
    fewer: int

    def sentence(self, cast: Cast, when: str) -> str:
        """Tell it."""
        return (
            f"{cast.first} has {self.a} {cast.things}, "
            f"which is {self.fewer} fewer than {cast.second} has."
        )

    def solve(self, total: int) -> int:
        """Give the sum."""
        return 2 * self.a + self.fewer

    def write(self, pen: Pen, cast: Cast, total: int, after: str) -> int:
        """Slip into taking away, and maybe notice it."""
        context = f"For {cast.second} we "
        slipped = pen.decide("slip", context, ("add", "take away"), SLIP)
        pen.write(": ")
        second = pen.reckon(self.a, "-" if slipped else "+", self.fewer)
        pen.write(". ")
        if slipped:
            context = f"{self.a} - {self.fewer} = {second}. "
            if pen.choose("repair", context, ("Wait", "Together"), REPAIR) == 0:
                pen.write(f"Wait, {cast.second} has more, so ")
                second = pen.reckon(self.a, "+", self.fewer)
                pen.write(". ")
        pen.write("Together they have ")
        total = pen.reckon(self.a, "+", second)
        pen.write(".")
        return total


@dataclass(frozen=True)
class Pair(Step):
    """Opening with two readings: one number said of two people."""

    n: int

    def sentence(self, cast: Cast, when: str) -> str:
        """Tell it."""
        return f"{cast.first} and {cast.second} have {self.n} {cast.things}."

    def solve(self, total: int) -> int:
        """Give the number for each, twice."""
        return 2 * self.n

    def write(self, pen: Pen, cast: Cast, total: int, after: str) -> int:
        """Read it as each or as together."""
        context = f"They have {self.n} "
        reading = pen.decide("reading", context, ("each, so", "in all, so"), TWO_READINGS)
        pen.write(" ")
        total = pen.reckon(self.n, "+", self.n if reading == 0 else 0)
        pen.write(".")
        return total


@dataclass(frozen=True)
class Bags(Step):
    """Opening with three readings: bags for each or for both, things in a bag or in all."""

    bags: int
    n: int

    def sentence(self, cast: Cast, when: str) -> str:
        """Tell it."""
        return f"{cast.first} and {cast.second} have {self.bags} bags with {self.n} {cast.things}."

    def solve(self, total: int) -> int:
        """Give the number for two people with as many bags each."""
        return 2 * self.bags * self.n

    def write(self, pen: Pen, cast: Cast, total: int, after: str) -> int:
        """Read it in one of the three ways."""
        context = f"We count {self.bags} bags "
        endings = ("each", "shared", f"with {self.n} in all")
        reading = pen.decide("reading", context, endings, THREE_READINGS)
        if reading == 2:
            pen.write(".")
            return self.n
        pen.write(", so ")
        total = pen.reckon(self.bags, "*", self.n)
        if reading == 0:
            pen.write(" and ")
            total = pen.reckon(total, "+", total)
        pen.write(".")
        return total


@dataclass(frozen=True)
class Times(Step):
    """Opening with two readings: "times more" as a factor or as an addition."""

    a: int
    factor: int

    def sentence(self, cast: Cast, when: str) -> str:
        """Tell it."""
        return (
            f"{cast.first} has {self.a} {cast.things} and "
            f"{cast.second} has {self.factor} times more."
        )

    def solve(self, total: int) -> int:
        """Give the sum of the number and its multiple."""
        return self.a + self.factor * self.a

    def write(self, pen: Pen, cast: Cast, total: int, after: str) -> int:
        """Read it as that many times, or as that many times on top."""
        context = f"{cast.second} has {self.factor} times "
        reading = pen.decide("reading", context, ("as many: ", "on top: "), TWO_READINGS)
        second = pen.reckon(self.factor, "*", self.a)
        if reading == 1:
            pen.write(" and ")
            second = pen.reckon(second, "+", self.a)
        return _together(pen, self.a, second)
