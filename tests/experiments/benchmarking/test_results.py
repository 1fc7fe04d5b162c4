"""Ratios by hand, and the keys of the summary."""

from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.benchmarking.choices import Choices, Trial
from experiments.benchmarking.figures import ratio_figure, time_figure
from experiments.benchmarking.results import Drawing, Forking, Round, Truncating
from experiments.benchmarking.summary import summarise

KEYS = {
    "c_over_a_resamples_per_second": 4.0,
    "c_over_b_resamples_per_second": 8.0,
    "every_token_tokens_over_d_tokens_05": 60.0,
    "every_token_tokens_over_d_tokens_02": 110.0,
    "a_seconds_over_d_seconds": 120.0,
    "c_forward_share": 0.9,
}


def drawing(seconds: float, share: float | None = None) -> Drawing:
    return Drawing(100, 3000, seconds, 10**6, share)


def round_(*, paged: bool = True, engine: float = 1.0) -> Round:
    stages = {"paths": 0.1, "forks": 1.5, "labels": 0.1, "intervals": 0.1, "planning": 0.2}
    return Round(
        generate=drawing(4.0),
        paged=drawing(8.0) if paged else None,
        engine=drawing(engine, 0.9),
        forks={
            "05": Forking(0.05, 70, 1000, 2.0, stages, None),
            "02": Forking(0.019, 300, 5000, 4.0, stages, None),
        },
        every_token={
            "05": Truncating(0.05, 2000, 60_000.0, 300.0, 100),
            "02": Truncating(0.02, 9000, 550_000.0, 480.0, 100),
        },
    )


def choices() -> Choices:
    trials = {"generate on the grid": Trial("one prefix in a call", {"one prefix in a call": 25.0})}
    return Choices(None, None, None, "it does not run", trials)


def summary_of(*rounds: Round) -> dict:
    warm_up = replace(rounds[0], generate=drawing(9.0, 0.7), every_token={})
    return summarise(
        rounds, warm_up=warm_up, choices=choices(), limit=None, facts={"machine": {"cores": 2}}
    )


def test_ratios_by_hand() -> None:
    ratios = round_().ratios()
    assert {key: ratios[key] for key in KEYS} == pytest.approx(KEYS)
    assert ratios["a_seconds_over_d_seconds_05"] == 150.0


def test_the_summary_holds_medians_and_ends() -> None:
    summary = summary_of(round_(), round_(engine=0.5), round_(engine=0.8))
    assert summary["c_over_a_resamples_per_second"] == 5.0
    assert summary["c_over_a_resamples_per_second_min"] == 4.0
    assert summary["c_over_a_resamples_per_second_max"] == 8.0
    assert {f"{key}{end}" for key in KEYS for end in ("", "_min", "_max")} <= set(summary)
    assert summary["machine"] == {"cores": 2}
    assert summary["methods"]["generate"]["forward_share"] == 0.7  # from the warm-up
    assert summary["methods"]["engine"]["forward_share"] == 0.9
    assert summary["precision"]["02"]["forks"]["half_width"]["median"] == 0.019
    # 550,000 tokens at the engine's 3,000 a second
    assert summary["precision"]["02"]["every_token_by_engine"]["seconds"]["max"] == 550 / 3


def test_a_method_that_does_not_run_has_no_ratio() -> None:
    summary = summary_of(round_(paged=False))
    for end in ("", "_min", "_max"):
        assert summary[f"c_over_b_resamples_per_second{end}"] is None
    assert summary["methods"]["paged"] is None
    assert summary["choices"]["paged_refused"] == "it does not run"
    rows = {row[0]: row for table in summary["tables"] for row in table["rows"]}
    assert rows["C over B, resamples per second"][1:] == [None, None, None]


def test_tables_are_rectangles_and_figures_show_what_there_is() -> None:
    summary = summary_of(round_(paged=False))
    for table in summary["tables"]:
        assert {len(row) for row in table["rows"]} == {len(table["columns"])}
    names = [tick.get_text() for tick in ratio_figure(summary).axes[0].get_yticklabels()]
    assert len(names) == 5
    assert not any("B" in name for name in names)
    bars = [tick.get_text() for tick in time_figure(summary).axes[0].get_yticklabels()]
    assert [bar[0] for bar in bars] == ["A", "C", "D", "D"]
