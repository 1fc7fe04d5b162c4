"""Seeds and the counter-based generator."""

from __future__ import annotations

import numpy as np
from scipy.stats import kstest

from critwin.seeds import fold_in, uniforms


def test_fold_in_tells_identities_apart() -> None:
    identities = [(), ("a",), ("a", 1), ("a", "1"), ("a", 1, 0), ("b", 1), (1,), ("1",)]
    assert len({fold_in(0, *identity) for identity in identities}) == len(identities)
    assert fold_in(0, "a") != fold_in(1, "a")
    assert fold_in(7, "a", 3) == fold_in(7, "a", 3)
    assert all(0 <= fold_in(0, i) < 2**63 for i in range(1000))


def test_fold_in_never_changes() -> None:
    """Stored records name seeds: another value here would orphan them."""
    assert fold_in(0, "gsm8k-1", "original", 3) == 8869046713217500271


def test_uniforms_are_uniform_and_depend_on_seed_and_step_alone() -> None:
    seeds = np.array([fold_in(0, i) for i in range(500)], dtype=np.uint64)
    steps = np.arange(40, dtype=np.uint64)
    numbers = uniforms(seeds[:, None], steps)
    assert numbers.shape == (500, 40)
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert kstest(numbers.ravel(), "uniform").pvalue > 1e-4
    # neighbouring steps of a draw are uncorrelated: 4 standard errors of a correlation of 19500
    correlation = np.corrcoef(numbers[:, :-1].ravel(), numbers[:, 1:].ravel())[0, 1]
    assert abs(correlation) < 4 / np.sqrt(500 * 39)
    np.testing.assert_array_equal(uniforms(seeds[7:9], np.uint64(5)), numbers[7:9, 5])
