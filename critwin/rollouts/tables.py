"""Rollout files as the tables of a run, and their headline numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from critwin.curve import GridCurve, MeasuredCurve
from critwin.records import ORIGINALS
from critwin.rollouts.branches import BranchCurve, Branches
from critwin.rollouts.rows import Rollouts
from critwin.statistics import (
    Interval,
    clustered_difference,
    clustered_share,
    plain,
)
from critwin.window import Window

AGREES = "agrees"
"""Label of a trajectory known by counts alone: what it decided is not in the file."""

BLANK = "·"
"""Stands for a token whose text is not known."""

_SHOWN = 100
"""Rows left out that the summary names."""


def count_curve(rows: pd.DataFrame) -> tuple[GridCurve, tuple[str, ...]]:
    """Give the curve of one trajectory by counts, and the text of each of its tokens.

    Args:
        rows: Its rows, as `check_rows` leaves them. The token in a row is the one that comes next,
            so that a row with a token is not the last position: after it everything is kept, where
            agreement is 1. Without a token in it the last row is taken as the last position.
    """
    position = rows["position"].to_numpy(np.int64)
    hits, trials = rows["agreeing"].to_numpy(np.int64), rows["trials"].to_numpy(np.int64)
    more = rows["token"].iloc[-1] is not None and not pd.isna(rows["token"].iloc[-1])
    length = max(int(position[-1]) + more, 1)
    tokens = np.full(length, "", object)
    known = rows[rows["token"].notna()]
    tokens[known["position"].to_numpy(np.int64)] = known["token"].to_numpy(object)
    name = str(rows["trajectory_id"].iloc[0])
    curve = GridCurve.counted(hits, trials, position, length=length, original_id=name, label=AGREES)
    return curve, tuple(tokens)


def rollout_originals(
    curves: Sequence[MeasuredCurve], tokens: Mapping[str, Sequence[str]]
) -> pa.Table:
    """Put trajectories into the originals table; what the file does not say is null or blank.

    Args:
        curves: The curve of each trajectory's own label.
        tokens: Text of each token by original_id; empty where it is not known.
    """
    rows = []
    for curve in curves:
        texts = tokens[curve.original_id]
        nats = np.full(curve.length, math.nan)
        if isinstance(curve, BranchCurve):
            with np.errstate(divide="ignore"):
                nats = 0.0 - np.log(curve.branches.probability)
        rows.append(
            {
                "original_id": curve.original_id,
                "problem_id": curve.original_id,
                "replicate": 0,
                "prompt": "",
                "prompt_ids": [],
                "text": "".join(texts),
                "token_ids": [-1] * curve.length,
                "tokens": [text or BLANK for text in texts],
                "surprisal": nats,
                "label": curve.label,
                "unscored": False,
            }
        )
    return pa.Table.from_pylist(rows, schema=ORIGINALS)


def summarise_rollouts(
    rollouts: Rollouts, curves: Sequence[MeasuredCurve], windows: Sequence[Window]
) -> dict[str, Any]:
    """Give the summary of a detection, fit for JSON.

    Args:
        rollouts: The rows that were used and those left out.
        curves: The curve of each trajectory's own label.
        windows: The windows found.

    Returns:
        counts; rows (read, used, left_out with line and reason, columns left out); with_window
        (rises) and with_fall, each with its interval over trajectories; half_width (mean over
        positions that were measured, and largest mean of a trajectory; pointwise 95 %); for
        branches also coverage and path_check; headline, rows in reading order.
    """
    rising = {w.original_id for w in windows if w.direction == "rise"}
    falling = {w.original_id for w in windows if w.direction == "fall"}
    half = [_half_width(curve) for curve in curves]
    left_out = [{"line": r.line, "reason": r.reason} for r in rollouts.rejected]
    counts = {
        "trajectories": len(curves),
        "positions": int(sum((c.position < c.length).sum() for c in curves)),
        "windows": len(windows),
        "rises": sum(w.direction == "rise" for w in windows),
        "trajectories_with_window": len(rising),
        "rows_left_out": len(left_out),
    }
    summary: dict[str, Any] = {
        "form": rollouts.form,
        "counts": counts,
        "rows": {
            "read": rollouts.read,
            "used": len(rollouts.rows),
            "left_out": left_out[:_SHOWN],
            "columns_left_out": list(rollouts.ignored),
        },
        "with_window": plain(_share(curves, rising)),
        "with_fall": plain(_share(curves, falling)),
        "half_width": {"mean": float(np.mean(half)), "largest": float(max(half))},
    }
    branched = [curve for curve in curves if isinstance(curve, BranchCurve)]
    if branched:
        summary["coverage"] = _coverage([curve.branches for curve in branched])
        summary["path_check"] = plain(_path_check(branched))
    summary["headline"] = _headline(summary)
    return summary


def _half_width(curve: MeasuredCurve) -> float:
    measured = curve.position < curve.length
    if not measured.any():
        return 0.0
    return float((curve.upper - curve.lower)[measured].mean() / 2)


def _share(curves: Sequence[MeasuredCurve], ids: set[str]) -> Interval | None:
    hits = [float(curve.original_id in ids) for curve in curves]
    return clustered_share(hits, np.ones(len(hits)))


def _coverage(branches: Sequence[Branches]) -> dict[str, Any]:
    """Say what the branches of the file did not cover, over the positions that have any."""
    uncovered = np.concatenate([b.uncovered[b.branched] for b in branches])
    mean = [float((1 - b.probability).sum()) for b in branches]
    return {
        "uncovered_mean": float(uncovered.mean()),
        "uncovered_largest": float(uncovered.max()),
        "positions": len(uncovered),
        "positions_without_branches": int(sum((~b.branched).sum() for b in branches)),
        "branches_without_rollouts": float(
            sum((b.undrawn * (1 - b.probability)).sum() for b in branches) / max(sum(mean), 1e-300)
        ),
        "rollouts": int(sum(b.rollouts.sum() for b in branches)),
        "path_rollouts": int(sum(b.path_counts.sum() for b in branches)),
        "leave_mass": {"mean": float(np.mean(mean)), "lowest": min(mean), "highest": max(mean)},
    }


def _path_check(curves: Sequence[BranchCurve]) -> Interval | None:
    """Hold rollouts of the path's own token against the curve, which does not use them."""
    hits, expected, trials = [], [], []
    for curve in curves:
        drawn = curve.branches.path_counts.sum(axis=1)
        hits.append(float(curve.branches.path_counts[:, 0].sum()))
        expected.append(float((drawn * curve.agreement[1:]).sum()))
        trials.append(float(drawn.sum()))
    return clustered_difference(hits, trials, expected, trials)


