"""Sampling parameters and levels, and what is refused."""

from __future__ import annotations

import pytest

from critwin.errors import ParameterError
from critwin.protocol import PAPER_FRACTIONS, EveryToken, ForkProtocol, Fractions, Sampling


def test_fractions_visit_nothing_kept_and_leave_out_everything() -> None:
    assert Fractions().shown_fractions() == (0.0, *PAPER_FRACTIONS)
    assert Fractions(fractions=(0, 0.5, 1)).shown_fractions() == (0.0, 0.5)


def test_positions_of_a_grid() -> None:
    def snap(t: float) -> int:
        return int((1 - t) * 7 + 1e-9)

    # of 7 tokens .05 and .1 keep none, .3 two, .5 three, .7 four and .9 six
    assert Fractions().positions(7, snap) == [0, 2, 3, 4, 6]
    assert EveryToken().positions(7, snap) == list(range(7))


def test_what_a_rule_looks_at_is_visited_or_missing() -> None:
    assert Fractions().missing((0.05, 0.2, 0.3)) == [0.2]
    for everywhere in (EveryToken(), ForkProtocol()):
        assert everywhere.missing((0.05, 0.123)) == []
        shown = everywhere.shown_fractions()
        assert shown[0] == 0.0
        assert len(shown) == 20


def test_only_what_is_set_is_chosen() -> None:
    assert Sampling().chosen() == {}
    assert Fractions(temperature=0.0, stop=["x"]).chosen() == {"temperature": 0.0, "stop": ("x",)}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"fractions": []}, "fractions"),
        ({"fractions": [0.5, 0.5]}, "fractions"),
        ({"fractions": [0.5, 0.3]}, "fractions"),
        ({"fractions": [-0.1, 0.3]}, "fractions"),
        ({"fractions": [0.1, 1.2]}, "fractions"),
        ({"fractions": "0.5"}, "fractions"),
        ({"fractions": [True]}, "fractions"),
        ({"n": 0}, "n"),
        ({"n": 2.5}, "n"),
        ({"n": None}, "n"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.01}, "top_p"),
        ({"min_p": 1.01}, "min_p"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"top_k": 0}, "top_k"),
        ({"top_k": 1.5}, "top_k"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"stop": "x"}, "stop"),
        ({"stop": [""]}, "stop"),
    ],
)
def test_bad_values_name_the_key(settings: dict[str, object], name: str) -> None:
    with pytest.raises(ParameterError, match=rf"^{name} is "):
        Fractions(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"half_width": 0}, "half_width"),
        ({"half_width": 1.0}, "half_width"),
        ({"half_width": None}, "half_width"),
        ({"max_forks": 0}, "max_forks"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"over": "median"}, "over"),
        ({"joint": 1}, "joint"),
        ({"pilot": -1}, "pilot"),
        ({"pilot": None}, "pilot"),
        ({"top_p": 0}, "top_p"),
    ],
)
def test_bad_values_of_forks_name_the_key(settings: dict[str, object], name: str) -> None:
    with pytest.raises(ParameterError, match=rf"^{name} is "):
        ForkProtocol(**settings)  # type: ignore[arg-type]


def test_a_budget_is_enough() -> None:
    assert ForkProtocol(half_width=None, max_forks=10).half_width is None
    assert ForkProtocol(half_width=None, max_tokens=10).max_tokens == 10
