"""The generator's own budget: exact sums, temperature, and kinds that decide nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from critwin.problems.arithmetic import ArithmeticProblems, outcomes
from critwin.problems.arithmetic_budget import student_budget

STORIES = ArithmeticProblems(n_problems=60).stories()


def test_masses_add_up_to_the_uncertainty_of_the_answer() -> None:
    kinds: Counter[str] = Counter()
    for story in STORIES:
        law: Counter[int] = Counter()
        for outcome in outcomes(story):
            law[outcome.chain.answer] += outcome.probability
        spent = student_budget(story)
        assert sum(s.mass for s in spent) == pytest.approx(1 - sum(p**2 for p in law.values()))
        for s in spent:
            kinds[s.kind] += s.mass
    assert kinds["strategy"] == pytest.approx(0, abs=1e-12)  # either order gives the same answer
    assert all(kinds[kind] > 0 for kind in ("reading", "repair", "slip", "sign", "distractor"))


def test_a_single_reading_by_hand() -> None:
    story = next(
        s
        for s in STORIES
        if {c.branch.kind for o in outcomes(s) for c in o.chain.choices} == {"reading"}
        and len(outcomes(s)) == 2
    )
    jumps = {(s.label, round(s.jump, 9)): s.mass for s in student_budget(story)}
    right = str(story.answer)
    assert jumps[right, 0.59] == pytest.approx(0.41 * 0.59**2)
    assert jumps[right, -0.41] == pytest.approx(0.59 * 0.41**2)
    cold = {round(s.jump, 9) for s in student_budget(story, temperature=0.5) if s.label == right}
    p = 0.41**2 / (0.41**2 + 0.59**2)
    assert cold == {round(1 - p, 9), round(-p, 9)}
