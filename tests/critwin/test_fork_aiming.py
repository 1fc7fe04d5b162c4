"""Forks aimed at windows: evidence by brute force, the promise kept, nothing steered is counted."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from critwin.changes import AIMED_SHARE, AimedPair, Sought, Width
from critwin.fork_aiming import Task, first_look, next_look, plan_main, take_aim
from critwin.fork_allocation import Wish
from critwin.fork_blocks import Blocks
from critwin.fork_changes import fork_changes
from critwin.fork_expectation import Expectation
from critwin.fork_intervals import BOX_SHARE
from critwin.fork_prospects import Runs, prospects
from critwin.forks import Forks
from critwin.statistics import clopper_pearson
from critwin.windows.confident_jump import ConfidentJump
from experiments.detecting.aiming import aimed_forks
from experiments.detecting.draws import bare_curve
from experiments.detecting.sources import Source, planted

SOUGHT = Sought(0.2, Width(10))
RULE = ConfidentJump(threshold=0.2, max_width=10)
NAMED = {source.name: source for source in planted()}


def step(before: float, after: float, *, stay: float = 0.5) -> Source:
    """Token 11 of 30 decides: leaving there leads nowhere; a token after it is a real choice."""
    pi = np.ones(30)
    pi[10], pi[20] = before / after, stay
    leave = np.where(np.arange(30) == 20, (after - stay) / (1 - stay), 0.0)
    curve = np.concatenate([np.full(11, before), np.full(10, after), np.ones(10)])
    return Source("step", "one", pi, leave, curve)


def listed(source: Source, inside: int, after: int, rng: np.random.Generator) -> Forks:
    """Forks of both choices of a step, of which the first is on the list."""
    trials = np.zeros(30, np.int64)
    trials[10], trials[20] = inside, after
    hits = rng.binomial(trials, source.leave)
    counts = np.stack([hits, trials - hits], axis=1)
    names, blocks = ("own", "other"), Blocks.single(30)
    forks = Forks("step", "own", source.probability, names, counts, 30, blocks)
    return replace(forks, aimed=(AimedPair(10, 11, True),))


def test_the_rate_is_the_most_evidence_that_a_token_buys() -> None:
    """The least over what is no rise above the threshold, the best over splits: on a fine grid."""
    source = step(0.4, 0.8)
    cost = np.arange(30, 0, -1.0)
    runs = Runs.of(source.probability, cost, SOUGHT)
    many = np.where(source.probability < 1, 10**7, 0)  # nothing is unknown
    found = prospects(runs, many * source.leave, many, end=True, sought=SOUGHT, seed=0)
    (at,) = np.flatnonzero((found.start == 10) & (found.end == 11) & found.rise)

    def kl(p: float, q: np.ndarray) -> np.ndarray:
        terms = [x * np.log(x / y) for x, y in ((p, q), (1 - p, 1 - q)) if x > 0]
        return np.sum(terms, axis=0)

    d = np.linspace(1e-6, 1, 20_000)[:-1]
    a = (d + 0.2 / 0.5 - 0.5) / 0.5  # p_e = .5 a + .5, and .5 (p_e - d) = .2
    d, a = d[(a > 0) & (a < 1)], a[(a > 0) & (a < 1)]
    best = max(
        (share / 20 * kl(0.0, d) + (1 - share) / 10 * kl(0.6, a)).min()
        for share in np.linspace(0, 1, 401)
    )
    np.testing.assert_allclose(found.rate[at], best, rtol=0.01)


def test_a_listed_rise_has_its_own_error_and_the_rest_pay_for_all() -> None:
    """All weight on one probability: the listed end is Clopper and Pearson's, computed by hand."""
    source = step(0.4, 0.8)
    pi = source.probability.copy()
    pi[20] = 1.0  # nothing after it: p_e = 1
    forks = listed(source, 20, 0, np.random.default_rng(0))
    forks = replace(forks, probability=pi)
    lone = replace(forks, aimed=())
    aimed, plain = (
        fork_changes(bare_curve(own, "own"), Width(10), 0.2, 0.05) for own in (forks, lone)
    )
    error = 2 * AIMED_SHARE * 0.05 / (1 + BOX_SHARE)
    _, high = clopper_pearson(0, 20, level=1 - error)
    assert aimed.lower[0] == pytest.approx(0.5 * (1 - high))
    assert aimed.upper[0] >= plain.upper[0]  # a fifth of the error is left for everything else
    other = fork_changes(bare_curve(forks, "other"), Width(10), 0.2, 0.05)
    assert other.upper[0] == pytest.approx(-aimed.lower[0])  # it falls where the own label rises


def test_a_rise_of_just_the_threshold_is_seldom_certified() -> None:
    """Nothing is above it: every certificate is false. 5 % promised, 4 % of it to the list."""
    rng, many = np.random.default_rng(1), 400
    source = step(0.6, 0.8)
    false = 0
    for _ in range(many):
        curve = bare_curve(listed(source, 30, 30, rng), "own")
        false += bool(fork_changes(curve, Width(10), 0.2, 0.05).lower.max() > 0.2)
    assert false / many <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / many)
    # not for want of power: of a rise of .4 the same forks certify most
    found = [RULE.find(bare_curve(listed(step(0.4, 0.8), 30, 30, rng), "own")) for _ in range(50)]
    assert sum(map(bool, found)) > 30


