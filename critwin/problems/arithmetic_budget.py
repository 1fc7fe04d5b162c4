"""The variance budget of the careless student alone, exact: what the generator spends where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from critwin.problems.arithmetic import Outcome, Story, outcomes

Law = dict[str, float]


@dataclass(frozen=True)
class Spent:
    """What the jump of one answer's probability at one option of one branch adds to the budget.

    Attributes:
        kind: Kind of the branch.
        label: The answer whose probability jumps.
        jump: By how much, in [-1, 1].
        mass: Probability that the option is reached, times the square of the jump.
    """

    kind: str
    label: str
    jump: float
    mass: float


def student_budget(story: Story, *, temperature: float = 1.0) -> list[Spent]:
    """Give every jump of the student's answers on a story; their masses add up to 1 - sum P(a)^2.

    Between branches the student has no choice, so nothing is spent there.

    Args:
        story: The problem.
        temperature: That of a model which writes as the student does: as every branch is decided by
            one word, option probabilities become proportional to p^(1 / temperature); > 0.
    """
    found = outcomes(story)
    weight = {i: _tempered(outcome, temperature) for i, outcome in enumerate(found)}
    return _below(found, list(weight), weight, depth=0)


def _tempered(outcome: Outcome, temperature: float) -> float:
    chance = 1.0
    for choice in outcome.chain.choices:
        powers = [p ** (1 / temperature) for p in choice.branch.probabilities]
        chance *= powers[choice.taken] / sum(powers)
    return chance


def _below(
    found: Sequence[Outcome], members: list[int], weight: dict[int, float], *, depth: int
) -> list[Spent]:
    """Give the jumps at the branch that chains with the same first choices reach, and after it."""
    options: defaultdict[int, list[int]] = defaultdict(list)
    for i in members:
        choices = found[i].chain.choices
        if len(choices) > depth:
            options[choices[depth].taken].append(i)
    if not options:
        return []
    here, kind = _law(found, members, weight), found[members[0]].chain.choices[depth].branch.kind
    spent = []
    for own in options.values():
        there, reached = _law(found, own, weight), sum(weight[i] for i in own)
        for label in here:
            jump = there.get(label, 0.0) - here[label]
            spent.append(Spent(kind, label, jump, reached * jump**2))
        spent += _below(found, own, weight, depth=depth + 1)
    return spent


def _law(found: Sequence[Outcome], members: Sequence[int], weight: dict[int, float]) -> Law:
    law: defaultdict[str, float] = defaultdict(float)
    for i in members:
        law[str(found[i].chain.answer)] += weight[i]
    total = sum(law.values())
    return {label: value / total for label, value in law.items()}
