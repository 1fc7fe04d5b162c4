"""The headline numbers of a run, each with its interval over problems and its counts.

A summary holds

counts; accuracy, with its range if unscored originals were all wrong or all right;
with_window of all scored, right and wrong originals; window_difference (wrong less right)
and window_difference_within_questions (Mantel-Haenszel); contrasts, all of them
(critwin/contrasts.py); accuracy_with_window,
accuracy_without_window and accuracy_difference (without less with); agreement_at_start of
right and wrong originals, with the mean P(UNSCORED) there; unscored_resamples (those of the
pilot among them); leave_mass (mean, lowest and highest H: the sum of 1 - probability over
the tokens of an original, on which it depends what forks and grids cost); places
(windows per cell of the fractions kept); planted (windows against planted branches, by
kind); forks (critwin/fork_summary.py), where there are plans; headline, rows in reading
order.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from critwin.contrasts import contrast_rows, contrasts
from critwin.curve import Curve
from critwin.feature import UNSCORED
from critwin.fork_expectation import leave_mass
from critwin.fork_summary import headline_rows, summarise_forks
from critwin.planted import Cell, Coincidence, coincidences
from critwin.problem import Problem
from critwin.statistics import (
    Interval,
    clustered_difference,
    clustered_share,
    mantel_haenszel_difference,
    plain,
)

Counts: TypeAlias = "tuple[pd.Series[float], pd.Series[float]]"
"""Hits and trials per problem, the same problems in the same order wherever two are compared."""


def summarise(
    originals: pd.DataFrame,
    resamples: pd.DataFrame,
    curves: Sequence[Curve],
    windows: pd.DataFrame,
    problems: Sequence[Problem],
    *,
    compared: Sequence[float],
    threshold: float | None = None,
    plans: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Give the summary of a run, fit for JSON.

    A share or difference is a mapping with `estimate`, `lower`, `upper` (95 % over problems; null
    where there is nothing to estimate from), `n` and `problems` behind it. Unscored originals are
    neither right nor wrong and are counted apart. An original "has a window" when the probability
    of its own label rises in one.

    Args:
        originals: The originals table.
        resamples: The resamples table.
        curves: Curves of the originals, of all labels: what other labels have with nothing kept
            is what contrasts are matched on.
        windows: The windows table.
        problems: The problems that the originals answer.
        compared: Fractions kept whose neighbouring pairs the window rule compared; empty for all
            positions.
        threshold: Rise above which it calls a jump a window; None where it has none.
        plans: The plans table of a run by forks.

    Returns:
        The keys that stand at the head of this file.

    Source:
        Li, Karan, Chen (2025), arXiv:2502.00921, Table 1: window_difference is its dCW,
        accuracy_difference its dAcc.
    """
    table = _describe(originals, windows)
    own = {curve.original_id: curve for curve in curves if curve.own}
    cells = {name: _compared_cells(curve, compared) for name, curve in own.items() if compared}
    rising = own_rises(windows, originals)
    found = coincidences(originals, rising, cells, problems)
    summary: dict[str, Any] = {"counts": _counts(table, resamples, rising)}
    summary |= _accuracy(table) | _windows(table)
    summary["contrasts"] = contrasts(table, curves, raw=summary, threshold=threshold)
    summary["agreement_at_start"] = {
        name: _start(table[table[name]], own) for name in ("right", "wrong")
    }
    summary["unscored_resamples"] = plain(_unscored_share(table, resamples))
    summary["leave_mass"] = _leave_mass(originals)
    summary["places"] = _places(table, rising, curves, compared)
    summary["planted"] = [_planted(coincidence) for coincidence in found]
    if plans is not None and len(plans):
        summary["forks"] = summarise_forks(plans, _labels(originals))
    summary["headline"] = _headline(summary, everywhere=not compared)
    return summary


def own_rises(windows: pd.DataFrame, originals: pd.DataFrame) -> pd.DataFrame:
    """Give the rows of the windows table in which an original's own, scored label rises."""
    label = windows["original_id"].map(originals.set_index("original_id")["label"])
    scored = windows["label"] != UNSCORED
    return windows[(windows["label"] == label) & scored & (windows["direction"] == "rise")]


def _labels(originals: pd.DataFrame) -> dict[str, str]:
    return dict(zip(originals["original_id"], originals["label"], strict=True))


def _describe(originals: pd.DataFrame, windows: pd.DataFrame) -> pd.DataFrame:
    """Give each original's problem and what it counts as, one bool column each."""
    correct = originals["correct"].astype(object)
    rising = own_rises(windows, originals)
    return pd.DataFrame(
        {
            "original_id": originals["original_id"],
            "problem_id": originals["problem_id"],
            "scored": ~originals["unscored"].astype(bool),
            "right": correct.map(lambda value: value is True or value is np.True_).astype(bool),
            "wrong": correct.map(lambda value: value is False or value is np.False_).astype(bool),
            "truth": originals["truth"].notna(),
            "window": originals["original_id"].isin(rising["original_id"]),
            "windows": originals["original_id"].map(rising["original_id"].value_counts()).fillna(0),
            "label": originals["label"],
            "tokens": originals["surprisal"].map(len),
        }
    )


