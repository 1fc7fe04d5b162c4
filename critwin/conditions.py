"""Answers drawn under several conditions: how often each leads to a label, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from critwin.drawing import SINGLE, drawing
from critwin.records import ORIGINALS
from critwin.statistics import Interval, clustered_difference, clustered_share, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWS = pa.schema(
    [
        ("condition", pa.string()),
        ("x", pa.float64()),  # what the condition varies, as a number; null: it has none
        *ORIGINALS,
    ]
)


def share(draws: pd.DataFrame, label: str) -> Interval | None:
    """Give the share of draws with a label, unscored ones counting against it, over problems."""
    hits = (draws["label"] == label).groupby(draws["problem_id"])
    return clustered_share(hits.sum(), hits.size())


def difference(first: pd.DataFrame, other: pd.DataFrame, label: str) -> Interval | None:
    """Give how much more often the first has the label, paired over problems.

    Args:
        first: Draws under one condition.
        other: Draws under another, about the same problems.
        label: The label that is counted.
    """
    counted = [(d["label"] == label).groupby(d["problem_id"]) for d in (first, other)]
    return clustered_difference(
        counted[0].sum(), counted[0].size(), counted[1].sum(), counted[1].size()
    )


def summarise_conditions(
    draws: pd.DataFrame, conditions: Sequence[str], label: str, *, varied: str
) -> dict[str, Any]:
    """Give the summary of a run under several conditions, fit for JSON.

    Args:
        draws: The draws table.
        conditions: Names of the conditions in their order; the first one is compared with.
        label: The label that is counted.
        varied: What differs between the conditions, in words.

    Returns:
        conditions: for each its x, the share with the label and the difference from the first
        condition, both over problems, mean tokens and the counts; `headline` and `tables` for
        people.
    """
    parts = {name: draws[draws["condition"] == name] for name in conditions}
    first = parts[conditions[0]]
    rows = []
    for name, own in parts.items():
        x = own["x"].iloc[0]
        rows.append(
            {
                "condition": name,
                "x": None if pd.isna(x) else float(x),
                "share": plain(share(own, label)),
                "less_first": plain(difference(own, first, label)) if own is not first else None,
                "unscored": int(own["unscored"].sum()),
                "tokens": float(own["token_ids"].map(len).mean()),
            }
        )
    return {
        "label": label,
        "varied": varied,
        "conditions": rows,
        "headline": [_headline(row, label) for row in rows],
        "tables": [_table(rows, label, varied)],
    }


def conditions_figure(summary: dict[str, Any]) -> Figure:
    """Draw the share with the label over what is varied, with 95 % intervals over problems."""
    rows = summary["conditions"]
    numbers = all(row["x"] is not None for row in rows)
    at = [row["x"] for row in rows] if numbers else list(range(len(rows)))
    share = [row["share"] for row in rows]
    middle = [s["estimate"] for s in share]
    below = [s["estimate"] - s["lower"] for s in share]
    above = [s["upper"] - s["estimate"] for s in share]
    with drawing(SINGLE, 2.2) as figure:
        axes = figure.subplots()
        axes.errorbar(
            at, middle, [below, above], fmt="-o" if numbers else "o", color="#0072B2", capsize=2
        )
        axes.set(xlabel=summary["varied"], ylabel=f"share that {summary['label']}", ylim=(0, 1.02))
        if not numbers:
            axes.set_xticks(at, [row["condition"] for row in rows])
    return figure


def _headline(row: dict[str, Any], label: str) -> dict[str, Any]:
    return {
        "name": f"{label}, {row['condition']}",
        **row["share"],
        "note": f"{row['unscored']} unscored, counted against it; {row['tokens']:.1f} tokens",
    }


def _table(rows: Sequence[dict[str, Any]], label: str, varied: str) -> dict[str, Any]:
    return {
        "title": f"Share that {label}, by {varied}; 95 % over problems",
        "columns": [varied, "share", "interval", "less the first", "interval", "n", "unscored"],
        "rows": [
            [
                row["condition"],
                row["share"]["estimate"],
                _ends(row["share"]),
                row["less_first"]["estimate"] if row["less_first"] else None,
                _ends(row["less_first"]),
                row["share"]["n"],
                row["unscored"],
            ]
            for row in rows
        ],
    }


def _ends(interval: dict[str, Any] | None) -> str:
    return f"{interval['lower']:.3f} to {interval['upper']:.3f}" if interval else "-"
