"""What a problem is and what every problem set gives: the contract of the `dataset` group."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import pyarrow as pa

from critwin.records import PROBLEMS

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Names of options, in their order."""


@dataclass(frozen=True)
class PlantedBranch:
    """A place where the author of a solution is known to choose between several continuations.

    Attributes:
        kind: What is chosen there, for example `reading`, `strategy` or `repair`.
        options: The texts that may stand there, at least two, all different. They may share a first
            part (the words before the choice); none is the beginning of another one.
        probabilities: Chance of each option given that the place is reached; they add up to 1.
    """

    kind: str
    options: tuple[str, ...]
    probabilities: tuple[float, ...]

    def locate(self, text: str) -> tuple[int, int] | None:
        """Find the choice in `text`: the characters [start, end) of the word that decides it.

        Returns:
            Span of the first word at which the option that stands in `text` parts from at least one
            other option; None when no option stands there as whole words. Where several stand in
            `text`, the earliest counts.
        """
        found = [
            (match.start(), option)
            for option in self.options
            if (match := re.search(_whole_words(option), text))
        ]
        if not found:
            return None
        # A repaired slip holds two options one after the other: the first one is what was taken.
        begin, option = min(found)
        start = begin + min(
            shared_prefix(option, other) for other in self.options if other != option
        )
        while start > begin and not text[start - 1].isspace():
            start -= 1
        end = start
        while end < len(text) and not text[end].isspace():
            end += 1
        return start, end


def _whole_words(option: str) -> str:
    """Give a pattern that does not find `has 1` in `has 12`."""
    before = r"(?<!\w)" if option[:1].isalnum() else ""
    after = r"(?!\w)" if option[-1:].isalnum() else ""
    return before + re.escape(option) + after


def shared_prefix(a: str, b: str) -> int:
    """Give the number of first characters that two texts share."""
    return next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )


@dataclass(frozen=True)
class Problem:
    """One question with its reference answer.

    Attributes:
        problem_id: Name that stays the same between runs and machines.
        question: The question as a person would read it, without any prompt around it.
        truth: The reference answer, canonical text; the letter of the right option where there
            are options; None where there is none.
        branches: Branches planted by a generator, for checking measured windows; else empty.
        options: What may be chosen from, without letters: A is the first one. Empty for none; an
            empty text is an option whose words are not known.
        category: Subject or kind, as the problem set has it; None where it has none.
        system: System message that belongs to this problem, before that of the prompt; else None.
    """

    problem_id: str
    question: str
    truth: str | None
    branches: tuple[PlantedBranch, ...] = field(default=())
    options: tuple[str, ...] = ()
    category: str | None = None
    system: str | None = None


def problems_table(problems: Sequence[Problem]) -> pa.Table:
    """Put problems into the problems table, in their order."""
    return pa.Table.from_pylist([asdict(problem) for problem in problems], schema=PROBLEMS)


def read_problems(table: pa.Table) -> list[Problem]:
    """Turn the problems table back into problems."""
    return [
        Problem(
            problem_id=row["problem_id"],
            question=row["question"],
            truth=row["truth"],
            branches=tuple(
                PlantedBranch(
                    branch["kind"], tuple(branch["options"]), tuple(branch["probabilities"])
                )
                for branch in row["branches"]
            ),
            # runs of earlier versions have no such columns
            options=tuple(row.get("options") or ()),
            category=row.get("category"),
            system=row.get("system"),
        )
        for row in table.to_pylist()
    ]


class ProblemSet(ABC):
    """A source of problems. Subclasses are frozen dataclasses with cheap constructors."""

    licence: str = "unknown"
    """Licence of the problems, as their source names it; no part of a run's identity."""

    @abstractmethod
    def load(self) -> list[Problem]:
        """Give the problems, in an order that depends on the parameters alone.

        Raises:
            ProblemError: The source is missing, empty or malformed; the message names file, line.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Give the hex SHA-256 of the content that the problems are made from."""
