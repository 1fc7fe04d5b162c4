"""The paper's rule, with its float edge cases."""

from __future__ import annotations

import numpy as np
import pytest

from critwin.curve import GridCurve
from critwin.errors import ParameterError
from critwin.forks import Forks, fork_curve
from critwin.protocol import EveryToken, ForkProtocol, Fractions
from critwin.sampler import Path
from critwin.windows.paper_jump import PaperJump

FOUR = (0.1, 0.3, 0.5, 0.7)


def curve(
    values: list[float], *, fractions: tuple[float, ...] = FOUR, trials: int = 100
) -> GridCurve:
    """A grid curve over 100 tokens with the position that keeps nothing and the exact end."""
    position = np.array([0, *(round(100 * f) for f in fractions), 100])
    agreement = np.array([0.0, *values, 1.0])
    return GridCurve(
        original_id="a",
        label="4",
        own=True,
        estimator="grid",
        length=100,
        position=position,
        agreement=agreement,
        lower=agreement,
        upper=agreement,
        trials=np.array([trials] * (len(position) - 1) + [0]),
        unscored=np.zeros(len(position)),
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.1, 0.2, 0.8, 0.9], [(30, 50)]),
        ([0.1, 0.2, 0.7, 0.9], []),  # .7 - .2 is .49999999999999994 in floating point
        ([0.9, 0.5, 0.2, 0.9], []),  # a dip of -.4 cancels the jump of .7
        ([0.5, 0.25, 0.8, 1.0], [(30, 50)]),  # a dip of -.25 does not
        ([0.0, 0.51, 0.25, 0.9], [(10, 30), (50, 70)]),
        ([0.0, 0.5, 0.5, 1.0], []),  # not strictly above
        ([0.4, 0.1, 0.7, 0.7], []),  # .1 - .4 is -.30000000000000004, below the dip of -.3
    ],
)
def test_oracle_and_edges(values: list[float], expected: list[tuple[int, int]]) -> None:
    found = PaperJump(fractions=FOUR).find(curve(values))
    assert [(w.position_start, w.position_end) for w in found] == expected


def test_first_and_last_step_are_not_looked_at() -> None:
    # rises of .9 from nothing kept to .1 and of .8 from .9 to everything
    values = [0.9, 0.9, 0.9, 0.9]
    assert PaperJump(fractions=FOUR).find(curve(values)) == []
    assert PaperJump(fractions=FOUR).find(curve([0.0, 0.1, 0.1, 0.2])) == []


def test_threshold_of_the_first_figure() -> None:
    assert len(PaperJump(fractions=FOUR, threshold=0.1).find(curve([0.1, 0.25, 0.3, 0.3]))) == 1


def test_fractions_snap_to_the_position_that_was_run() -> None:
    # 7 tokens: fractions .1 .3 .5 .7 keep 0, 2, 3 and 4 tokens
    position = np.array([0, 2, 3, 4, 7])
    agreement = np.array([0.0, 0.1, 0.9, 0.9, 1.0])
    short = GridCurve(
        original_id="a",
        label="4",
        own=True,
        estimator="grid",
        length=7,
        position=position,
        agreement=agreement,
        lower=agreement,
        upper=agreement,
        trials=np.array([10, 10, 10, 10, 0]),
        unscored=np.zeros(5),
    )
    (window,) = PaperJump(fractions=FOUR).find(short)
    assert (window.position_start, window.position_end) == (2, 3)


def test_interval_is_joint_over_the_pairs_compared() -> None:
    (wide,) = PaperJump(fractions=FOUR).find(curve([0.1, 0.2, 0.8, 0.9], trials=25))
    (narrow,) = PaperJump(fractions=FOUR).find(curve([0.1, 0.2, 0.8, 0.9], trials=1000))
    assert wide.jump_lower < narrow.jump_lower < 0.6 < narrow.jump_upper < wide.jump_upper
    pairs_alone = PaperJump(fractions=(0.3, 0.5)).find(curve([0.1, 0.2, 0.8, 0.9], trials=25))
    assert wide.jump_lower < pairs_alone[0].jump_lower


def test_jumps_are_read_off_a_fork_curve_at_the_fractions() -> None:
    """One token of 20 decides: before it nothing is decided, after it everything is."""
    probability = np.ones(20)
    probability[9] = 0.2
    path = Path(probability)
    draws = {"position": [10] * 200, "labels": ["4"] * 10 + ["5"] * 190}
    made = fork_curve(Forks.of("a", "4", path, **draws), "4")
    (window,) = PaperJump(fractions=FOUR).find(made)
    # fractions .3 and .5 keep 6 and 10 tokens; p is .2 + .8 * .05 before token 10, then 1
    assert (window.position_start, window.position_end) == (6, 10)
    assert window.jump == pytest.approx(1 - 0.24)
    lower, upper = made.differences([2, 6, 10], [6, 10, 14], joint=True)
    assert (window.jump_lower, window.jump_upper) == (lower[1], upper[1])
    assert lower[1] < window.jump < upper[1] < 0.8
    assert PaperJump(fractions=FOUR, threshold=0.1).find(fork_curve(made.forks, "5")) == []


def test_rule_that_looks_where_the_protocol_does_not_go_is_refused() -> None:
    PaperJump(fractions=(0.3, 0.5)).check(Fractions())
    for everywhere in (EveryToken(), ForkProtocol()):
        PaperJump(fractions=(0.3, 0.4)).check(everywhere)
    with pytest.raises(ParameterError, match=r"window\.fractions.*missing: \[0\.4\]"):
        PaperJump(fractions=(0.3, 0.4)).check(Fractions())


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"threshold": 1.5}, "threshold"),
        ({"dip": 0.3}, "dip"),
        ({"fractions": (0.5,)}, "fractions"),
        ({"fractions": (0.5, 0.3)}, "fractions"),
        ({"fractions": (0.5, 1.2)}, "fractions"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], name: str) -> None:
    with pytest.raises(ParameterError, match=name):
        PaperJump(**settings)  # type: ignore[arg-type]
