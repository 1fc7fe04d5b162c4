"""l*(c): the shortest stretch that carries a rise above c, with its interval."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from critwin.errors import ParameterError
from critwin.protocol import Fractions
from critwin.window import Verdict
from critwin.windows.scale import ShortestRise
from tests.critwin.windows.known_curves import Known, grid_of, ramp

RNG = np.random.default_rng
FOUR = Known.of(0.1 + 0.9 * ramp(50, 20, 6))  # .15 a token: 4 tokens carry more than .5
FAR = Known.of(np.linspace(0.3, 1, 51))  # 36 tokens of .014 carry more than .5


def judged(known: Known, kind: str, count: int, seed: int) -> Verdict:
    (verdict,) = ShortestRise().search(getattr(known, kind)(count, RNG(seed))).verdicts
    return verdict


@pytest.mark.parametrize("kind", ["forks", "grid"])
@pytest.mark.parametrize(("known", "true"), [(FOUR, 4), (FAR, 36)])
def test_the_interval_covers_the_scale(kind: str, known: Known, true: int) -> None:
    """20 runs: at least .95 less 3 standard errors."""
    good = 0
    for seed in range(20):
        scale = judged(known, kind, 40, seed).scale
        assert scale is not None
        tokens = scale["tokens"]
        assert tokens.lower is not None
        assert tokens.lower <= (tokens.estimate or math.inf)
        good += tokens.lower <= true <= (tokens.upper or math.inf)
        share = scale["fraction"]
        assert share.lower == tokens.lower / 50
    assert good / 20 >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 20)


def test_many_draws_pin_it_down() -> None:
    found = ShortestRise().search(FOUR.forks(5000, RNG(0)))
    (verdict,) = found.verdicts
    assert verdict.scale is not None
    tokens, nats = verdict.scale["tokens"], verdict.scale["nats"]
    assert (tokens.lower, tokens.estimate, tokens.upper) == (4, 4, 4)
    (window,) = found.windows
    assert window.rule == "scale"
    assert window.position_end - window.position_start == 4
    surprisal = -np.log(FOUR.probability)
    gone = 1 - np.exp(-np.convolve(surprisal, np.ones(4), "valid"))
    assert nats.upper is not None
    assert nats.lower is not None
    assert nats.lower >= -math.log(0.5)  # equation (3)
    assert gone.max() > 0.5


def test_no_rise_at_all_is_infinite() -> None:
    known = Known.of(0.8 + 0.2 * ramp(50, 20, 6))
    verdict = judged(known, "forks", 300, 1)
    assert verdict.scale is not None
    assert verdict.scale["tokens"].estimate is None
    assert verdict.scale["tokens"].lower is None
    assert verdict.verdict == "none"


def test_between_the_positions_of_a_grid_it_may_be_shorter() -> None:
    curve = grid_of([0, 10, 20, 30, 40], [0.1, 0.1, 0.9, 0.9, 1.0], 500)
    (verdict,) = ShortestRise().search(curve).verdicts
    assert verdict.scale is not None
    tokens = verdict.scale["tokens"]
    assert (tokens.lower, tokens.estimate, tokens.upper) == (1, 10, 10)
    assert "nats" not in verdict.scale
    ShortestRise().check(Fractions())
    with pytest.raises(ParameterError, match="threshold"):
        ShortestRise(threshold=1.0)


def test_between_the_positions_of_a_known_path_it_takes_as_much_surprisal_as_any_rise() -> None:
    curve = FOUR.grid(400, np.random.default_rng(4), step=5)
    known = replace(curve, nats=FOUR.nats[curve.position])
    (verdict,) = ShortestRise().search(known).verdicts
    nats = verdict.scale["nats"]
    assert nats.lower == pytest.approx(math.log(2))
    true = min(
        FOUR.nats[e] - FOUR.nats[s]
        for s in range(51)
        for e in range(s, 51)
        if FOUR.curve[e] - FOUR.curve[s] > 0.5
    )
    assert nats.lower <= true <= nats.upper
    assert ShortestRise().search(curve).verdicts[0].scale.keys() == {"tokens", "fraction"}


def test_a_rise_by_the_threshold_is_not_above_it() -> None:
    """.3 less .1 and .7 less .5 are .2, whatever floating point says of sums."""
    for values in ([0.1, 0.1, 0.3, 0.3, 0.3], [0.5, 0.5, 0.5, 0.7, 0.7]):
        curve = grid_of(np.arange(6), [*values, values[-1]], 10)
        (verdict,) = ShortestRise(threshold=0.2).search(curve).verdicts
        assert verdict.scale["tokens"].estimate is None
        assert verdict.change == 0.2
    steps = grid_of(np.arange(7), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0], 10)
    assert ShortestRise(threshold=0.2).search(steps).verdicts[0].change == 1.0