def _headline(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    counts, half = summary["counts"], summary["half_width"]
    size = {"n": counts["trajectories"], "problems": counts["trajectories"]}
    out = f"{counts['rows_left_out']} rows left out, {summary['rows']['used']} used"
    falls = f"{counts['windows'] - counts['rises']} falls"
    rows = [
        _row("trajectories with a window", summary["with_window"], out),
        _row("trajectories with a fall", summary["with_fall"], falls),
        _bare("windows (rises)", counts["rises"], "", size),
        _bare(
            "half-width",
            half["mean"],
            f"95 %, pointwise, mean over positions; at most {half['largest']:.3f}",
            size,
        ),
    ]
    if "coverage" not in summary:
        return rows
    covered = summary["coverage"]
    positions = {"n": covered["positions"], "problems": counts["trajectories"]}
    mass = covered["leave_mass"]
    return [
        *rows,
        _bare(
            "choices in a trajectory, H",
            mass["mean"],
            f"{mass['lowest']:.2f} to {mass['highest']:.2f}; 1 - probability over its tokens",
            size,
        ),
        _bare(
            "probability that branches do not cover",
            covered["uncovered_mean"],
            f"at most {covered['uncovered_largest']:.3f}; branches are renormalised",
            positions,
        ),
        _bare(
            "positions without branches",
            covered["positions_without_branches"],
            "taken as tokens without a choice",
            positions,
        ),
        _bare(
            "  leaving probability without rollouts",
            covered["branches_without_rollouts"],
            "enters every interval with [0, 1]",
            positions,
        ),
        _row(
            "rollouts of the path less the curve",
            summary["path_check"],
            "0 where the identity holds; they are no part of the curve",
        ),
    ]


def _row(name: str, interval: Mapping[str, Any], note: str = "") -> dict[str, Any]:
    keys = ("estimate", "lower", "upper", "n", "problems")
    return {"name": name, **{key: interval[key] for key in keys}, "note": note}


def _bare(name: str, value: float, note: str, size: Mapping[str, int]) -> dict[str, Any]:
    return {"name": name, "estimate": value, "lower": None, "upper": None, **size, "note": note}
