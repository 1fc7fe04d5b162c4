"""Word problems with a careless student's chain of thought, whose branches are planted and known.

A story is an opening and a few events told of two people ("they"); what each sentence means is laid
down in `arithmetic_steps`. The student writes one sentence for each step and ends in "The answer is
42." The student's law is known exactly: `outcomes` lists every chain with its probability.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import cast, get_args

from critwin.corpus import Split
from critwin.errors import ParameterError
from critwin.problem import PlantedBranch, Problem, ProblemSet
from critwin.problems.arithmetic_events import (
    Both,
    Bystander,
    Days,
    Gift,
    Loan,
    Move,
    Return,
)
from critwin.problems.arithmetic_steps import (
    GAINS,
    LOSSES,
    Bags,
    Fewer,
    More,
    Pair,
    Step,
    Times,
    Two,
)
from critwin.problems.arithmetic_student import (
    NAMES,
    THINGS,
    Cast,
    Chain,
    Chooser,
    Pen,
    random_chooser,
)

LARGEST = 99
"""No number in a problem or in any of its chains exceeds it: two digits."""

# Share of stories with a branch that is hard to get right, and, of those, with two of them.
HARD = 0.36
TWO_HARD = 0.06
# Share of the other stories with a branch that is only sometimes taken wrong (distractor, sign).
MILD = 0.30
# Share of the hard branches that stand in the opening; the others stand in a later step.
HARD_OPENING = 0.45
WHEN = ("Then", "Later", "At last")


@dataclass(frozen=True)
class Story:
    """A word problem by its structure.

    Attributes:
        people: Who and what it is about.
        steps: The opening and the events, in the order told.
    """

    people: Cast
    steps: tuple[Step, ...]

    @property
    def question(self) -> str:
        """The problem as it is read."""
        told = [
            step.sentence(self.people, WHEN[max(index - 1, 0)])
            for index, step in enumerate(self.steps)
        ]
        told.append(f"How many {self.people.things} do they have now?")
        return " ".join(told)

    @property
    def answer(self) -> int:
        """The right answer under the documented conventions."""
        total = 0
        for step in self.steps:
            total = step.solve(total)
        return total

    @property
    def split(self) -> Split:
        """The split that the story belongs to, decided by its structure and numbers alone.

        Names, things and verbs do not count, so no test problem is a training problem retold.
        """
        content = [
            [type(step).__name__, *(v for k, v in sorted(asdict(step).items()) if "verb" not in k)]
            for step in self.steps
        ]
        digest = hashlib.sha256(json.dumps(content).encode()).digest()
        bucket = int.from_bytes(digest[:4], "big") % 10
        return "test" if bucket == 0 else "validation" if bucket == 1 else "train"


@dataclass(frozen=True)
class Outcome:
    """One chain that the student may write, with its exact probability."""

    chain: Chain
    probability: float


def write_chain(story: Story, chooser: Chooser) -> Chain:
    """Write the student's chain of thought for a story.

    Args:
        story: The problem.
        chooser: Decides each branch; `random_chooser` draws as the student does.

    Returns:
        The text, the answer it came to and the choices taken.
    """
    pen = Pen(chooser)
    pen.write(f"Let us count the {story.people.things}. ")
    openings = [step.opening(story.people) for step in story.steps[1:]] + ["The"]
    total = 0
    for index, (step, after) in enumerate(zip(story.steps, openings, strict=True)):
        pen.step = index
        total = step.write(pen, story.people, total, after)
        pen.write(" ")
    pen.write(f"The answer is {total}.")
    return pen.chain(total)


def outcomes(story: Story) -> list[Outcome]:
    """List every chain that the student may write for a story; the probabilities add up to 1."""
    found: list[Outcome] = []
    pending: list[tuple[int, ...]] = [()]
    while pending:
        forced = pending.pop()
        taken: list[int] = []
        weights: list[float] = []

        def choose(
            probabilities: Sequence[float],
            forced: tuple[int, ...] = forced,
            taken: list[int] = taken,
            weights: list[float] = weights,
        ) -> int:
            at = len(taken)
            option = forced[at] if at < len(forced) else 0
            if at >= len(forced):
                pending.extend((*taken, other) for other in range(1, len(probabilities)))
            taken.append(option)
            weights.append(probabilities[option])
            return option

        chain = write_chain(story, choose)
        probability = 1.0
        for weight in weights:
            probability *= weight
        found.append(Outcome(chain, probability))
    return found


def planted_branches(found: Sequence[Outcome]) -> tuple[PlantedBranch, ...]:
    """Give every branch that some chain reaches, once each, in the order of the steps."""
    placed: dict[PlantedBranch, tuple[int, int]] = {}
    for outcome in found:
        for order, choice in enumerate(outcome.chain.choices):
            placed.setdefault(choice.branch, (choice.step, order))
    return tuple(sorted(placed, key=lambda branch: placed[branch]))


def well_posed(found: Sequence[Outcome]) -> bool:
    """Tell whether numbers stay in 0..99 and different errors lead to different answers."""
    answers: dict[frozenset[tuple[int, int]], int] = {}
    for outcome in found:
        chain = outcome.chain
        if not all(0 <= number <= LARGEST for number in chain.numbers):
            return False
        answers[chain.errors] = chain.answer
    return len(set(answers.values())) == len(answers)


def draw_story(rng: random.Random, *, split: Split) -> tuple[Story, list[Outcome]]:
    """Draw a well-posed story of a split, with everything the student may write for it."""
    while True:
        story = _draw_any(rng)
        branching = [type(step) for step in story.steps if not isinstance(step, Move)]
        # Two steps of a kind could share the text of a branch, which then could not be located.
        if story.split != split or len(set(branching)) < len(branching):
            continue
        found = outcomes(story)
        if well_posed(found):
            return story, found


def draw_sample(rng: random.Random, *, split: Split) -> tuple[Story, Chain]:
    """Draw a story of a split and one chain that the student writes for it."""
    story, _ = draw_story(rng, split=split)
    return story, write_chain(story, random_chooser(rng))


def _draw_any(rng: random.Random) -> Story:
    first, second, other = rng.sample(NAMES, 3)
    people = Cast(first, second, other, rng.choice(THINGS))
    kinds: list[str] = []
    if rng.random() < HARD:
        n_hard = 2 if rng.random() < TWO_HARD else 1
        hard_opening = rng.random() < HARD_OPENING
        kinds = ["hard"] * (n_hard - hard_opening) + ["clean"] * (1 + (rng.random() < 0.3))
    else:
        hard_opening = False
        kinds = ["clean"] * (1 + (rng.random() < 0.7))
        if rng.random() < MILD:
            kinds[0] = "mild"
    rng.shuffle(kinds)
    opening = _draw_hard_opening(rng) if hard_opening else _draw_clean_opening(rng)
    draw = {"hard": _draw_hard_event, "mild": _draw_mild_event, "clean": _draw_clean_event}
    return Story(people, (opening, *(draw[kind](rng) for kind in kinds[: len(WHEN)])))


def _draw_clean_opening(rng: random.Random) -> Step:
    if rng.random() < 0.6:
        return Two(rng.randint(3, 29), rng.randint(2, 9))
    return More(rng.randint(2, 15), rng.randint(2, 9))


def _draw_hard_opening(rng: random.Random) -> Step:
    kind = rng.randrange(4)
    if kind == 0:
        return Fewer(rng.randint(4, 19), rng.randint(2, 9))
    if kind == 1:
        return Pair(rng.randint(4, 29))
    if kind == 2:
        return Bags(rng.randint(2, 4), rng.randint(2, 9))
    return Times(rng.randint(2, 9), rng.randint(2, 4))


def _draw_move(rng: random.Random) -> tuple[str, str]:
    sign = rng.choice("+-")
    return rng.choice(GAINS if sign == "+" else LOSSES), sign


def _draw_clean_event(rng: random.Random) -> Step:
    if rng.random() < 0.7:
        return Move(*_draw_move(rng), rng.randint(2, 9))
    return Both(rng.choice(GAINS), rng.choice(LOSSES), rng.randint(2, 9), rng.randint(2, 9))


def _draw_mild_event(rng: random.Random) -> Step:
    if rng.random() < 0.5:
        verb, sign = rng.choice((("lend", "-"), ("borrow", "+")))
        return Loan(verb, sign, rng.randint(2, 9))
    return Bystander(rng.choice(("finds", "has", "buys")), rng.randint(2, 9))


def _draw_hard_event(rng: random.Random) -> Step:
    kind = rng.randrange(3)
    if kind == 0:
        return Return(rng.randint(2, 9))
    if kind == 1:
        return Days(*_draw_move(rng), rng.randint(2, 9))
    return Gift(rng.randint(2, 9))


@dataclass(frozen=True)
class ArithmeticProblems(ProblemSet):
    """Generated word problems on which a careless student's branches are known.

    Attributes:
        n_problems: How many problems, at least 1; a smaller set is the beginning of a larger one.
        split: `train`, `validation` or `test`; no problem belongs to two of them.
        seed: Which problems, not negative.
    """

    n_problems: int = 30
    split: str = "test"
    seed: int = 0

    licence = "Apache-2.0"  # that of this project

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            ParameterError: One of them is not allowed.
        """
        if not isinstance(self.n_problems, int) or self.n_problems < 1:
            raise ParameterError("n_problems", self.n_problems, "an integer, at least 1")
        if self.split not in get_args(Split):
            raise ParameterError("split", self.split, ", ".join(get_args(Split)))
        if not isinstance(self.seed, int) or self.seed < 0:
            raise ParameterError("seed", self.seed, "an integer, at least 0")

    def stories(self) -> list[Story]:
        """Give the structures of the problems, all different, in the order of `load`."""
        rng = random.Random(f"critwin arithmetic {self.split} {self.seed}")
        found: dict[str, Story] = {}
        while len(found) < self.n_problems:
            story, _ = draw_story(rng, split=cast(Split, self.split))
            found.setdefault(story.question, story)
        return list(found.values())

    def load(self) -> list[Problem]:
        """Give the problems with their right answers and planted branches."""
        return [
            Problem(
                problem_id=f"arithmetic-{self.split}-{self.seed}-{index:05d}",
                question=story.question,
                truth=str(story.answer),
                branches=planted_branches(outcomes(story)),
            )
            for index, story in enumerate(self.stories())
        ]

    def fingerprint(self) -> str:
        """Give the hex SHA-256 of the questions, answers and branches."""
        content = [asdict(problem) for problem in self.load()]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
