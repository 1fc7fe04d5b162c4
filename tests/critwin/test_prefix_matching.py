"""Curves by generations that begin alike, and when choices are made: by hand and against a law."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np

from critwin.features.form_blanks import FormBlanks
from critwin.prefix_matching import choice_times, matched_curve
from critwin.problems.assistant import answers, draw_answer, draw_kind

FORM = FormBlanks(pattern=r"A: (?P<a>\w+)\. B: (?P<b>\w+)\.")


def test_curve_by_hand() -> None:
    others = ["ax", "ab", "b", "ab"]
    curve = matched_curve("ab", "yes", others, ["no", "yes", "no", "no"])
    assert curve.trials.tolist() == [4, 3, 2]
    assert curve.hits.tolist() == [1, 1, 1]
    lower, upper = curve.interval()
    assert np.all(lower <= curve.agreement)
    assert np.all(curve.agreement <= upper)


def test_choices_are_made_where_others_part() -> None:
    text = "A: cat. B: dog."
    others = ["A: cat. B: dim.", "A: car. B: dog.", "A: dot. B: dog.", "nothing"]
    first, second = choice_times(text, FORM, others)
    assert (first.before, first.after) == (3, 6)  # cat and car part at the t
    assert (second.before, second.after) == (11, 13)  # dog and dim part at the o, among all
    assert set(first.alive) == {"cat", "car", "dot"}
    assert set(second.alive) == {"dog", "dim"}


def test_times_of_a_choice_that_nobody_makes_otherwise() -> None:
    (only, _) = choice_times("A: cat. B: dog.", FORM, ["A: cat. B: dog."])
    assert (only.before, only.after, only.alive) == (3, 3, ("cat",))


def test_curve_is_the_laws() -> None:
    rng = random.Random(0)
    talk = draw_kind(rng, "form")
    law = answers(talk, aligned=True)
    drawn = [draw_answer(rng, talk, aligned=True)[0] for _ in range(20_000)]
    text = Counter(drawn).most_common(1)[0][0]
    curve = matched_curve(text, text, drawn, drawn)
    own = dict(law)[text]
    for s in range(0, len(text) + 1, 4):
        reached = sum(p for other, p in law if other.startswith(text[:s]))
        p = own / reached
        error = np.sqrt(p * (1 - p) / curve.trials[s])
        assert abs(curve.agreement[s] - p) <= 4.5 * error + 1e-12
