"""The figure of plateaus: each label's curve, each step shaded, and who is alive in between."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from critwin.curve import Curve
from critwin.plateau_figure import plateaus, with_plateaus


def curve(label: str, values: list[float], *, own: bool = False) -> Curve:
    p = np.array(values)
    return Curve(
        original_id="x",
        label=label,
        own=own,
        estimator="grid",
        length=len(p) - 1,
        position=np.arange(len(p)),
        agreement=p,
        lower=p,
        upper=p,
        trials=np.full(len(p), 10),
        unscored=np.zeros(len(p)),
    )


STEPS = pd.DataFrame(
    {
        "original_id": ["x", "x", "y"],
        "position_start": [6, 2, 1],
        "position_end": [7, 3, 2],
        "alive_before": [["$a", "b"], ["$a", "b", "c"], ["d"]],
        "alive_after": [["$a"], ["$a", "b"], ["d"]],
    }
)
A = [0.3] * 3 + [0.5] * 4 + [1.0] * 2
CURVES = [
    curve("b", [0.3] * 3 + [0.5] * 4 + [0.0] * 2),
    curve("$a", A, own=True),
    curve("c", [0.4] * 3 + [0.0] * 6),
]


def test_the_original_with_most_steps_is_drawn() -> None:
    assert with_plateaus(STEPS) == "x"
    assert with_plateaus(STEPS.assign(alive_before=None)) is None


def test_curves_steps_and_labels_that_are_alive() -> None:
    figure = plateaus(CURVES, STEPS[STEPS["original_id"] == "x"])
    (axes,) = figure.axes
    assert axes.lines[0].get_ydata().tolist() == A  # type: ignore[union-attr]
    times = [t.get_text() for t in axes.texts if "mathrm" in t.get_text()]
    # eight tokens: the steps 2 to 3 and 6 to 7 lie where so many are removed
    assert sorted(re.findall(r"\d+", " ".join(times))) == ["1", "2", "5", "6"]
    names = [t for t in axes.texts if "mathrm" not in t.get_text()]
    assert [t.get_text() for t in names] == ["$a\nb\nc", "$a\nb", "$a"]
    assert [t.get_position()[0] for t in names] == [1.0, 4.5, 7.5]
    spans = sorted((p.get_extents().x0, p.get_extents().x1) for p in axes.patches)
    shown = [axes.transData.inverted().transform([(a, 0), (b, 0)])[:, 0] for a, b in spans]
    np.testing.assert_allclose(shown, [(2, 3), (6, 7)], atol=1e-6)


def test_many_long_and_odd_labels_are_cut() -> None:
    many = STEPS.iloc[:1].assign(
        alive_before=[[f"{i} very long label\n" for i in range(7)]], alive_after=[[]]
    )
    figure = plateaus(CURVES, many)
    told = [t.get_text() for t in figure.axes[0].texts]
    before, after = (text.split("\n") for text in told if "mathrm" not in text)
    assert len(before) == 5
    assert before[-1] == "and 3 more"
    assert max(map(len, before)) <= 14
    assert after == ["none"]
