"""The curves of one original as its page draws them: whole numbers, per mille."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from critwin.feature import UNSCORED

SHOWN_LABELS = 5
"""Curves of other labels per original, at most: the most probable ones."""

SPARK = 24
"""Points of the small curve beside an original's name."""

SEEN = 0.005
"""Labels that are nowhere as probable have no curve on the page, in probability."""


def curves_of(rows: pd.DataFrame) -> dict[str, Any]:
    """Give the curves of an original, own label first, then the most probable others.

    `UNSCORED` has a curve wherever it was seen, one of the most probable or not.

    Args:
        rows: The original's rows of the curves table, one estimator.

    Returns:
        `estimator`; `stops`, the positions measured, or None where these are all from 0 on;
        `curves`, each with its `label`, whether it is the `own`, and its probability `p` at each
        stop, per mille, that of the own label with `lower`, `upper`, `unscored` (per mille) and
        `trials`; `others`, how many labels beside the own were seen.
    """
    curves: list[dict[str, Any]] = []
    for label, values in rows.groupby("label", sort=False):
        values = values.sort_values("position")
        own = bool(values["own"].iloc[0])
        curve: dict[str, Any] = {
            "label": label,
            "own": own,
            "p": per_mille(values["agreement"]),
        }
        if own:
            # where a bound is not known, it is the widest
            curve |= {name: per_mille(values[name]) for name in ("lower", "unscored")}
            curve["upper"] = per_mille(values["upper"].fillna(1.0))
            curve["trials"] = values["trials"].tolist()
        curves.append(curve)
    curves.sort(key=lambda curve: (not curve["own"], -max(curve["p"]), curve["label"]))
    seen = [curve for curve in curves if curve["own"] or max(curve["p"]) >= 1000 * SEEN]
    unscored = [curve for curve in seen[1 + SHOWN_LABELS :] if curve["label"] == UNSCORED]
    stops = np.unique(rows["position"]).tolist()
    return {
        "estimator": rows["estimator"].iloc[0],
        "stops": None if stops == list(range(len(stops))) else stops,
        "curves": seen[: 1 + SHOWN_LABELS - len(unscored)] + unscored,
        "others": _others(rows),
    }


def per_mille(values: pd.Series[float]) -> list[int]:
    """Round probabilities to whole numbers from 0 to 1000; one that is not known is 0."""
    known = values.fillna(0.0).to_numpy(np.float64)
    rounded: list[int] = np.rint(1000 * known).astype(int).tolist()
    return rounded


def _others(rows: pd.DataFrame) -> int:
    """Count the labels beside the own one; UNSCORED has a curve where it was not seen, too."""
    most = rows[~rows["own"]].groupby("label")["agreement"].max()
    return int(((most > 0) | (most.index != UNSCORED)).sum())


def own_curve(rows: pd.DataFrame) -> pd.DataFrame:
    """Give the own label's rows where something was measured, by position."""
    own = rows[rows["own"]].sort_values("position")
    return own[(own["trials"] > 0) | (own["estimator"] == "forks")]


def largest_jump(own: pd.DataFrame) -> float | None:
    """Give the largest rise between neighbouring positions that were measured."""
    rises = np.diff(own["agreement"])
    return number(rises.max(), 4) if len(rises) else None


def spark(own: pd.DataFrame, length: int) -> list[int]:
    """Give the curve at evenly spaced positions, in per cent: the last value measured before each.

    Args:
        own: What `own_curve` gives, one row or more.
        length: The original's length, in positions.
    """
    at = np.linspace(0, length, SPARK)
    entry = np.searchsorted(own["position"], at, side="right") - 1
    values: npt.NDArray[np.float64] = own["agreement"].to_numpy(np.float64)[np.maximum(entry, 0)]
    rounded: list[int] = np.rint(100 * values).astype(int).tolist()
    return rounded


def number(value: float, decimals: int) -> float | None:
    """Round a number for JSON; None where it is not finite."""
    return round(float(value), decimals) if math.isfinite(value) else None