def _counts(table: pd.DataFrame, resamples: pd.DataFrame, rising: pd.DataFrame) -> dict[str, Any]:
    return {
        "problems": int(table["problem_id"].nunique()),
        "originals": len(table),
        "right": int(table["right"].sum()),
        "wrong": int(table["wrong"].sum()),
        "unscored": int((~table["scored"]).sum()),
        "without_truth": int((~table["truth"]).sum()),
        "resamples": len(resamples),
        "unscored_resamples": int(resamples["unscored"].sum()),
        "windows": len(rising),
        "originals_with_window": int((table["window"] & table["scored"]).sum()),
    }


def _per_problem(table: pd.DataFrame, hit: str, among: pd.Series[bool]) -> Counts:
    hits = (table[hit] & among).groupby(table["problem_id"]).sum().astype(float)
    return hits, among.groupby(table["problem_id"]).sum().astype(float)


def _accuracy(table: pd.DataFrame) -> dict[str, Any]:
    judged = table["right"] | table["wrong"]
    with_window = _per_problem(table, "right", judged & table["window"])
    without_window = _per_problem(table, "right", judged & ~table["window"])
    right, unread = int(table["right"].sum()), int((table["truth"] & ~table["scored"]).sum())
    known = int(judged.sum()) + unread
    lowest, highest = (right / known, (right + unread) / known) if known else (None, None)
    accuracy = plain(clustered_share(*_per_problem(table, "right", judged)))
    return {
        "accuracy": accuracy | {"lowest": lowest, "highest": highest},
        "accuracy_with_window": plain(clustered_share(*with_window)),
        "accuracy_without_window": plain(clustered_share(*without_window)),
        "accuracy_difference": plain(clustered_difference(*without_window, *with_window)),
    }


def _windows(table: pd.DataFrame) -> dict[str, Any]:
    groups = {
        "all": _per_problem(table, "window", table["scored"]),
        "right": _per_problem(table, "window", table["right"]),
        "wrong": _per_problem(table, "window", table["wrong"]),
    }
    pair = (*groups["wrong"], *groups["right"])
    return {
        "with_window": {name: plain(clustered_share(*group)) for name, group in groups.items()},
        "window_difference": plain(clustered_difference(*pair)),
        "window_difference_within_questions": plain(mantel_haenszel_difference(*pair)),
    }


def _start(table: pd.DataFrame, own: Mapping[str, Curve]) -> dict[str, Any]:
    """Give the mean own-label agreement with nothing kept: each original is one trial."""
    rows = []
    for original_id, problem_id in zip(table["original_id"], table["problem_id"], strict=True):
        curve = own.get(original_id)
        if curve is not None and curve.position[0] == 0:
            rows.append((problem_id, curve.agreement[0], curve.unscored[0]))
    frame = pd.DataFrame(rows, columns=["problem_id", "agreement", "unscored"])
    per_problem = frame.groupby("problem_id")
    share = plain(clustered_share(per_problem["agreement"].sum(), per_problem.size()))
    return share | {"unscored": float(frame["unscored"].mean()) if rows else None}


def _unscored_share(table: pd.DataFrame, resamples: pd.DataFrame) -> Interval | None:
    problem = resamples["original_id"].map(table.set_index("original_id")["problem_id"])
    unscored = resamples["unscored"].astype(float).groupby(problem)
    return clustered_share(unscored.sum(), unscored.size())


def _leave_mass(originals: pd.DataFrame) -> dict[str, float] | None:
    """Describe H over the originals; None where a sampler does not say how probable tokens are."""
    mass = [leave_mass(np.exp(-np.asarray(nats, np.float64))) for nats in originals["surprisal"]]
    if np.isnan(mass).any():
        return None
    return {"mean": float(np.mean(mass)), "lowest": min(mass), "highest": max(mass)}


def _cuts(curve: Curve, fractions: Sequence[float]) -> list[int]:
    """Give the position of each fraction: the last one visited that keeps no more than it."""
    at = np.searchsorted(curve.kept, np.asarray(fractions) + 1e-9, side="right") - 1
    return [int(position) for position in curve.position[np.maximum(at, 0)]]


def _compared_cells(curve: Curve, fractions: Sequence[float]) -> list[Cell]:
    """Give the cells between neighbouring fractions."""
    positions = _cuts(curve, fractions)
    return [(a, b) for a, b in itertools.pairwise(positions) if a < b]