@pytest.mark.parametrize("name", ["level", "drift", "dips"])
def test_where_there_is_nothing_the_whole_search_keeps_its_promise(name: str) -> None:
    """A pilot, a list by its labels, the main stage: at most 5 % are alarmed, and 3 errors."""
    rng, many, alarmed = np.random.default_rng(2), 20, 0
    for _ in range(many):
        forks, _ = aimed_forks(NAMED[name], 6000, SOUGHT, rng)
        alarmed += bool(RULE.find(bare_curve(forks, "own")))
    assert alarmed / many <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / many)


def test_windows_are_found_placed_measured_and_estimated_without_bias() -> None:
    """The true rise is .5 at token 46; estimates vary, and 4 standard errors of their mean."""
    rng, source, many = np.random.default_rng(3), NAMED["0.5 over 1"], 30
    rises, found, covered = [], 0, 0
    for _ in range(many):
        forks, tokens = aimed_forks(source, 12_000, SOUGHT, rng)
        assert tokens == pytest.approx(12_000, rel=0.1)
        curve = bare_curve(forks, "own")
        pairs = [p for p in forks.aimed if p.rise and p.start <= 45 < 46 <= p.end]
        rises += [
            curve.agreement[p.end]
            - curve.agreement[p.start]
            - (source.curve[p.end] - source.curve[p.start])
            for p in pairs
        ]
        windows = [w for w in RULE.find(curve) if w.direction == "rise"]
        found += any(w.position_start < 46 <= w.position_end for w in windows)
        covered += all(
            w.jump_lower <= source.curve[w.position_end] - source.curve[w.position_start]
            and w.jump_upper >= source.curve[w.position_end] - source.curve[w.position_start]
            and w.place_lower <= 45
            and w.place_upper >= 46
            for w in windows
        )
    assert found > many / 2
    assert covered / many >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / many)
    assert abs(np.mean(rises)) < 4 * np.std(rises) / np.sqrt(len(rises))


def test_what_is_not_on_the_list_can_still_be_found_and_excluded() -> None:
    rng = np.random.default_rng(4)
    forks = replace(listed(step(0.4, 0.8), 3000, 3000, rng), aimed=(AimedPair(20, 21, False),))
    assert [w.direction for w in RULE.find(bare_curve(forks, "own"))] == ["rise"]
    flat = replace(listed(step(0.75, 0.9), 3000, 3000, rng), aimed=(AimedPair(20, 21, True),))
    rise, _ = RULE.search(bare_curve(flat, "own")).verdicts
    assert rise.verdict == "none"


def test_the_list_is_short_disjoint_and_within_the_tokens() -> None:
    source = NAMED["rise, fall, rise"]
    left = np.arange(source.length, 0, -1.0)
    task = Task(source.probability, left, True, SOUGHT, 20_000.0, 5)
    each = np.where(source.probability < 1, 6, 0)
    hits = np.rint(each * source.leave)
    aim = take_aim(task, hits, each, spent=5000.0)
    assert aim is not None
    spans = [(p.start, p.end) for p in aim.pairs]
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert all(end - start <= 10 for start, end in spans)
    assert {(True, 20), (False, 45), (True, 75)} <= {
        (p.rise, at) for p in aim.pairs for at in (20, 45, 75) if p.start <= at < p.end
    }
    cost = aim.numbers.blocks.sums(aim.numbers.blocks.shares(source.probability) * left)
    assert cost @ aim.numbers.forks == pytest.approx(15_000, rel=0.02)
    # no run that is forked as one goes over the end of a pair
    choices = np.flatnonzero(source.probability < 1)
    of = aim.numbers.blocks.of_token[choices]
    for start, end in spans:
        inside = (choices >= start) & (choices < end)
        assert not set(of[inside].tolist()) & set(of[~inside].tolist())


def test_without_a_choice_or_a_chance_the_curve_is_the_aim() -> None:
    certain = Task(np.ones(8), np.arange(8, 0, -1.0), True, SOUGHT, 100.0, 0)
    nothing = np.zeros(8, np.int64)
    assert first_look(certain).forks.sum() == 0
    assert next_look(certain, nothing, nothing, spent=0.0, turn=0) is None
    expected = Expectation.from_path(np.ones(8))
    aim = plan_main(certain, nothing, nothing, 0.0, expected, Wish(max_tokens=100))
    assert (len(aim.pairs), aim.numbers.forks.sum()) == (0, 0)
    # a path that can change by .1 at most: all tokens are left for the curve
    pi = np.where(np.arange(8) == 3, 0.9, 1.0)
    task = replace(certain, probability=pi)
    aim = plan_main(task, nothing, nothing, 0.0, Expectation.from_path(pi), Wish(max_tokens=100))
    assert (len(aim.pairs), aim.numbers.forks.sum()) == (0, 20)
