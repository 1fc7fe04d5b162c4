"""Second tries: what the model is shown, and how they are counted."""

from __future__ import annotations

import pandas as pd
import pytest

from critwin.errors import ParameterError
from critwin.prompt import Prompt
from critwin.retrying import RetryPrompts, random_stretch, shown_window, summarise_retries
from critwin.window import Window

TOKENS = ["So", " he", " has", " 4", ".", ""]


def window(start: int, end: int, *, jump: float, lower: float, direction: str = "rise") -> Window:
    return Window(
        original_id="x",
        label="4",
        rule="r",
        direction=direction,  # type: ignore[arg-type]
        position_start=start,
        position_end=end,
        place_lower=start,
        place_upper=end,
        jump=jump,
        jump_lower=lower,
        jump_upper=1.0,
        length=6,
    )


def test_words_of_a_second_try() -> None:
    words = RetryPrompts(shown="{question} {answer}| look at{stretch}", plain="{question} again")
    asked = Prompt("How many?", system="Count.", prefix="Well:")
    shown = words.render(asked, TOKENS, (1, 3))
    assert shown == Prompt(
        "How many? So he has 4.| look at he has", system="Count.", prefix="Well:"
    )
    assert words.render(asked, TOKENS, None).user == "How many? again"
    assert not words.in_place


def test_going_on_in_place() -> None:
    words = RetryPrompts(shown="{question}", shown_prefix="{before}{stretch} Wait,")
    asked = Prompt("How many?")
    assert words.render(asked, TOKENS, (1, 3)).prefix == "So he has Wait,"
    assert words.render(asked, TOKENS, None).prefix == ""
    assert words.in_place


def test_prompts_that_show_nothing_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"^shown is "):
        RetryPrompts(shown="{question}")
    with pytest.raises(ParameterError, match=r"^plain is "):
        RetryPrompts(shown="{stretch}", plain="{stretch}")


def test_the_highest_certified_rise_is_shown() -> None:
    found = [
        window(0, 1, jump=0.9, lower=-0.1),  # not certain
        window(1, 2, jump=0.6, lower=0.2),
        window(3, 5, jump=0.7, lower=0.1),
        window(4, 5, jump=0.8, lower=0.5, direction="fall"),
    ]
    assert shown_window(found) == (3, 5)
    assert shown_window(found[:1]) is None


def test_random_stretches_are_apart_from_the_window_and_as_long() -> None:
    drawn = {random_stretch(8, (3, 5), seed=seed) for seed in range(200)}
    assert drawn == {(0, 2), (1, 3), (5, 7), (6, 8)}
    assert random_stretch(4, (1, 3), seed=0) is None


def test_summary_by_hand() -> None:
    rows = [
        ("a", "p", arm, right, False)
        for arm, hits in (("window", (1, 1)), ("random", (1, 0)), ("plain", (0, 0)))
        for right in hits
    ]
    rows += [("b", "q", arm, 1, True) for arm in ("window", "random", "plain")]
    table = pd.DataFrame(rows, columns=["original_id", "problem_id", "arm", "right", "was_right"])
    table = table.astype({"right": bool}).assign(unscored=False, tokens_generated=7)
    summary = summarise_retries(table, originals=5)
    arms = summary["wrong"]["arms"]
    assert [arms[arm]["estimate"] for arm in ("window", "random", "plain")] == [1.0, 0.5, 0.0]
    assert summary["wrong"]["window_less_random"]["estimate"] == 0.5
    assert summary["right"]["arms"]["window"]["estimate"] == 1.0
    assert summary["wrong"]["tokens"]["window"] == 14
    assert summary["counts"] == {
        "originals": 5,
        "with_a_window": 2,
        "wrong_with_a_window": 1,
        "unscored": 0,
    }
