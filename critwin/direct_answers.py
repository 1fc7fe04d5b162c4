"""Direct answers beside resamples: how well does the cheap reading tell the dear one?

At a cut, resampling asks how probable it is that the generation ends in a label. A direct answer
asks the model right there what its answer is. Both are about the same cut, and they are different
quantities: nothing here averages one with the other.

Source: Li, Karan, Chen (2025), arXiv:2502.00921, Figure 11.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from critwin.feature import UNSCORED
from critwin.statistics import (
    Interval,
    clustered_difference,
    clustered_share,
    plain,
)

DIRECT = pa.schema(
    [
        ("original_id", pa.string()),
        ("problem_id", pa.string()),
        ("position", pa.int32()),  # tokens kept
        ("t", pa.float64()),
        ("kept", pa.float64()),
        ("resampled", pa.float64()),  # share of resamples with the original's label
        ("resamples", pa.int32()),
        ("resamples_unscored", pa.float64()),
        ("direct", pa.float64()),  # share of direct answers with the original's label
        ("directs", pa.int32()),
        ("directs_unscored", pa.float64()),
        ("direct_label", pa.string()),  # most frequent direct answer, by name among equals
        ("direct_label_resampled", pa.float64()),  # share of resamples with that label
        ("modal_label", pa.string()),  # most frequent label of the resamples
    ]
)

BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Edges of the bins of resampled agreement in which direct agreement is shown."""


def direct_table(originals: pd.DataFrame, resamples: pd.DataFrame) -> pa.Table:
    """Put direct answers beside the resamples of the same cut, one row per original and cut.

    Args:
        originals: Columns original_id, problem_id, label, token_ids of the originals table.
        resamples: The resamples table, rows of kind `grid` and `direct`.

    Returns:
        Cuts of scored originals at which there are both, in the order of the table.
    """
    own = originals.set_index("original_id")
    kinds = {str(kind): rows for kind, rows in resamples.groupby("kind")}
    keys = ["original_id", "position"]
    if not {"grid", "direct"} <= set(kinds):
        return DIRECT.empty_table()
    directs = {_cut(rows): rows["label"] for _, rows in kinds["direct"].groupby(keys)}
    originals_of = own.to_dict("index")
    rows = []
    for _, grid in kinds["grid"].groupby(keys):
        name, position = _cut(grid)
        original = originals_of[name]
        asked, label = directs.get((name, position)), original["label"]
        if asked is None or label == UNSCORED:
            continue
        length = len(original["token_ids"])
        said, modal = _most(asked), _most(grid["label"])
        rows.append(
            {
                "original_id": name,
                "problem_id": original["problem_id"],
                "position": position,
                "t": 1 - position / length,
                "kept": position / length,
                "resampled": float((grid["label"] == label).mean()),
                "resamples": len(grid),
                "resamples_unscored": float((grid["label"] == UNSCORED).mean()),
                "direct": float((asked == label).mean()),
                "directs": len(asked),
                "directs_unscored": float((asked == UNSCORED).mean()),
                "direct_label": said,
                "direct_label_resampled": float((grid["label"] == said).mean()),
                "modal_label": modal,
            }
        )
    return pa.Table.from_pylist(rows, schema=DIRECT)


def _cut(rows: pd.DataFrame) -> tuple[str, int]:
    """Give original and position of rows about one cut."""
    return str(rows["original_id"].iloc[0]), int(rows["position"].iloc[0])


def _most(labels: pd.Series[str]) -> str:
    counts = labels.value_counts()
    return str(min(counts.index[counts == counts.max()]))


def summarise_direct(table: pd.DataFrame, fractions: Sequence[float]) -> dict[str, Any]:
    """Summarise direct answers beside resamples, each number with its interval over problems.

    Args:
        table: The direct table.
        fractions: Fractions kept at which both were measured; each original is looked at at its
            last cut that keeps no more.

    Returns:
        by_fraction: agreement of both with the original's label, their difference (direct less
        resampled), unscored of both, and how often the direct answer is the most frequent label
        of the resamples. calibration: resampled agreement where the direct answer agrees, where it
        does not and where it could not be read; mean squared difference of the two, the noise of
        the resamples taken out; bins: share of direct answers that agree, by resampled agreement.
    """
    return {
        "cuts": len(table),
        "by_fraction": [
            {"kept": f, **_compared(rows)} for f in fractions if len(rows := at_fraction(table, f))
        ],
        "calibration": {
            "resampled_where_direct_agrees": _mean(table[table["direct"] >= 0.5], "resampled"),
            "resampled_where_it_differs": _mean(
                table[(table["direct"] < 0.5) & (table["direct_label"] != UNSCORED)], "resampled"
            ),
            "resampled_where_it_is_unscored": _mean(
                table[table["direct_label"] == UNSCORED], "resampled"
            ),
            "mean_squared_difference": _squared(table),
            "bins": calibration_bins(table),
        },
    }