def window_cells(
    windows: pd.DataFrame, curves: Sequence[Curve], compared: Sequence[float]
) -> tuple[list[float], pd.Series[int]]:
    """Give the cell of the fractions kept in which each window lies.

    Args:
        windows: The windows table.
        curves: Curves of the run; own labels are looked at.
        compared: Fractions kept whose neighbouring pairs the window rule compared; may be empty.

    Returns:
        The edges of the cells: 0, the fractions and 1, or tenths where there are no fractions; and
        for each window the number of the cell that holds its middle.
    """
    edges = sorted({0.0, *compared, 1.0}) if compared else [tenth / 10 for tenth in range(11)]
    own = {curve.original_id: curve for curve in curves if curve.own}
    found = []
    columns = (windows["original_id"], windows["position_start"], windows["position_end"])
    for original_id, start, end in zip(*columns, strict=True):
        curve, middle = own[original_id], (start + end) / 2
        cuts = _cuts(curve, edges[:-1]) if compared else np.array(edges[:-1]) * curve.length
        found.append(max(int(np.searchsorted(cuts, middle, side="right")) - 1, 0))
    return edges, pd.Series(found, index=windows.index, dtype="int64")


def _places(
    table: pd.DataFrame, rising: pd.DataFrame, curves: Sequence[Curve], compared: Sequence[float]
) -> list[dict[str, Any]]:
    edges, cell = window_cells(rising, curves, compared)
    by_id = table.set_index("original_id").loc[rising["original_id"]]
    of = {"all": by_id["scored"], "right": by_id["right"], "wrong": by_id["wrong"]}
    return [
        {"from": a, "to": b}
        | {
            name: int(((cell == i).to_numpy() & among.to_numpy()).sum())
            for name, among in of.items()
        }
        for i, (a, b) in enumerate(itertools.pairwise(edges))
    ]


def _planted(coincidence: Coincidence) -> dict[str, Any]:
    return {
        "kind": coincidence.kind,
        "observed": plain(coincidence.observed),
        "chance": plain(coincidence.chance),
        "chance_by_tokens": plain(coincidence.chance_by_tokens),
        "excess": plain(coincidence.excess),
    }


def _headline(summary: Mapping[str, Any], *, everywhere: bool) -> list[dict[str, Any]]:
    """Put the numbers that matter into rows, in reading order."""
    unread = f"{summary['counts']['unscored']} unscored apart"
    share, start = summary["with_window"], summary["agreement_at_start"]
    rows = [
        _row("accuracy", summary["accuracy"], unread),
        _row(
            "  without less with a window",
            summary["accuracy_difference"],
            "raw: dAcc of the paper's Table 1",
        ),
        _row("answers with a window", share["all"], unread),
        _row("  of the right answers", share["right"]),
        _row("  of the wrong answers", share["wrong"]),
        _row("  wrong less right", summary["window_difference"], "raw: dCW of the paper's Table 1"),
        *contrast_rows(summary["contrasts"]),
        _row("agreement with nothing kept, right", start["right"], _unread(start["right"])),
        _row(
            "agreement with nothing kept, wrong",
            start["wrong"],
            "; ".join(filter(None, ["below .5 it has to rise", _unread(start["wrong"])])),
        ),
    ]
    if summary["planted"]:
        planted = summary["planted"][0]
        of = "a stretch as long" if everywhere else "a cell of its grid"
        drawn = f"{of}, drawn from the same answer"
        rows += [
            _row("windows at a planted branch", planted["observed"]),
            _row("  by chance", planted["chance"], drawn),
            _row("  more than by chance", planted["excess"]),
        ]
    mass = summary["leave_mass"]
    size = {"n": summary["counts"]["originals"], "problems": summary["counts"]["problems"]}
    ends = {"lower": None, "upper": None}
    if mass is not None:
        spread = f"{mass['lowest']:.2f} to {mass['highest']:.2f}; 1 - probability over its tokens"
        known = {"estimate": mass["mean"], **ends, **size}
        rows.append(_row("choices in an answer, H", known, spread))
    if "forks" not in summary:
        return [*rows, _row("resamples that could not be read", summary["unscored_resamples"])]
    rare = "they take less probable tokens than resamples do"
    rows += headline_rows(summary["forks"], **size)
    return [*rows, _row("forks that could not be read", summary["unscored_resamples"], rare)]


def _unread(start: Mapping[str, Any]) -> str:
    """Say how much the unscored could add to an agreement, where three digits show it."""
    unscored = start["unscored"] or 0.0
    return f"up to {unscored:.3f} more, unscored" if unscored >= 0.0005 else ""


def _row(name: str, interval: Mapping[str, Any], note: str = "") -> dict[str, Any]:
    keys = ("estimate", "lower", "upper", "n", "problems")
    return {"name": name, **{key: interval[key] for key in keys}, "note": note}
