"""Every known value of the theory is reproduced within its tolerance."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from critwin.curve import GridCurve
from critwin.protocol import PAPER_FRACTIONS
from critwin.samplers.markov_mixture import InContext
from critwin.samplers.markov_string import MarkovString
from critwin.windows.paper_jump import PaperJump
from tests.theorems.oracles import COMPUTED

KNOWN: dict[str, Any] = json.loads(Path(__file__).with_name("known_values.json").read_text())
SHARED = Path(__file__).parents[2].parent / "shared" / "oracles.json"
HERE = Path(os.environ.get("CRITWIN_ORACLES", SHARED))
"""Values kept beside the project, where they are there."""

WITHOUT_NUMBERS = ("O13", "O14", "O16")
"""Tested below and in test_property.py: a staircase, the paper's rule, a property test."""


@pytest.mark.parametrize("name", KNOWN)
def test_known_value(name: str) -> None:
    assert_close(COMPUTED[name](), KNOWN[name]["value"], KNOWN[name]["tolerance"])


def test_values_kept_beside_the_project() -> None:
    if not HERE.exists():
        pytest.skip(f"{HERE} is not there: the fixtures of this folder alone are tested")
    beside = json.loads(HERE.read_text())
    named = {name for name in beside if not name.startswith(WITHOUT_NUMBERS)}
    assert named == set(COMPUTED)
    for name in sorted(named):
        assert_close(COMPUTED[name](), beside[name]["value"], beside[name]["tol"])


def test_staircase_of_a_structured_output() -> None:
    """P(the whole right answer) after j of five right choices (symbol j)."""
    wanted = [0.03375, 0.0375, 0.1875, 0.375, 0.75, 1.0]
    right = [0.9, 0.2, 0.5, 0.5, 0.75]
    rows = np.zeros((7, 8))
    for j, p in enumerate(right):
        rows[j, j + 1], rows[j, 6] = p, 1 - p
    rows[5, 7] = rows[6, 7] = 1
    chain = MarkovString(
        symbols=("0", "1", "2", "3", "4", "5", "w"),
        initial=(1.0, 0, 0, 0, 0, 0, 0),
        transitions=tuple(map(tuple, rows.tolist())),
        max_new_tokens=8,
    )
    reached = [chain.last_symbol_law(tuple(range(j + 1)))[5] for j in range(6)]
    np.testing.assert_allclose(reached, wanted, atol=1e-12)


@pytest.mark.parametrize(
    ("agreement", "window"),
    [
        ((0.1, 0.2, 0.8, 0.9), True),
        ((0.1, 0.2, 0.7, 0.9), False),  # .7 - .2 is .49999999999999994
        ((0.9, 0.5, 0.2, 0.9), False),
        ((0.5, 0.25, 0.8, 1.0), True),
    ],
)
def test_the_papers_rule(agreement: tuple[float, ...], window: bool) -> None:
    values = np.array(agreement)
    curve = GridCurve(
        original_id="x",
        label="a",
        own=True,
        estimator="grid",
        length=100,
        position=np.array([10, 30, 50, 70]),
        agreement=values,
        lower=values,
        upper=values,
        trials=np.full(4, 100),
        unscored=np.zeros(4),
    )
    assert bool(PaperJump(fractions=PAPER_FRACTIONS[1:5]).find(curve)) is window


def test_delta_of_the_tasks_is_that_of_their_law() -> None:
    model = InContext(tasks=3, inputs=4, noise=0.1)
    law = model.transitions(1)[:, :4, 4:8] / 4
    for one, other in pairwise(law):
        hellinger = ((np.sqrt(one) - np.sqrt(other)) ** 2).sum()
        assert model.delta == pytest.approx(hellinger, abs=1e-12)


def assert_close(found: object, wanted: object, tolerance: float) -> None:
    if isinstance(wanted, dict):
        assert isinstance(found, dict)
        assert set(found) == set(wanted)
        for name, value in wanted.items():
            assert_close(found[name], value, tolerance)
    elif isinstance(wanted, list):
        assert isinstance(found, list)
        for one, other in zip(found, wanted, strict=True):
            assert_close(one, other, tolerance)
    elif wanted is None or isinstance(wanted, bool):
        assert found is wanted
    else:
        assert found == pytest.approx(wanted, abs=max(tolerance, 1e-13), rel=0)
