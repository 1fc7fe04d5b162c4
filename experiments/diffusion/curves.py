"""Curves and windows of runs on pictures, for each feature."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from critwin.curve import GridCurve, curves_table, grid_curves
from critwin.feature import UNSCORED
from critwin.picture_records import PICTURE_CURVES, PICTURE_WINDOWS
from critwin.statistics import Interval, clustered_share
from critwin.window import Findings, WindowRule, find_all, windows_table


def feature_frames(
    originals: pd.DataFrame, resamples: pd.DataFrame, feature: str, *, last: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give originals and resamples with the labels of one feature, fit for `grid_curves`.

    Args:
        originals: The originals table.
        resamples: The resamples table.
        feature: Name of the feature.
        last: Reverse steps: what the length of an original in tokens is elsewhere.
    """
    own = originals.assign(label=[dict(labels)[feature] for labels in originals["labels"]])
    own["token_ids"] = pd.Series([range(last)] * len(originals), index=own.index, dtype=object)
    drawn = resamples.assign(
        label=[dict(labels)[feature] for labels in resamples["labels"]], kind="grid"
    )
    return own, drawn


def curves_of(
    originals: pd.DataFrame, resamples: pd.DataFrame, features: Sequence[str], *, last: int
) -> dict[str, list[GridCurve]]:
    """Give the curves of each feature."""
    return {
        name: grid_curves(*feature_frames(originals, resamples, name, last=last))
        for name in features
    }


def picture_curves_table(curves: dict[str, list[GridCurve]]) -> pa.Table:
    """Put the curves of all features into one table."""
    tables = []
    for name, own in curves.items():
        table = curves_table(own)
        names = pa.array([name] * table.num_rows, pa.string())
        tables.append(table.append_column("feature", names))
    return pa.concat_tables(tables).cast(PICTURE_CURVES)


def picture_windows_table(
    curves: dict[str, list[GridCurve]], rule: WindowRule, *, last: int
) -> tuple[pa.Table, Findings]:
    """Ask a rule about the curves of each feature; give the windows and what it can say."""
    tables, windows, verdicts = [], [], []
    for name, own in curves.items():
        found = find_all(own, rule)
        names = {curve.original_id: [""] * last for curve in own}
        table = windows_table(found.windows, names)
        tables.append(
            table.append_column("feature", pa.array([name] * table.num_rows, pa.string()))
        )
        windows += found.windows
        verdicts += found.verdicts
    return pa.concat_tables(tables).cast(PICTURE_WINDOWS), Findings(windows, verdicts)


def mean_agreement(
    originals: pd.DataFrame, resamples: pd.DataFrame, *, by: str | None = None
) -> pd.DataFrame:
    """Average own-label agreement over originals, with intervals over them.

    Args:
        originals: With the labels of one feature, as `feature_frames` gives them.
        resamples: The same.
        by: A label: only its originals; None for all that are scored.

    Returns:
        Columns position, agreement, lower, upper (95 %, pointwise), unscored, originals.
    """
    own = originals[originals["label"] != UNSCORED].set_index("original_id")["label"]
    own = own if by is None else own[own == by]
    drawn = resamples[resamples["original_id"].isin(own.index)]
    same = drawn["label"].to_numpy() == own.reindex(drawn["original_id"]).to_numpy()
    drawn = drawn.assign(same=same, lost=drawn["label"] == UNSCORED)
    rows = []
    for position, at in drawn.groupby("position", sort=True):
        counts = at.groupby("original_id")["same"].agg(["sum", "size"])
        found = clustered_share(counts["sum"].to_numpy(), counts["size"].to_numpy())
        assert found is not None
        rows.append(_row(int(str(position)), found, float(at["lost"].mean())))
    return pd.DataFrame(rows)


def _row(position: int, found: Interval, unscored: float) -> dict[str, float]:
    return {
        "position": position,
        "agreement": found.estimate,
        "lower": found.lower,
        "upper": found.upper,
        "unscored": unscored,
        "originals": found.clusters,
    }
