"""Every forking sampler is held to what paths and forks promise; see critwin/sampler.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from critwin.generation import Generation, Prefix
from critwin.prompt import Prompt
from critwin.sampler import ForkingSampler
from critwin.samplers.markov_string import MarkovString
from critwin.seeds import fold_in
from tests.critwin.all_samplers import FORKING_SAMPLERS
from tests.critwin.test_sampler_laws import assert_same_law

Forking = ForkingSampler[Generation, Prefix]

DRAWS = 3000


@pytest.fixture(params=list(FORKING_SAMPLERS))
def sampler(request: pytest.FixtureRequest, tiny_letters: Path) -> Forking:
    return FORKING_SAMPLERS[request.param](tiny_letters)


def draw(sampler: Forking, count: int) -> list[Generation]:
    start = sampler.start([Prompt("abc")])
    return sampler.resample(start, seeds=[[fold_in(0, "x", i) for i in range(count)]])[0]


def choices(sampler: Forking, x: Generation) -> list[int]:
    """Tokens at which the sampler had a choice, counted from 1."""
    (path,) = sampler.paths([x])
    return [u for u, p in enumerate(path.probability, start=1) if p < 1]


def test_path_is_what_was_recorded_when_it_was_drawn(sampler: Forking) -> None:
    xs = draw(sampler, 50)
    for x, path in zip(xs, sampler.paths(xs), strict=True):
        assert path.probability.shape == (len(x.token_ids),)
        np.testing.assert_allclose(path.surprisal, x.surprisal, rtol=1e-4, atol=1e-5)
        assert (path.surprisal >= 0).all()


def test_a_fork_keeps_what_stands_before_and_leaves_there(sampler: Forking) -> None:
    work = [(x, u) for x in draw(sampler, 30) for u in choices(sampler, x)]
    forks = sampler.fork(
        [x for x, _ in work], [u for _, u in work], seeds=[fold_in(1, i) for i in range(len(work))]
    )
    assert len(forks) == len(work) > 50
    longest = max(len(x.token_ids) for x in draw(sampler, 300))
    for (x, u), y, path in zip(work, forks, sampler.paths(forks), strict=True):
        assert y.prompt_ids == x.prompt_ids
        assert y.token_ids[: u - 1] == x.token_ids[: u - 1]
        assert y.token_ids[u - 1] != x.token_ids[u - 1]
        # a fork is a sample like any other: ended like one, with the sampler's own surprisals
        assert len(y.token_ids) <= longest
        assert y.finish_reason != "length" or len(y.token_ids) == longest
        np.testing.assert_allclose(path.surprisal, y.surprisal, rtol=1e-4, atol=1e-5)


def test_forks_depend_on_item_and_seed_alone(sampler: Forking) -> None:
    x = max(draw(sampler, 20), key=lambda x: len(choices(sampler, x)))
    at = choices(sampler, x)
    seeds = [fold_in(2, u) for u in at]
    together = sampler.fork([x] * len(at), at, seeds=seeds)
    alone = [sampler.fork([x], [u], seeds=[s])[0] for u, s in zip(at, seeds, strict=True)]
    backwards = sampler.fork([x] * len(at), at[::-1], seeds=seeds[::-1])[::-1]
    ids = [y.token_ids for y in together]
    assert [y.token_ids for y in alone] == ids
    assert [y.token_ids for y in backwards] == ids
    assert sampler.fork([], [], seeds=[]) == []


@pytest.mark.parametrize("rank", [0, 1, -1])
def test_forks_are_resamples_that_left(sampler: Forking, rank: int) -> None:
    """The renormalised law is that of a resample, given that its first token is another one."""
    x = max(draw(sampler, 20), key=lambda x: len(choices(sampler, x)))
    u = choices(sampler, x)[rank]
    forks = sampler.fork([x] * DRAWS, [u] * DRAWS, seeds=[fold_in(3, i) for i in range(DRAWS)])
    (path,) = sampler.paths([x])
    count = min(int(DRAWS / (1 - path.probability[u - 1])) + 1, 20 * DRAWS)
    cut = sampler.observe([x], [u - 1], seeds=[0])
    (resamples,) = sampler.resample(cut, seeds=[[fold_in(4, i) for i in range(count)]])
    left = [y for y in resamples if y.token_ids[u - 1] != x.token_ids[u - 1]]
    for shown in (
        lambda y: str(y.token_ids[u - 1]),
        lambda y: str(y.token_ids[u - 1 : u + 2]),
        lambda y: str(len(y.token_ids)) + y.finish_reason,
    ):
        assert_same_law([shown(y) for y in left], [shown(y) for y in forks])
    # how often resamples leave is what the path says: k = 4 standard errors
    share = 1 - path.probability[u - 1]
    error = 4 * np.sqrt(share * (1 - share) / count)
    assert abs(len(left) / count - share) <= error + 1e-12


def test_forks_that_cannot_be_are_refused(sampler: Forking) -> None:
    x = draw(sampler, 1)[0]
    for u in (0, len(x.token_ids) + 1):
        with pytest.raises(ValueError, match=r"position is .*; allowed: 1 to"):
            sampler.fork([x], [u], seeds=[0])
    for y in draw(sampler, 20):
        for u in sorted(set(range(1, len(y.token_ids) + 1)) - set(choices(sampler, y)))[:1]:
            with pytest.raises(ValueError, match=f"token {u} had probability 1"):
                sampler.fork([y], [u], seeds=[0])


CHAIN = MarkovString(
    symbols=("x", "y", "z"),
    initial=(0.6, 0.3, 0.1),
    transitions=((0.5, 0.3, 0.1, 0.1), (0.0, 0.6, 0.2, 0.2), (0.3, 0.0, 0.6, 0.1)),
    max_new_tokens=9,
)


def leave_law(chain: MarkovString, ids: tuple[int, ...], u: int) -> tuple[float, np.ndarray]:
    """Give pi_u and the exact law of the last symbol when token u is another one."""
    law = np.array([*chain.initial, 0.0] if u == 1 else chain.transitions[ids[u - 2]])
    own = law[ids[u - 1]]
    mixed = sum(
        q * chain.last_symbol_law((*ids[: u - 1], a))
        for a, q in enumerate(law)
        if a != ids[u - 1] and q > 0
    )
    return float(own), np.asarray(mixed) / (1 - own)


def test_equation_1_holds_exactly_on_the_markov_string() -> None:
    for x in draw(CHAIN, 40):
        (path,) = CHAIN.paths([x])
        for u in choices(CHAIN, x):
            pi, d = leave_law(CHAIN, x.token_ids, u)
            assert path.probability[u - 1] == pytest.approx(pi, abs=1e-15)
            before, after = (CHAIN.last_symbol_law(x.token_ids[:s]) for s in (u - 1, u))
            np.testing.assert_allclose(before, pi * after + (1 - pi) * d, atol=1e-14)


@pytest.mark.parametrize("u", [1, 3, 9])
def test_forks_follow_the_closed_form(u: int) -> None:
    """k = 4.5 standard errors on three symbols: a false alarm once in 50 000 tests."""
    x = next(x for x in draw(CHAIN, 300) if len(x.token_ids) == 9)
    _, d = leave_law(CHAIN, x.token_ids, u)
    n = 20_000
    forks = CHAIN.fork([x] * n, [u] * n, seeds=[fold_in(5, i) for i in range(n)])
    for symbol, p in zip(CHAIN.symbols, d, strict=True):
        share = sum(y.text.split()[-1] == symbol for y in forks) / n
        assert abs(share - p) <= 4.5 * np.sqrt(p * (1 - p) / n) + 1e-12
