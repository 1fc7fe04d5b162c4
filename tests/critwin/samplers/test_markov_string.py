"""The Markov string against its own closed form."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from critwin.errors import ParameterError
from critwin.prompt import Prompt
from critwin.samplers.markov_string import MarkovString
from critwin.seeds import fold_in

CHAIN = MarkovString(
    symbols=("x", "y"),
    initial=(0.7, 0.3),
    transitions=((0.5, 0.3, 0.2), (0.1, 0.6, 0.3)),
    max_new_tokens=5,
)


def enumerate_strings(chain: MarkovString) -> dict[tuple[int, ...], float]:
    """Every string with its probability, by brute force."""
    end = len(chain.symbols)
    found: dict[tuple[int, ...], float] = {}
    for length in range(1, chain.max_new_tokens + 1):
        for ids in product(range(end + 1), repeat=length):
            finished = ids[-1] == end or length == chain.max_new_tokens
            if ids[0] == end or end in ids[:-1] or not finished:
                continue
            steps = pairwise(ids)
            found[ids] = chain.initial[ids[0]] * np.prod(
                [chain.transitions[a][b] for a, b in steps]
            )
    return found


def test_enumeration_is_a_law() -> None:
    assert sum(enumerate_strings(CHAIN).values()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("prefix", [(), (0,), (1, 0), (0, 1, 2), (0, 0, 0, 1), (0, 0, 0, 0, 1)])
def test_last_symbol_law_equals_enumeration(prefix: tuple[int, ...]) -> None:
    mass = np.zeros(2)
    for ids, p in enumerate_strings(CHAIN).items():
        if ids[: len(prefix)] == prefix:
            last = [i for i in ids if i < 2][-1]
            mass[last] += p
    np.testing.assert_allclose(CHAIN.last_symbol_law(prefix), mass / mass.sum(), atol=1e-12)


def test_draws_follow_the_enumerated_law() -> None:
    n = 50_000
    (start,) = CHAIN.start([Prompt("")])
    (drawn,) = CHAIN.resample([start], seeds=[[fold_in(0, i) for i in range(n)]])
    counts: dict[tuple[int, ...], int] = {}
    for x in drawn:
        counts[x.token_ids] = counts.get(x.token_ids, 0) + 1
    law = enumerate_strings(CHAIN)
    assert set(counts) <= set(law)
    for ids, p in law.items():
        # k = 5 standard errors on about 90 strings: a false alarm once in 20 000 runs
        assert abs(counts.get(ids, 0) / n - p) <= 5 * np.sqrt(p * (1 - p) / n) + 1e-12


def test_surprisal_is_that_of_the_law() -> None:
    (start,) = CHAIN.start([Prompt("")])
    for x in CHAIN.resample([start], seeds=[list(range(50))])[0]:
        assert np.exp(-sum(x.surprisal)) == pytest.approx(enumerate_strings(CHAIN)[x.token_ids])
        assert (x.finish_reason == "end") == (x.token_ids[-1] == 2)


def test_rows_that_are_no_law_are_refused() -> None:
    with pytest.raises(ParameterError, match="transitions"):
        MarkovString(symbols=("x",), initial=(1.0,), transitions=((0.5, 0.4),))
    with pytest.raises(ParameterError, match="initial"):
        MarkovString(symbols=("x",), initial=(0.9,), transitions=((0.5, 0.5),))