def at_fraction(table: pd.DataFrame, fraction: float) -> pd.DataFrame:
    """Give each original's last cut that keeps no more than a fraction."""
    before = table[table["kept"] <= fraction + 1e-9]
    return before.sort_values("position").groupby("original_id", sort=False).tail(1)


def calibration_bins(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Give direct agreement by bins of resampled agreement; empty bins are left out."""
    found = []
    for low, high in itertools.pairwise(BINS):
        inside = (table["resampled"] >= low) & ((table["resampled"] < high) | (high == BINS[-1]))
        rows = table[inside]
        if len(rows):
            found.append(
                {
                    "from": low,
                    "to": high,
                    "resampled": _mean(rows, "resampled"),
                    "direct": _mean(rows, "direct"),
                }
            )
    return found


def _compared(rows: pd.DataFrame) -> dict[str, Any]:
    rows = rows.assign(modal=(rows["direct_label"] == rows["modal_label"]).astype(float))
    sums, sizes = _per_problem(rows)
    return {
        **{name: _mean(rows, name) for name in ("resampled", "direct")},
        "difference": plain(clustered_difference(sums["direct"], sizes, sums["resampled"], sizes)),
        **{name: _mean(rows, name) for name in ("resamples_unscored", "directs_unscored")},
        "direct_is_modal": _mean(rows, "modal"),
    }


def _per_problem(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series[int]]:
    grouped = rows.groupby("problem_id")
    return grouped.sum(numeric_only=True), grouped.size()


def _mean(rows: pd.DataFrame, name: str) -> dict[str, float | int | None]:
    return plain(_share(rows, name))


def _share(rows: pd.DataFrame, name: str) -> Interval | None:
    if not len(rows):
        return None
    sums, sizes = _per_problem(rows)
    return clustered_share(sums[name], sizes)


def _squared(table: pd.DataFrame) -> float | None:
    """Give the mean of (direct - P)^2, P the probability that the resamples estimate.

    The square of the observed difference holds the resamples' own noise, p(1 - p) / m, of which
    p(1 - p) / (m - 1) over observed p is an unbiased estimate. Cuts with one resample say nothing.
    """
    rows = table[table["resamples"] > 1]
    if not len(rows):
        return None
    p, m = rows["resampled"].to_numpy(float), rows["resamples"].to_numpy(float)
    noise = p * (1 - p) / (m - 1)
    return float(np.mean((rows["direct"].to_numpy(float) - p) ** 2 - noise))


def direct_tables(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Put the summary of direct answers into tables for people."""
    first = {
        "title": "Agreement with the final answer: resampled, and asked directly",
        "columns": ["kept", "resampled", "direct", "direct less resampled", "is modal", "n"],
        "rows": [
            [
                f"{row['kept']:.0%}",
                _shown(row["resampled"]),
                _shown(row["direct"]),
                _shown(row["difference"]),
                _shown(row["direct_is_modal"]),
                row["direct"]["n"],
            ]
            for row in summary["by_fraction"]
        ],
        "note": "95 % over problems; is modal: the direct answer is the resamples' most frequent "
        "label; " + _unread(summary["by_fraction"]),
    }
    calibration = summary["calibration"]
    names = {
        "resampled_where_direct_agrees": "the direct answer agrees",
        "resampled_where_it_differs": "it is another answer",
        "resampled_where_it_is_unscored": "it cannot be read",
    }
    squared = calibration["mean_squared_difference"]
    second = {
        "title": "Calibration: resampled agreement, by what the direct answer says",
        "columns": ["where", "resampled agreement", "cuts"],
        "rows": [
            [text, _shown(calibration[key]), calibration[key]["n"]] for key, text in names.items()
        ],
        "note": "mean squared difference of the two, resampling noise taken out: "
        + ("-" if squared is None else f"{squared:.3f}"),
    }
    return [first, second]


def _shown(interval: Mapping[str, Any]) -> str:
    if interval["estimate"] is None:
        return "-"
    return f"{interval['estimate']:.3f} [{interval['lower']:.3f}, {interval['upper']:.3f}]"


def _unread(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say the largest shares that could not be read."""
    worst = {
        name: max((row[f"{name}_unscored"]["estimate"] or 0.0 for row in rows), default=0.0)
        for name in ("resamples", "directs")
    }
    return (
        f"unscored counts against agreement: at most {worst['resamples']:.1%} of resamples and "
        f"{worst['directs']:.1%} of direct answers"
    )
