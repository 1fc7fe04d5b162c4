"""The fork estimator against closed forms of Markov strings and counts done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from critwin.feature import UNSCORED
from critwin.fork_attribution import attribution
from critwin.forks import (
    Forks,
    curve_weights,
    difference_intervals,
    fork_curves,
    fork_levels,
    level_intervals,
    stay_probability,
)
from critwin.sampler import Path
from critwin.statistics import clopper_pearson
from tests.critwin.markov_forks import Known, random_chain

KNOWN = [Known.longest(random_chain(seed, symbols=2 + seed % 3)) for seed in range(6)]


def by_hand(**more: object) -> Forks:
    """Three tokens of probability .5, 1, .8; own label yes."""
    values: dict[str, object] = {
        "position": [1, 1, 1, 1, 3, 3],
        "labels": ["yes", "no", "no", UNSCORED, "no", "yes"],
    }
    path = Path(np.array([0.5, 1.0, 0.8]))
    return Forks.of("x", "yes", path, **(values | more))  # type: ignore[arg-type]


def test_curves_of_every_label_by_hand() -> None:
    yes, unread, no = fork_curves(by_hand())
    assert [c.label for c in (yes, unread, no)] == ["yes", UNSCORED, "no"]
    assert [c.own for c in (yes, unread, no)] == [True, False, False]
    # p_3 = 1; p_2 = .8 * 1 + .2 * d_3 with d_3 = 1/2; p_1 = p_2; p_0 = .5 p_1 + .5 d_1
    np.testing.assert_allclose(yes.agreement, [0.5 * 0.9 + 0.5 * 0.25, 0.9, 0.9, 1])
    np.testing.assert_allclose(no.agreement, [0.5 * 0.1 + 0.5 * 0.5, 0.1, 0.1, 0])
    np.testing.assert_allclose(unread.agreement, [0.5 * 0.25, 0, 0, 0])
    np.testing.assert_allclose(yes.agreement + no.agreement + unread.agreement, 1)
    for curve in (yes, no, unread):
        assert curve.estimator == "forks"
        assert curve.position.tolist() == [0, 1, 2, 3]
        assert curve.trials.tolist() == [6, 2, 2, 0]
        np.testing.assert_array_equal(curve.unscored, unread.agreement)
        assert (curve.lower <= curve.agreement).all()
        assert (curve.agreement <= curve.upper).all()
        assert curve.lower[-1] == curve.upper[-1] == float(curve.own)
        assert (curve.lower[:-1] < curve.upper[:-1]).all()


def test_weights_are_chances_to_leave_first() -> None:
    weights = curve_weights([0.5, 1.0, 0.8])
    np.testing.assert_allclose(
        weights, [[0.5, 0, 0.5 * 0.2], [0, 0, 0.2], [0, 0, 0.2], [0, 0, 0]], atol=1e-15
    )
    np.testing.assert_allclose(stay_probability([0.5, 1.0, 0.8]), [0.4, 0.8, 0.8, 1.0])
    pi = np.random.default_rng(0).random(50)
    np.testing.assert_allclose(curve_weights(pi).sum(axis=1) + stay_probability(pi), 1)


@pytest.mark.parametrize("known", KNOWN)
def test_the_recursion_is_exact(known: Known) -> None:
    """Known leave values give the known curve of every label, to rounding."""
    weights, stay = curve_weights(known.path.probability), stay_probability(known.path.probability)
    for label in known.chain.symbols:
        values = weights @ known.leave_values(label) + stay * (label == known.own)
        np.testing.assert_allclose(values, known.curve(label), atol=1e-12)


@pytest.mark.parametrize("known", KNOWN)
def test_forks_are_unbiased_and_exact_in_the_limit(known: Known) -> None:
    """The mean over 40 sets of forks is the known curve, with the known standard error.

    k = 5 standard errors at fewer than 1000 values: a false alarm once in 1700 runs.
    """
    count, sets = 12, 40
    drawn = known.forks(count, seeds=range(sets))
    weights = curve_weights(known.path.probability)
    for label in known.chain.symbols:
        mean = np.mean([fork_levels(forks, label) for forks in drawn], axis=0)
        d = known.leave_values(label)
        error = np.sqrt(weights**2 @ (d * (1 - d)) / count / sets)
        assert (abs(mean - known.curve(label)) <= 5 * error + 1e-12).all()


def test_plug_in_levels_are_the_linear_form() -> None:
    known = KNOWN[0]
    (forks,) = known.forks(5, seeds=[7])
    for label in forks.labels:
        form = curve_weights(forks.probability) @ forks.leave_values(label)
        form += stay_probability(forks.probability) * (label == forks.own)
        np.testing.assert_allclose(fork_levels(forks, label), form, atol=1e-13)
    assert fork_levels(forks, "never seen")[0] == 0


def test_tokens_left_out_widen_earlier_positions_by_their_weight_alone() -> None:
    forks = by_hand(position=[1] * 200, labels=["yes"] * 100 + ["no"] * 100)
    lower, upper = level_intervals(forks, "yes")
    # token 3 has weight .2 after tokens 1 and 2, and .1 before: times [0, 1]
    np.testing.assert_allclose((lower[1:3], upper[1:3]), ([0.8, 0.8], [1.0, 1.0]))
    low, high = clopper_pearson(100, 200, level=0.999)
    # p_0 = .5 p_1 + .5 d_1 with p_1 in [.8, 1]
    assert 0.5 * 0.8 + 0.5 * low < lower[0] < 0.5 * 0.8 + 0.5 * 0.5
    assert 0.5 * 1.0 + 0.5 * 0.5 < upper[0] < 0.5 * 1.0 + 0.5 * high
    # filled in by the share of all forks: labels still add up to 1
    assert fork_levels(forks, "yes")[1] == pytest.approx(0.8 + 0.2 * 0.5)
    assert sum(fork_levels(forks, label)[0] for label in forks.labels) == pytest.approx(1)


def test_without_any_fork_everything_is_possible_but_the_path() -> None:
    curve, unread = fork_curves(by_hand(position=[], labels=[]))
    np.testing.assert_allclose(unread.upper, [0.6, 0.2, 0.2, 0])
    np.testing.assert_allclose(curve.lower, [0.4, 0.8, 0.8, 1.0])
    np.testing.assert_allclose(curve.upper, 1)
    assert curve.trials.tolist() == [0, 0, 0, 0]


def test_forks_where_there_was_no_choice_are_refused() -> None:
    with pytest.raises(ValueError, match="token 2 of x, where the sampler had no choice"):
        by_hand(position=[2], labels=["no"])
    for u in (0, 4):
        with pytest.raises(ValueError, match=f"token {u} of x; allowed: 1 to 3"):
            by_hand(position=[u], labels=["no"])


def test_differences_use_what_both_positions_share() -> None:
    known = max(KNOWN, key=lambda k: float((1 - k.path.probability).sum()))
    (forks,) = known.forks(6, seeds=[1])
    s = np.arange(known.n)
    lower, upper = difference_intervals(forks, known.own, s, s + 1)
    level_lower, level_upper = level_intervals(forks, known.own)
    apart = (level_upper - level_lower)[1:] + (level_upper - level_lower)[:-1]
    choice = known.path.probability < 1
    assert (upper - lower)[choice].mean() < 0.6 * apart[choice].mean()
    assert (upper - lower)[~choice] == pytest.approx(0)
    # p_n - p_s is 1 minus a level, with the same forks
    low, high = difference_intervals(forks, known.own, [0], [known.n])
    assert (low[0], high[0]) == pytest.approx((1 - level_upper[0], 1 - level_lower[0]))
    back = difference_intervals(forks, known.own, [known.n], [0])
    assert (-back[1][0], -back[0][0]) == pytest.approx((low[0], high[0]))


@pytest.mark.parametrize("known", KNOWN[:3])
def test_attribution_adds_up_to_the_curve(known: Known) -> None:
    (forks,) = known.forks(30, seeds=[2])
    for label in forks.labels:
        made = attribution(forks, label, joint=True)
        np.testing.assert_allclose(made.jump, np.diff(fork_levels(forks, label)), atol=1e-12)
        assert ((made.lower <= made.jump + 1e-12) & (made.jump - 1e-12 <= made.upper)).all()
        # a token without a choice carries nothing
        assert (made.jump[made.leave == 0] == 0).all()
        truth = np.diff(known.curve(label))
        assert ((made.lower - 1e-9 <= truth) & (truth <= made.upper + 1e-9)).all()
        assert ((made.elsewhere_lower <= made.elsewhere) & (made.trials >= 0)).all()


def test_drawn_labels_are_a_last_token() -> None:
    """A label that comes out "yes" again in 3 of 4: the text alone decides it to that."""
    forks = by_hand().with_drawn_label(["yes", "yes", "maybe", "yes"])
    curves = {c.label: c for c in fork_curves(forks)}
    assert set(curves) == {"yes", "no", "maybe", UNSCORED}
    assert curves["yes"].position.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(curves["yes"].agreement[3], 0.75)
    np.testing.assert_allclose(curves["yes"].agreement[2], 0.8 * 0.75 + 0.2 * 0.5)
    np.testing.assert_allclose(curves["maybe"].agreement[2], 0.8 * 0.25)
    # whether the label comes out again is uncertain too
    assert curves["yes"].lower[3] < 0.3
    assert curves["yes"].upper[3] > 0.95
    assert curves["yes"].trials.tolist() == [10, 6, 6, 4]
    np.testing.assert_allclose(sum(c.agreement for c in curves.values()), 1)
    assert len(attribution(forks, "yes").jump) == 3
    for wrong in (lambda: by_hand().with_drawn_label([]), lambda: forks.with_drawn_label(["no"])):
        with pytest.raises(ValueError, match="drawn"):
            wrong()


def test_drawn_labels_do_not_bias() -> None:
    """Own label by chance r: using the draw that defined it would put p_n at 1, not at r."""
    rng, r, sets = np.random.default_rng(0), 0.7, 400
    path, means = Path(np.array([0.6])), []
    for _ in range(sets):
        own, *again = rng.random(6) < r
        names = ["yes" if label else "no" for label in again]
        forked = ["yes" if label else "no" for label in rng.random(5) < 0.2]
        forks = Forks.of("x", "yes" if own else "no", path, position=[1] * 5, labels=forked)
        means.append(fork_levels(forks.with_drawn_label(names), "yes"))
    truth = np.array([0.6 * r + 0.4 * 0.2, r])
    error = np.std(means, axis=0, ddof=1) / np.sqrt(sets)
    assert (abs(np.mean(means, axis=0) - truth) <= 4 * error).all()
