"""Window rules on curves from branches: what is certain, what is not, and how often they err."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from critwin.rollouts.branches import BranchCurve, Branches, branch_curves
from critwin.window import find_all
from critwin.windows.confident_jump import ConfidentJump
from critwin.windows.paper_jump import PaperJump


def curve(rolled: int, *, undrawn: float = 0.0, value: float = 0.05, seed: int = 0) -> BranchCurve:
    """20 tokens; at the 9th the path takes the one of probability .2 that leads to A for certain.

    Other branches lead to A with probability `value` before it, and always after it; `undrawn` is
    the probability of a branch at the 9th token that has no rollouts.
    """
    rng, rows = np.random.default_rng(seed), []
    for s in range(20):
        chance = value if s <= 8 else 1.0
        path = 0.2 if s == 8 else 0.9
        others = {"b": (1 - path) * 0.7, "c": (1 - path) * 0.3}
        if s == 8 and undrawn:
            others = {"b": 0.8 - undrawn, "d": undrawn}
        for token, probability in {"x": path, **others}.items():
            hits = int(rng.binomial(rolled, chance))
            drawn = {"A": hits, "B": rolled - hits} if token in "bc" else {None: 0}
            for label, count in drawn.items():
                rows.append((s, token, probability, token == "x", label, count))
    names = ["position", "token", "probability", "is_path", "label", "count"]
    frame = pd.DataFrame(rows, columns=names).assign(trajectory_id="t", final_label="A")
    return branch_curves(Branches.of(frame))[0]


def test_a_jump_is_certified_at_its_token() -> None:
    found = find_all([curve(100)], ConfidentJump())
    assert [(w.position_start, w.position_end) for w in found.windows] == [(8, 9)]
    (window,) = found.windows
    # exactly .8 (1 - .05)
    assert window.jump_lower <= 0.76 <= window.jump_upper
    assert {v.direction: v.verdict for v in found.verdicts} == {"rise": "window", "fall": "none"}


def test_what_a_branch_without_rollouts_could_undo_is_not_certified() -> None:
    """If it leads to A, the 9th token carries .8 - .4 (.05) - .4 = .38, and 9 tokens .705."""
    made = curve(100, undrawn=0.4)
    one, nine = (float(made.differences([s], [9])[0][0]) for s in (8, 0))
    assert 0.3 < one <= 0.38
    assert 0.6 < nine <= 0.705
    found = find_all([made], ConfidentJump(max_width=1))
    assert found.windows == []
    (rise,) = [v for v in found.verdicts if v.direction == "rise"]
    assert rise.verdict == "undecided"
    assert rise.change_lower <= 0.38
    # or it leads elsewhere
    assert rise.change_upper >= 0.78


@pytest.mark.parametrize("seed", range(3))
def test_the_papers_rule_reads_the_curve_at_its_cuts(seed: int) -> None:
    found = PaperJump().find(curve(100, seed=seed))
    assert [(w.position_start, w.position_end) for w in found] == [(6, 10)]


def test_a_small_step_is_rarely_called_a_window() -> None:
    """The step at the 9th token is .8 (1 - .4) = .48: above .5 there is nothing to find."""
    runs = 60
    wrong = sum(
        bool(find_all([curve(6, value=0.4, seed=s)], ConfidentJump()).windows) for s in range(runs)
    )
    # 5 % and three standard errors of the simulation
    assert wrong <= runs * (0.05 + 3 * np.sqrt(0.05 * 0.95 / runs))
