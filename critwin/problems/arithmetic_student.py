"""The careless student's pen: writes a chain of thought and remembers every choice it took."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from critwin.problem import PlantedBranch

Chooser = Callable[[Sequence[float]], int]
"""Takes the probabilities of the options and gives the index of the one to take."""

NAMES = ("Ann", "Ben", "Tom", "Eva", "Max", "Lea")
THINGS = ("coins", "apples", "books", "cards", "pens", "cups", "stamps", "balls")


def random_chooser(rng: random.Random) -> Chooser:
    """Return a chooser that draws from the probabilities, as the student does."""

    def choose(probabilities: Sequence[float]) -> int:
        return rng.choices(range(len(probabilities)), weights=probabilities)[0]

    return choose


@dataclass(frozen=True)
class Cast:
    """Who and what a story is about.

    Attributes:
        first: One of the two people whose things are counted.
        second: The other one.
        other: A third person, whose things do not count.
        things: What is counted, a plural.
    """

    first: str
    second: str
    other: str
    things: str


@dataclass(frozen=True)
class Choice:
    """One branch that was reached and the option that was taken there.

    Attributes:
        step: Index of the story's step that the branch belongs to.
        branch: The branch; its option 0 leads to the right answer, as do all options of a strategy.
        taken: Index of the option taken.
    """

    step: int
    branch: PlantedBranch
    taken: int

    @property
    def wrong(self) -> bool:
        """Whether this choice alone leads to a wrong answer. A slip does if it is not repaired."""
        return self.taken > 0 and self.branch.kind not in ("strategy", "slip")


@dataclass(frozen=True)
class Chain:
    """A written chain of thought.

    Attributes:
        text: What the student wrote.
        answer: The number in its last sentence.
        choices: Every branch reached, in the order of the text.
        numbers: Every result that was calculated, in the order of the text.
    """

    text: str
    answer: int
    choices: tuple[Choice, ...]
    numbers: tuple[int, ...]

    @property
    def errors(self) -> frozenset[tuple[int, int]]:
        """The choices that spoil the answer, as (step, option taken)."""
        return frozenset((choice.step, choice.taken) for choice in self.choices if choice.wrong)


class Pen:
    """Collects the student's text; asks a chooser at every branch.

    Attributes:
        step: Index of the step being written; the story moves it on.
    """

    def __init__(self, chooser: Chooser) -> None:
        """Start an empty sheet whose branches are decided by `chooser`."""
        self.step = 0
        self._chooser = chooser
        self._parts: list[str] = []
        self._choices: list[Choice] = []
        self._numbers: list[int] = []

    def write(self, text: str) -> None:
        """Put `text` down as it stands."""
        self._parts.append(text)

    def reckon(self, left: int, sign: str, right: int) -> int:
        """Write one calculation, such as `12 + 3 = 15`, and give its result."""
        if sign == "+":
            result = left + right
        elif sign == "-":
            result = left - right
        else:
            result = left * right
        self._parts.append(f"{left} {sign} {right} = {result}")
        self._numbers.append(result)
        return result

    def choose(
        self, kind: str, context: str, endings: Sequence[str], probabilities: Sequence[float]
    ) -> int:
        """Take one of the endings, without writing anything.

        Args:
            kind: Kind of the branch.
            context: Words before the choice that make it findable in the text.
            endings: How the text goes on, option 0 first; all but the words that are shared differ.
            probabilities: Chance of each ending.

        Returns:
            Index of the ending taken.
        """
        branch = PlantedBranch(kind, tuple(context + e for e in endings), tuple(probabilities))
        taken = self._chooser(probabilities)
        self._choices.append(Choice(self.step, branch, taken))
        return taken

    def decide(
        self, kind: str, context: str, endings: Sequence[str], probabilities: Sequence[float]
    ) -> int:
        """Take one of the endings and write it after `context`; arguments as in `choose`."""
        taken = self.choose(kind, context, endings, probabilities)
        self._parts.append(context + endings[taken])
        return taken

    def chain(self, answer: int) -> Chain:
        """Return what was written so far, with the answer it came to."""
        text = "".join(self._parts)
        return Chain(text, answer, tuple(self._choices), tuple(self._numbers))
