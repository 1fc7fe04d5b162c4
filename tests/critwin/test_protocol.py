"""Sampling parameters and levels, and what is refused."""

from __future__ import annotations

import pytest

from critwin.errors import ParameterError
from critwin.protocol import PAPER_FRACTIONS, Fractions, Sampling


def test_fractions_visit_nothing_kept_and_leave_out_everything() -> None:
    assert Fractions().kept_fractions() == (0.0, *PAPER_FRACTIONS)
    assert Fractions(fractions=(0, 0.5, 1)).kept_fractions() == (0.0, 0.5)
    assert Fractions(n=7).draws == 7


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
