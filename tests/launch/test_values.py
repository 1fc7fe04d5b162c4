"""Config values against annotations."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pytest

from launch.values import as_tuples, describe, fits


@pytest.mark.parametrize(
    ("value", "hint", "fitting"),
    [
        (1, int, True),
        (True, int, False),
        (1.0, int, False),
        (1, float, True),
        (True, float, False),
        ("1", float, False),
        (None, int | None, True),
        (None, int, False),
        (True, bool, True),
        (1, bool, False),
        ("a", Literal["a", "b"], True),
        ("c", Literal["a", "b"], False),
        ([0.1, 1], tuple[float, ...], True),
        (["a"], tuple[float, ...], False),
        ("ab", tuple[str, ...], False),
        ([[1.0], [2]], tuple[tuple[float, ...], ...], True),
        ([1, "a"], tuple[int, str], True),
        ([1], tuple[int, str], False),
        ([1], Sequence[int], True),
        ({"a": 1}, Mapping[str, object], True),
        ([1], Mapping[str, object], False),
        ([1], list, True),
        (object(), Any, True),
    ],
)
def test_fits(value: object, hint: Any, fitting: bool) -> None:
    assert fits(value, hint) is fitting


def test_describe() -> None:
    assert describe(int | None) == "a whole number or null"
    assert describe(tuple[float, ...]) == "a list, each a number"
    assert describe(Literal["a", "b"]) == "a, b"
    assert describe(Mapping[str, object]) == "keys with values"


def test_lists_become_tuples_where_the_annotation_says_so() -> None:
    assert as_tuples([[1.0], [2.0]], tuple[tuple[float, ...], ...]) == ((1.0,), (2.0,))
    assert as_tuples(["a"], tuple[str, ...] | None) == ("a",)
    assert as_tuples(None, tuple[str, ...] | None) is None
    assert as_tuples(["a"], list[str]) == ["a"]
