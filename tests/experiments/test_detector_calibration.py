"""Calibrated baselines: the same cuts as PELT, the least settings, and the level on other draws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from critwin.changes import Sought, Width
from critwin.windows.change_point import ChangePoint, segments
from critwin.windows.paper_jump import PaperJump
from experiments.detecting.beside import against_calibrated, against_keeping
from experiments.detecting.calibration import (
    CALIBRATION,
    LEVEL,
    Calibrated,
    best_cuts,
    calibrate,
    read_calibration,
)
from experiments.detecting.draws import KINDS, Budget, Drawn, Kind, draw
from experiments.detecting.rules import UsualStep
from experiments.detecting.sources import planted, true_stretches

EMPTY = [s for s in planted() if not true_stretches(s.curve, threshold=0.2, width=10)]
MANY = 12
SOUGHT = Sought(0.2, Width(10))


def calibrated(kind: Kind, size: int) -> Calibrated:
    import pyarrow as pa

    budget = Budget(kind, "draws", size)
    rows = calibrate(EMPTY, budget, sought=SOUGHT, trajectories=MANY, seed=0)
    return read_calibration(pa.Table.from_pylist(rows, schema=CALIBRATION))[budget]


def test_planted_originals_without_a_window() -> None:
    rises = {f"{height} over 30" for height in (0.25, 0.5)}  # too slow
    rises |= {f"0.15 over {width}" for width in (1, 3, 10)}
    assert {s.name for s in EMPTY} == {"level", "drift", "dips", "teeth", *rises}


def test_cuts_are_those_of_pelt_at_every_penalty() -> None:
    rng = np.random.default_rng(0)
    penalties = np.array([0.25, 1.0, 1.5, 4.0, 32.0])
    for _ in range(4):
        p = np.repeat(rng.random(4), rng.integers(3, 12, 4))
        hits, trials = rng.binomial(12, p).astype(float), np.full(len(p), 12.0)
        found = best_cuts(hits, trials, penalties)
        for cuts, penalty in zip(found, penalties, strict=True):
            assert cuts == segments(hits, trials, float(penalty))


@pytest.mark.parametrize("kind", KINDS)
def test_a_calibrated_baseline_keeps_the_level_on_other_draws(kind: Kind) -> None:
    """Both shares are counted from 108 trajectories: 3 standard errors of their difference."""
    rules = calibrated(kind, 25).rules(0.2)
    alarmed = dict.fromkeys(rules, 0)
    for number, source in enumerate(EMPTY):
        for r in range(MANY):
            rng = np.random.default_rng([7, number, r])
            curve = draw(source, Budget(kind, "draws", 25), rng, SOUGHT).curves[0]
            for name, rule in rules.items():
                alarmed[name] += any(w.direction == "rise" for w in rule.find(curve))
    total = MANY * len(EMPTY)
    for name, count in alarmed.items():
        most = LEVEL + 3 * math.sqrt(2 * LEVEL * (1 - LEVEL) / total)
        assert count / total <= most, name


def test_settings_are_the_least_that_keep_the_level() -> None:
    """At the threshold at most 5 % of an original's draws fire; a little below it more do."""
    budget = Budget("every token", "draws", 10)
    rows = calibrate(EMPTY, budget, sought=SOUGHT, trajectories=MANY, seed=3)
    values = {row["rule"]: row["value"] for row in rows}
    total = MANY * len(EMPTY)
    assert all(row["alarmed"] <= LEVEL * total for row in rows)
    assert all(row["trajectories"] == total for row in rows)
    from critwin.seeds import fold_in

    curves = [
        [
            draw(s, budget, np.random.default_rng(fold_in(3, "calibration", s.name, r)), SOUGHT)
            for r in range(MANY)
        ]
        for s in EMPTY
    ]

    def fires(rule: UsualStep | PaperJump | ChangePoint, drawn: Drawn) -> bool:
        return any(w.direction == "rise" for w in rule.find(drawn.curves[0]))

    def share(rule: UsualStep | PaperJump | ChangePoint) -> float:
        return max(sum(fires(rule, drawn) for drawn in own) / MANY for own in curves)

    assert share(UsualStep(threshold=values["step"])) <= LEVEL
    assert share(UsualStep(threshold=values["step"] - 2e-6)) > LEVEL
    assert share(PaperJump(threshold=values["paper_jump"])) <= LEVEL
    assert share(PaperJump(threshold=values["paper_jump"] - 2e-6)) > LEVEL
    assert share(ChangePoint(penalty=values["change_point"])) <= LEVEL


def test_with_a_single_draw_no_step_means_anything() -> None:
    """Every step is 0 or 1, so only a threshold above 1 keeps the level."""
    budget = Budget("every token", "draws", 1)
    row = calibrate(EMPTY, budget, sought=SOUGHT, trajectories=4, seed=0)[0]
    assert (row["rule"], row["alarmed"]) == ("step", 0)
    assert row["value"] > 1


def test_where_a_calibrated_baseline_finds_more_it_is_said() -> None:
    def row(rule: str, size: int, within: float) -> dict[str, object]:
        cell = {"kind": "forks", "equal": "draws", "size": size, "rule": rule}
        return {**cell, "within": within, "alarmed_worst": 0.0}

    pooled = [
        *(row("confident_jump", 5, 0.3), row("step_calibrated", 5, 0.4), row("step", 5, 0.9)),
        *(row("confident_jump", 10, 0.6), row("step_calibrated", 10, 0.5)),
    ]
    table = against_calibrated(pooled)
    assert [r[-1] for r in table["rows"]] == ["step", "step"]
    assert "finds less than the best of them on forks at 5 draws." in table["note"]
    assert "no less" in against_calibrated(pooled[3:])["note"]


def test_baselines_that_fire_too_often_are_not_compared() -> None:
    def row(rule: str, within: float, clear: float, alarmed: float) -> dict[str, object]:
        cell = {"kind": "forks", "equal": "draws", "size": 5, "rule": rule}
        return {**cell, "within": within, "clear": clear, "alarmed_worst": alarmed}

    pooled = [row("confident_jump", 0.6, 0.8, 0.0), row("hierarchy", 0.7, 0.9, 0.0)]
    pooled += [row("step", 0.9, 1.0, 0.06), row("step_calibrated", 0.9, 1.0, 0.0)]
    table = against_keeping(pooled, 0.3)
    assert table["rows"] == [["forks", "5 draws", 0.6, None, "-", 0.8, None, "-"]]
    assert against_calibrated(pooled[:1])["rows"] == [
        ["forks", "5 draws", 0.6, 0.0, None, None, "-"]
    ]
    assert "no less at any budget" in table["note"]
    table = against_keeping([*pooled, row("change_point", 0.7, 0.9, 0.05)], 0.3)
    assert table["rows"][0][2:] == [0.6, 0.7, "change_point", 0.8, 0.9, "change_point"]
    assert table["note"].count("finds less on forks at 5 draws.") == 2
