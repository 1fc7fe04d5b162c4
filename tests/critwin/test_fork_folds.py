"""Folds: unbiased curves and products on exact strings, whatever is rare; counts and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from critwin.errors import ParameterError
from critwin.fork_folds import FOLDS, FoldedForks, Folds, draw_folds, plan_folds
from critwin.sampler import Path
from critwin.seeds import fold_in
from critwin.variance_budget import Squares, Stretches
from tests.critwin.markov_forks import Known, last_symbol, random_chain

RUNS = 400
"""Independent sets of forks of one original."""


@pytest.fixture(scope="module")
def known() -> Known:
    return Known.longest(random_chain(1, max_new_tokens=10), among=30)


@pytest.fixture(scope="module")
def drawn(known: Known) -> list[Folds]:
    # three forks of a sure choice in a fold: most tokens have fewer than one on average
    protocol = FoldedForks(forks_per_choice=12)
    expected = protocol.expected(known.path)
    assert (expected[expected > 0] < 1).mean() > 0.3
    seeds = [fold_in(3, i) for i in range(RUNS)]
    return [
        own.counted("x", known.own, [last_symbol(y) for y in own.samples])
        for own in draw_folds(known.chain, [known.x] * RUNS, protocol, seeds=seeds)
    ]


def _column(folds: Folds, values: np.ndarray, label: str) -> np.ndarray:
    at = list(folds.labels)
    return values[:, at.index(label)] if label in at else 0 * values[:, 0]


def test_curves_of_every_fold_are_unbiased(known: Known, drawn: list[Folds]) -> None:
    for label in known.chain.symbols:
        values = np.array([_column(f, f.levels(), label) for f in drawn]).reshape(-1, known.n + 1)
        error = values.std(axis=0) / np.sqrt(len(values))
        # 4.5 standard errors: 3 labels at 11 positions go beyond by chance once in 5000 runs
        assert (np.abs(values.mean(axis=0) - known.curve(label)) <= 4.5 * error + 1e-12).all()


def test_squares_are_unbiased_and_plain_squares_are_not(known: Known, drawn: list[Folds]) -> None:
    tokens = Stretches.tokens(known.n)
    exact = sum((np.diff(known.curve(label)) ** 2).sum() for label in known.chain.symbols)
    found = [Squares.of(folds, tokens) for folds in drawn]
    squares = np.array([s.above(None).sum() / 2 for s in found])
    error = squares.std() / np.sqrt(len(squares))
    assert abs(squares.mean() - exact) <= 4 * error
    plain = np.array([(s.place**2).sum() / 2 for s in found])
    assert plain.mean() - exact > 10 * error  # the reason for products


def test_a_jump_is_not_squared_by_the_forks_that_chose_it(known: Known, drawn: list[Folds]) -> None:
    """Choosing and squaring by one half finds jumps in noise; the halves apart do not."""
    tokens, exact = Stretches.tokens(known.n), 0.0
    for label in known.chain.symbols:
        exact += float((np.diff(known.curve(label)) ** 2).sum())
    found = [Squares.of(folds, tokens) for folds in drawn]
    apart = np.array([s.above(0.1).sum() / 2 for s in found])
    error = apart.std() / np.sqrt(len(apart))
    assert -4 * error <= apart.mean() <= exact + 4 * error
    same = np.array([(s.square * (np.abs(s.place) > 0.1)).sum() / 2 for s in found])
    more = same - apart
    assert more.mean() > 4 * more.std() / np.sqrt(len(more))


def test_labels_add_up_to_one(drawn: list[Folds]) -> None:
    for folds in drawn[:20]:
        np.testing.assert_allclose(folds.levels().sum(axis=1), 1.0, atol=1e-9)


def test_as_many_forks_as_were_expected_and_the_same_ones_again() -> None:
    expected = np.array([0.0, 0.25, 1.0, 2.5])
    counts = np.zeros((RUNS, FOLDS, 4))
    for i in range(RUNS):
        planned = plan_folds(expected, seed=i)
        assert planned == plan_folds(expected, seed=i)
        assert len({f.seed for f in planned}) == len(planned)
        for fork in planned:
            counts[i, fork.fold, fork.token - 1] += 1
            assert fork.replicate % FOLDS == fork.fold
    assert set(np.unique(counts[:, :, 2])) == {1.0}
    assert set(np.unique(counts[:, :, 3])) == {2.0, 3.0}
    error = 0.5 / np.sqrt(RUNS * FOLDS)  # at most, of a count that is rounded up or down
    np.testing.assert_allclose(counts.mean(axis=(0, 1)), expected, atol=4 * error)
    both = counts[:, 0, 3] * counts[:, 1, 3]
    assert abs(both.mean() - 2.5**2) <= 4 * both.std() / np.sqrt(RUNS)  # folds are independent


def test_a_fork_where_none_was_expected_is_refused() -> None:
    path = Path(np.array([0.5, 1.0]))
    with pytest.raises(ValueError, match="token 2 of x"):
        Folds.of("x", "a", path, expected=[1.0, 0.0], fold=[0], token=[2], labels=["a"])


@pytest.mark.parametrize("value", [3, 0, 1.5, True, None])
def test_too_few_forks_are_refused(value: object) -> None:
    with pytest.raises(ParameterError, match="forks_per_choice"):
        FoldedForks(forks_per_choice=value)  # type: ignore[arg-type]
