"""Epsilon-mixture trees, and windows at the edges of their definition."""

from __future__ import annotations

import math

import pytest

from critwin.errors import ParameterError
from critwin.samplers.gaussian_mixture import GaussianMixture
from critwin.samplers.masked_strings import MaskedStrings
from critwin.theory import examples
from critwin.theory.posteriors import population
from critwin.theory.times import cached, t_start, window_times
from critwin.theory.total_variation import total_variation
from critwin.theory.tree import mixture_tree, perturbed_epsilon


def line(*means: float) -> GaussianMixture:
    return GaussianMixture(means=tuple((m,) for m in means))


def test_far_pairs_make_a_tree_and_near_ones_do_not() -> None:
    far, near = line(-160, -150, 150, 160), line(-15, -9, 9, 15)
    good = mixture_tree(far, [[0, 1], [2, 3]], epsilon=0.2)
    assert good.certified
    assert not mixture_tree(near, [[0, 1], [2, 3]], epsilon=0.2).certified
    for node in good.walk():
        assert node.noise is not None
        for child in node.children:
            assert child.noise is not None
            assert child.noise < node.noise
            assert child.latest is not None
            assert child.noise <= child.latest


def test_noise_amounts_fulfil_the_definition() -> None:
    """(1) at the noise of the pair's node, two that part there are epsilon apart, exactly."""
    mixture = line(-160, -150, 150, 160)
    tree = mixture_tree(mixture, [[0, 1], [2, 3]], epsilon=0.2)
    pair = tree.children[0]
    assert pair.noise is not None
    w = mixture.mixture_weights
    at = mixture.posteriors(pair.noise)
    apart = total_variation(at, population(w, [0]), population(w, [1])).value
    assert apart == pytest.approx(0.2, abs=1e-6)
    # half the distance of two unit Gaussians is 5 e^-t: TV = 2 Phi(5 e^-t) - 1
    assert pair.noise == pytest.approx(math.log(5 / 0.2533471), abs=1e-5)


def test_the_path_of_a_component_leads_to_the_root() -> None:
    tree = mixture_tree(line(-160, -150, 150, 160), [[0, 1], [2, 3]], epsilon=0.2)
    assert [node.members for node in tree.path(2)] == [(2,), (2, 3), (0, 1, 2, 3)]


def test_a_tree_over_masked_strings() -> None:
    """Far in the first forty indices, near in the last two: coarse is decided first."""
    strings = tuple(a * 40 + b * 2 for a in "01" for b in "01")
    laws = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))
    tree = mixture_tree(MaskedStrings(strings=strings, laws=laws), [[0, 1], [2, 3]], epsilon=0.3)
    pair = tree.children[0]
    assert pair.noise == pytest.approx(0.7**0.5, abs=1e-8)  # 1 - t^2 = .3
    assert tree.earliest is not None
    assert tree.earliest > pair.noise


def test_a_tree_without_every_component_is_refused() -> None:
    with pytest.raises(ParameterError, match="each once"):
        mixture_tree(line(-1, 1), [0], epsilon=0.2)


def test_perturbed_trees() -> None:
    assert perturbed_epsilon(0.1, 0.04) == pytest.approx(0.3)


def test_a_pair_that_is_never_told_apart_has_no_plateau() -> None:
    found = window_times(cached(line(-0.5, 0.5)), [0], [0, 1], epsilon=0.1)
    assert not found.plateau
    assert found.time_before is found.time_after is found.width is None
    assert examples.gaussian_pair_exact(0.5, 0.1)[1] is None


def test_everything_is_told_from_nothing_for_ever() -> None:
    assert t_start(line(-1, 1), [0, 1], epsilon=0.1).value == math.inf


@pytest.mark.parametrize("after", [[0, 1], [2], []])
def test_sets_that_are_no_part_are_refused(after: list[int]) -> None:
    with pytest.raises(ParameterError):
        window_times(line(-1, 1), after, [0, 1], epsilon=0.1)


@pytest.mark.parametrize("epsilon", [0.43, 0.8])
def test_the_printed_time_where_it_is_invalid_or_undefined(epsilon: float) -> None:
    found = examples.gaussian_pair(4.0, epsilon)
    assert any("epsilon >" in note for note in found.notes)
    if epsilon > 0.71:
        assert found.after_printed is None
    else:
        assert found.after_printed is not None
        assert found.after_corrected is not None
        assert found.after_printed > found.after_corrected
