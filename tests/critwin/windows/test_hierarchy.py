"""Steps between plateaus, and which labels are alive on each."""

from __future__ import annotations

import math

import numpy as np
import pytest

from critwin.curve import MeasuredCurve
from critwin.errors import ParameterError
from critwin.fork_blocks import Blocks
from critwin.forks import Forks
from critwin.protocol import EveryToken
from critwin.windows.hierarchy import Hierarchy
from tests.critwin.windows.known_curves import Known, bare, nothing

RNG = np.random.default_rng


def choosing(count: int, rng: np.random.Generator) -> list[MeasuredCurve]:
    """Four labels, two choices: token 20 leaves NN and NY of four, token 40 leaves NN."""
    labels = ("NN", "NY", "YN", "YY")
    probability = np.ones(60)
    probability[[19, 39]] = 0.5
    counts = np.zeros((60, 4), dtype=np.int64)
    counts[19] = rng.multinomial(count, [0, 0, 0.5, 0.5])
    counts[39] = [0, count, 0, 0]
    forks = Forks("x", "NN", probability, labels, counts, 60, Blocks.single(60))
    return [bare(forks, label) for label in labels]


def test_two_choices_are_two_steps() -> None:
    found = Hierarchy().judge(choosing(200, RNG(0))).windows
    assert [(w.position_start, w.position_end) for w in found] == [(19, 20), (39, 40)]
    first, second = found
    assert set(first.alive_before or ()) == {"NN", "NY", "YN", "YY"}
    assert first.alive_after == second.alive_before
    assert set(first.alive_after or ()) == {"NN", "NY"}
    assert second.alive_after == ("NN",)
    # its own label tells where it can: .25 to .5, then to 1
    assert [(w.label, w.direction) for w in found] == [("NN", "rise"), ("NN", "rise")]
    assert [round(w.jump, 2) for w in found] == [0.25, 0.5]


def test_a_step_between_other_labels_is_told_by_them() -> None:
    """Token 20 rules YN out: the own label does not change."""
    probability = np.ones(60)
    probability[[19, 39]] = [0.4, 0.4]
    counts = np.zeros((60, 3), dtype=np.int64)
    counts[19], counts[39] = [160, 40, 200], [0, 400, 0]
    forks = Forks("x", "NN", probability, ("NN", "NY", "YN"), counts, 60, Blocks.single(60))
    found = Hierarchy().judge([bare(forks, label) for label in forks.labels]).windows
    assert (found[0].position_start, found[0].direction) == (
        19,
        "fall" if found[0].label == "YN" else "rise",
    )
    assert found[0].label != "NN"
    assert "YN" not in (found[0].alive_after or ())
    assert found[1].label == "NN"


@pytest.mark.parametrize("name", list(nothing()))
def test_false_alarms(name: str) -> None:
    """At most 5 % of originals: of 30 runs and two labels, and 3 standard errors."""
    known, rng, fired = Known.of(nothing()[name]), RNG(1), 0
    for _ in range(30):
        own = known.forks(25, rng)
        fired += bool(Hierarchy().judge([own, bare(own.forks, "b")]).windows)
    assert fired / 30 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 30)


def test_checks() -> None:
    with pytest.raises(ParameterError, match="floor"):
        Hierarchy(floor=0)
    with pytest.raises(ParameterError, match=r"window\.unit"):
        Hierarchy(unit="nats", max_width=2).check(EveryToken())
    assert Hierarchy().judge([]).windows == []
