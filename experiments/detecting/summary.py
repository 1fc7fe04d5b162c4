"""The numbers of a benchmark of window rules, with intervals, as its summary holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from critwin.statistics import clopper_pearson
from experiments.detecting.beside import against_calibrated, against_keeping
from experiments.detecting.scoring import CLEAR

CELLS = pa.schema(
    [
        ("original", pa.string()),
        ("source", pa.string()),  # none, one, several: planted so many windows; embedded: a model's
        ("kind", pa.string()),  # forks, every token, fractions, aimed forks
        ("equal", pa.string()),  # what the budgets compare: draws per position, tokens
        ("size", pa.int64()),  # so many of them
        ("draws", pa.int64()),  # per position
        ("rule", pa.string()),
        ("trajectories", pa.int64()),
        ("true", pa.int64()),  # stretches that rise enough over at most the width
        ("found", pa.int64()),  # of them, met by a window
        ("within", pa.int64()),  # of them, met by a window that is no wider than was asked
        ("pinned", pa.int64()),  # of them, met by a window whose place is no wider than was asked
        ("clear", pa.int64()),  # of them, those that rise by 1.5 times as much as was asked
        ("clear_within", pa.int64()),  # of these, met by a window that is no wider than was asked
        ("windows", pa.int64()),  # given; only rises are counted
        ("false", pa.int64()),  # of them, meeting no such stretch
        ("alarmed", pa.int64()),  # trajectories with a false window
        ("error", pa.float64()),  # tokens between middles of windows and stretches met, summed
        ("placed", pa.int64()),  # windows whose place holds a shortest true rise
        ("height", pa.int64()),  # windows whose interval holds the true change between their ends
        ("tokens", pa.int64()),  # generated
    ]
)

AT = 25
"""Draws per position of the table that shows everything."""


def summarise(cells: pd.DataFrame, *, threshold: float, max_width: float) -> dict[str, Any]:
    """Give everything that a benchmark found, fit for JSON.

    Args:
        cells: The cells table.
        threshold: Rises above it are windows.
        max_width: Over at most so many tokens.

    Returns:
        what was asked; for every kind of data, kind of budget, budget and rule the share found, the
        share found by a window no wider than was asked and by one whose place is, that of the rises
        which are clear of the threshold, precision, false windows per trajectory, share of
        trajectories with one (exact 95 % interval), of those that are without a true one, and of
        the original without one that has most, place error, and coverages; tables to be shown.
    """
    keys = ["equal", "kind", "size", "rule"]
    pooled = [
        dict(zip(keys, key, strict=True)) | rates(rows)
        for key, rows in cells.groupby(keys, sort=False)
    ]
    rules = list(dict.fromkeys(cells["rule"]))
    placed = f"Windows found by one at most {max_width:g} tokens wide"
    clear = (
        f"Rises of {CLEAR * threshold:g} and more found by one at most {max_width:g} tokens wide"
    )
    false = "Trajectories with a false window, of the original without a true one that has most"
    return {
        "asked": {"threshold": threshold, "max_width": max_width},
        "originals": int(cells["original"].nunique()),
        "results": pooled,
        "by_source": [
            dict(zip(["source", *keys], key, strict=True)) | rates(rows)
            for key, rows in cells.groupby(["source", *keys], sort=False)
        ],
        "tables": [
            _sizes(pooled, "draws", "within", placed, rules),
            _sizes(pooled, "draws", "clear", clear, rules),
            _sizes(pooled, "draws", "alarmed_worst", false, rules),
            _sizes(pooled, "tokens", "within", placed, rules),
            _sizes(pooled, "tokens", "clear", clear, rules),
            _sizes(pooled, "tokens", "alarmed_worst", false, rules),
            _all(pooled, FINDING, rules),
            _all(pooled, TRUSTING, rules),
            against_keeping(pooled, CLEAR * threshold),
            against_calibrated(pooled),
        ],
    }


def rates(rows: pd.DataFrame) -> dict[str, Any]:
    """Give the rates of cells taken together; null where there is nothing to divide by."""
    total = rows[list(CELLS.names[7:])].sum()
    hit = total["windows"] - total["false"]
    without = rows[rows["true"] == 0].groupby("original")[["alarmed", "trajectories"]].sum()
    empty, shares = without.sum(), without["alarmed"] / without["trajectories"]
    low, high = clopper_pearson(total["alarmed"], total["trajectories"])
    return {
        "trajectories": int(total["trajectories"]),
        "true": int(total["true"]),
        "windows": int(total["windows"]),
        "recall": _ratio(total["found"], total["true"]),
        "within": _ratio(total["within"], total["true"]),
        "pinned": _ratio(total["pinned"], total["true"]),
        "clear": _ratio(total["clear_within"], total["clear"]),
        "precision": _ratio(hit, total["windows"]),
        "false_per_trajectory": _ratio(total["false"], total["trajectories"]),
        "alarmed": _ratio(total["alarmed"], total["trajectories"]),
        "alarmed_lower": float(low),
        "alarmed_upper": float(high),
        "empty": int(empty["trajectories"]),
        "alarmed_empty": _ratio(empty["alarmed"], empty["trajectories"]),
        # one trajectory of each tells no share
        "alarmed_worst": float(shares.max()) if empty["trajectories"] > len(shares) else None,
        "place_error": _ratio(total["error"], hit),
        "place_coverage": _ratio(total["placed"], hit),
        "height_coverage": _ratio(total["height"], total["windows"]),
        "tokens": _ratio(total["tokens"], total["trajectories"]),
    }


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _sizes(
    pooled: Sequence[dict[str, Any]], equal: str, value: str, title: str, rules: Sequence[str]
) -> dict[str, Any]:
    found = {
        (row["kind"], row["rule"], row["size"]): row[value]
        for row in pooled
        if row["equal"] == equal
    }
    kinds = list(dict.fromkeys(kind for kind, _, _ in found))
    sizes = sorted({size for _, _, size in found})
    rows = [
        [kind, rule, *(found.get((kind, rule, size)) for size in sizes)]
        for kind in kinds
        for rule in rules
    ]
    unit = " tokens" if equal == "tokens" else ""
    columns = ["data", "rule", *(f"{size}{unit}" for size in sizes)]
    return {"title": title, "columns": columns, "rows": rows}


FINDING = {
    "recall": "found by any",
    "within": "within the width",
    "pinned": "placed within it",
    "precision": "precision",
}
TRUSTING = {
    "false_per_trajectory": "false each",
    "alarmed_empty": "alarms on nothing",
    "place_error": "place error",
    "place_coverage": "place covered",
    "height_coverage": "height covered",
}
"""What the tables of one budget show: columns by the value that they hold."""


def _all(
    pooled: Sequence[dict[str, Any]], values: Mapping[str, str], rules: Sequence[str]
) -> dict[str, Any]:
    """Give a table of everything at one number of draws per position."""
    sizes = sorted({row["size"] for row in pooled if row["equal"] == "draws"})
    at = AT if AT in sizes else sizes[-1]
    rows = [
        [row["kind"], row["rule"], *(row[value] for value in values)]
        for row in sorted(pooled, key=lambda row: rules.index(row["rule"]))
        if row["equal"] == "draws" and row["size"] == at
    ]
    order = list(dict.fromkeys(row["kind"] for row in pooled))
    rows.sort(key=lambda row: order.index(row[0]))
    return {
        "title": f"At {at} draws per position",
        "columns": ["data", "rule", *values.values()],
        "rows": rows,
    }
