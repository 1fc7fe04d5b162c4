"""What truncation at every token costs, by hand and against resamples."""

import numpy as np
import pytest

from critwin.grid_costs import expected_tokens, smallest_draws
from critwin.statistics import clopper_pearson


@pytest.mark.parametrize("half_width", [0.05, 0.02])
def test_the_smallest_draws_are_enough_and_one_fewer_are_not(half_width: float) -> None:
    p = np.array([0.0, 0.003, 0.1, 0.5, 0.77, 1.0])
    n = smallest_draws(p, half_width)
    for draws, narrow in ((n, True), (n - 1, False)):
        lower, upper = clopper_pearson(draws * p, draws)
        assert (((upper - lower) / 2 <= half_width) == narrow).all()


def test_where_everything_agrees_the_draws_are_those_of_the_closed_form() -> None:
    """At n of n the lower end is .025^(1/n): a half-width h needs log .025 / log(1 - 2h) draws."""
    assert smallest_draws([0.0, 1.0], 0.05).tolist() == [36, 36]
    assert smallest_draws([0.0, 1.0], 0.02).tolist() == [91, 91]
    assert int(np.ceil(np.log(0.025) / np.log(0.9))) == 36


def test_tokens_of_resamples_by_hand() -> None:
    # from 2: .25 * 1 + .75 * 5; from 1 the token is certain; from 0: .5 * (1 + 5) + .5 * 2
    assert expected_tokens([0.5, 1.0, 0.25], [2.0, 9.0, 5.0]) == pytest.approx([4.0, 5.0, 4.0])


def test_forks_as_long_as_the_original_leave_its_length() -> None:
    pi = np.random.default_rng(0).random(20)
    assert expected_tokens(pi, np.arange(20, 0, -1)) == pytest.approx(np.arange(20, 0, -1))
