"""Verdicts in a summary and in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from critwin.verdict_summary import add_verdicts, verdict_texts
from critwin.window import Scale, Verdict, verdicts_table

BASE = Verdict(
    original_id="a", label="4", rule="confident_jump", direction="rise", threshold=0.5,
    max_width=10.0, unit="tokens", verdict="window", windows=1, change=0.8, change_lower=0.6,
    change_upper=0.9, pairs=30, left_out=5, everywhere=True,
)  # fmt: skip
ORIGINALS = pd.DataFrame({"original_id": ["a", "b", "c"], "problem_id": ["p", "p", "q"]})


def summary_of(*verdicts: Verdict) -> dict[str, Any]:
    kept = {"name": "agreement with nothing kept, right"}
    summary: dict[str, Any] = {"headline": [kept, {"name": "last"}]}
    add_verdicts(summary, ORIGINALS, verdicts_table(verdicts).to_pandas())
    return summary


def test_shares_of_verdicts_stand_after_the_contrasts() -> None:
    none = replace(BASE, original_id="b", verdict="none", windows=0, change_upper=0.4)
    open_ = replace(BASE, original_id="c", verdict="undecided", windows=0)
    fall = replace(BASE, direction="fall")
    summary = summary_of(BASE, none, open_, fall)
    for name in ("window", "none", "undecided"):
        found = summary["verdicts"][name]
        assert found["estimate"] == pytest.approx(1 / 3)
        assert (found["n"], found["problems"]) == (3, 2)
        assert found["lower"] < 1 / 3 < found["upper"]
    assert summary["verdicts"]["falls"] == 1
    names = [row["name"] for row in summary["headline"]]
    assert names[0] == "certainly with a window"
    assert names[3:] == ["agreement with nothing kept, right", "last"]
    assert summary["headline"][0]["note"].startswith("a rise above 0.5 over at most 10 tokens")


def test_a_rule_without_verdicts_adds_nothing() -> None:
    summary = summary_of()
    assert list(summary) == ["headline"]
    assert len(summary["headline"]) == 2


def test_quantiles_of_the_scale_count_originals_without_a_rise_as_infinite() -> None:
    def scaled(name: str, lower: float | None, value: float | None, upper: float | None) -> Verdict:
        tokens = Scale(estimate=value, lower=lower, upper=upper)
        share = Scale(estimate=value and value / 10, lower=lower and lower / 10, upper=None)
        return replace(
            BASE, original_id=name, rule="scale", max_width=float("inf"),
            scale={"tokens": tokens, "fraction": share}, paper={"paper_25": 0.5, "paper_100": 0.2},
        )  # fmt: skip

    summary = summary_of(scaled("a", 1, 2, 3), scaled("b", 4, None, None), scaled("c", 2, 5, 9))
    scale = summary["scale"]
    assert scale["tokens"]["median"] == {"estimate": 5, "lower": 2, "upper": 9}
    assert scale["tokens"]["ninth tenth"] == {"estimate": None, "lower": 4, "upper": None}
    assert (scale["finite"], scale["certified"], scale["n"]) == (2, 2, 3)
    assert "nats" not in scale
    assert scale["paper_25"]["estimate"] == 0.5
    assert scale["paper_shifted_25"]["estimate"] is None
    assert summary["verdicts"]["max_width"] is None


def test_in_words() -> None:
    none = replace(BASE, original_id="b", verdict="none", change_upper=0.4)
    open_ = replace(BASE, original_id="c", verdict="undecided", everywhere=False)
    texts = verdict_texts(
        verdicts_table([BASE, replace(BASE, direction="fall"), none, open_]).to_pandas()
    )
    assert texts["a"] == (
        "certainly a rise above 0.5 over at most 10 tokens; "
        "certainly a fall above 0.5 over at most 10 tokens"
    )
    assert texts["b"] == "certainly no rise above 0.5 over at most 10 tokens: at most 0.40"
    assert texts["c"].endswith("at most 0.90 between the positions visited")
    wide = replace(BASE, max_width=np.inf)
    assert verdict_texts(verdicts_table([wide]).to_pandas())["a"] == "certainly a rise above 0.5"
