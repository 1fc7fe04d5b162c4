"""Curves from counts, computed by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from critwin.curve import curves_table, grid_curves
from critwin.feature import UNSCORED
from critwin.records import CURVES
from critwin.statistics import newcombe_difference

# original "a": 8 tokens, own label "4"; three positions, four resamples each
LABELS = {0: ["4", "5", UNSCORED, "5"], 2: ["4", "4", "5", "6"], 6: ["4", "4", "4", "4"]}


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    originals = pd.DataFrame({"original_id": ["a"], "label": ["4"], "token_ids": [list(range(8))]})
    resamples = pd.DataFrame(
        [
            {"original_id": "a", "position": position, "label": label, "kind": "grid"}
            for position, labels in LABELS.items()
            for label in labels
        ]
    )
    return originals, resamples


def test_every_label_has_a_curve_own_first() -> None:
    curves = grid_curves(*tables())
    assert [(c.label, c.own) for c in curves] == [
        ("4", True),
        ("5", False),
        ("6", False),
        (UNSCORED, False),
    ]
    own, five, six, unscored = curves
    np.testing.assert_array_equal(own.position, [0, 2, 6, 8])
    np.testing.assert_allclose(own.agreement, [0.25, 0.5, 1.0, 1.0])
    np.testing.assert_allclose(five.agreement, [0.5, 0.25, 0.0, 0.0])
    np.testing.assert_allclose(six.agreement, [0.0, 0.25, 0.0, 0.0])
    np.testing.assert_allclose(unscored.agreement, [0.25, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(own.unscored, [0.25, 0.0, 0.0, 0.0])
    np.testing.assert_array_equal(own.trials, [4, 4, 4, 0])
    np.testing.assert_allclose(own.kept, [0, 0.25, 0.75, 1])
    np.testing.assert_allclose(own.t, [1, 0.75, 0.25, 0])
    total = sum(c.agreement for c in curves)
    np.testing.assert_allclose(total, 1.0)


def test_intervals_are_clopper_pearson_and_the_end_is_exact() -> None:
    own = grid_curves(*tables())[0]
    exact = binomtest(2, 4).proportion_ci(0.95, method="exact")
    assert (own.lower[1], own.upper[1]) == pytest.approx((exact.low, exact.high))
    assert own.upper[2] == 1.0
    assert own.lower[2] == pytest.approx(0.025**0.25)
    assert (own.lower[3], own.agreement[3], own.upper[3]) == (1.0, 1.0, 1.0)


def test_differences_of_a_grid_by_hand() -> None:
    own = grid_curves(*tables())[0]
    lower, upper = own.differences([0, 2], [2, 6])
    low, high = newcombe_difference([2, 4], 4, [1, 2], 4)
    np.testing.assert_allclose((lower, upper), (low, high))
    low, high = newcombe_difference([2, 4], 4, [1, 2], 4, level=0.975)
    np.testing.assert_allclose(own.differences([0, 2], [2, 6], joint=True), (low, high))
    # everything kept is known: 1 less the interval of the other position
    to_the_end = own.differences([0], [8])
    np.testing.assert_allclose(to_the_end, ([1 - own.upper[0]], [1 - own.lower[0]]))
    with pytest.raises(ValueError, match=r"positions \[3\] of a; allowed: .*\[0, 2, 6, 8\]"):
        own.differences([0], [3])


def test_own_label_that_never_comes_back_has_a_curve_of_zeros() -> None:
    originals, resamples = tables()
    originals["label"] = "99"
    own = grid_curves(originals, resamples)[0]
    assert own.label == "99"
    np.testing.assert_array_equal(own.agreement, [0, 0, 0, 1])


def test_unscored_original_has_its_own_curve() -> None:
    originals, resamples = tables()
    originals["label"] = UNSCORED
    own = grid_curves(originals, resamples)[0]
    assert own.own
    np.testing.assert_allclose(own.agreement, [0.25, 0, 0, 1])
    np.testing.assert_allclose(own.unscored, [0.25, 0, 0, 1])


def test_table_has_the_contract_schema_even_when_empty() -> None:
    assert curves_table(grid_curves(*tables())).schema.equals(CURVES)
    assert curves_table([]).schema.equals(CURVES)
    assert curves_table(grid_curves(*tables())).num_rows == 16


def test_unscored_has_a_curve_where_it_was_not_seen() -> None:
    """None of n: the interval ends at 1 - (alpha / 2) ** (1 / n)."""
    originals, resamples = tables()
    scored = resamples.assign(label="4")
    curves = {curve.label: curve for curve in grid_curves(originals, scored)}
    assert set(curves) == {"4", UNSCORED}
    unscored = curves[UNSCORED]
    assert (unscored.agreement == 0).all()
    trials = unscored.trials[:-1]
    np.testing.assert_allclose(unscored.upper[:-1], 1 - 0.025 ** (1 / trials))
    assert unscored.upper[-1] == 0


def test_surprisal_is_kept_where_all_of_it_is_known() -> None:
    originals, resamples = tables()
    assert grid_curves(originals, resamples)[0].nats is None
    nats = [0.5, 0.0, 0.25, 1.0, 0.0, 0.0, 2.0, 0.125]
    for own, known in ((nats, True), ([*nats[:-1], float("nan")], False), ([], False)):
        curve = grid_curves(originals.assign(surprisal=[own]), resamples)[1]
        if known:
            np.testing.assert_allclose(curve.nats, [0, 0.5, 1.75, 3.875])  # at 0, 2, 6, 8
        else:
            assert curve.nats is None
