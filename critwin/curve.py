"""Curves: the probability of a label at each level, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from critwin.feature import UNSCORED
from critwin.records import CURVES
from critwin.statistics import clopper_pearson

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Curve:
    """Probability of one label when an original is cut at each of several positions and resampled.

    All arrays have shape (L,), one entry per position, positions strictly increasing.

    Attributes:
        original_id: The original that was cut.
        label: The label whose probability this is.
        own: Whether it is the original's own label; then `agreement` is agreement.
        estimator: `grid` or `forks`.
        length: Tokens of the original, n >= 1.
        position: Tokens kept, 0..n.
        agreement: Probability of `label` in [0, 1]; an unscored resample counts against it.
        lower: Lower end of the pointwise 95 % interval.
        upper: Upper end of it.
        trials: Resamples behind each value; 0 where the value is exact (everything kept).
        unscored: P(UNSCORED) in [0, 1].
    """

    original_id: str
    label: str
    own: bool
    estimator: Literal["grid", "forks"]
    length: int
    position: Ints
    agreement: Floats
    lower: Floats
    upper: Floats
    trials: Ints
    unscored: Floats

    @property
    def kept(self) -> Floats:
        """Share of the original that is kept, in [0, 1]."""
        return self.position / self.length

    @property
    def t(self) -> Floats:
        """Share of the original that is forgotten, in [0, 1]."""
        return 1.0 - self.kept


def grid_curves(originals: pd.DataFrame, resamples: pd.DataFrame) -> list[Curve]:
    """Count labels at each position of each original.

    Each original gets a curve for its own label and for every other label seen in its resamples,
    `UNSCORED` among them. The position that keeps everything is added with its exact value.

    Args:
        originals: Columns original_id, label, token_ids of the originals table.
        resamples: Columns original_id, position, label, kind of the resamples table.

    Returns:
        Curves in the order of `originals`, own label first, the others by name.
    """
    grid = resamples[resamples["kind"] == "grid"]
    by_original = {str(name): own for name, own in grid.groupby("original_id", sort=False)}
    curves: list[Curve] = []
    rows = zip(originals["original_id"], originals["label"], originals["token_ids"], strict=True)
    for original_id, label, token_ids in rows:
        if original_id in by_original:
            curves += _curves_of(original_id, label, len(token_ids), by_original[original_id])
    return curves


def _curves_of(original_id: str, own: str, length: int, draws: pd.DataFrame) -> list[Curve]:
    counts = pd.crosstab(draws["position"], draws["label"]).sort_index()
    trials = counts.sum(axis=1).to_numpy(dtype=np.int64)
    position = counts.index.to_numpy(dtype=np.int64)
    unscored = counts[UNSCORED].to_numpy() / trials if UNSCORED in counts else 0.0 * trials
    others = sorted(label for label in counts.columns if label != own)
    curves = []
    for label in (own, *others):
        hits = counts[label].to_numpy() if label in counts else np.zeros_like(trials)
        lower, upper = clopper_pearson(hits, trials)
        end = float(label == own)
        curves.append(
            Curve(
                original_id=original_id,
                label=label,
                own=label == own,
                estimator="grid",
                length=length,
                position=np.append(position, length),
                agreement=np.append(hits / trials, end),
                lower=np.append(lower, end),
                upper=np.append(upper, end),
                trials=np.append(trials, 0),
                unscored=np.append(unscored, float(own == UNSCORED)),
            )
        )
    return curves


def curves_table(curves: Sequence[Curve]) -> pa.Table:
    """Put curves into the curves table, one row per position."""

    def column(values: list[npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
        return np.concatenate(values) if values else np.array([])

    sizes = [len(c.position) for c in curves]
    return pa.table(
        {
            "original_id": np.repeat(np.array([c.original_id for c in curves], object), sizes),
            "estimator": np.repeat(np.array([c.estimator for c in curves], object), sizes),
            "label": np.repeat(np.array([c.label for c in curves], object), sizes),
            "own": np.repeat(np.array([c.own for c in curves], bool), sizes),
            "position": column([c.position for c in curves]),
            "t": column([c.t for c in curves]),
            "kept": column([c.kept for c in curves]),
            "agreement": column([c.agreement for c in curves]),
            "lower": column([c.lower for c in curves]),
            "upper": column([c.upper for c in curves]),
            "trials": column([c.trials for c in curves]),
            "unscored": column([c.unscored for c in curves]),
        },
        schema=CURVES,
    )


def read_curves(table: pd.DataFrame) -> list[Curve]:
    """Turn the curves table back into curves."""
    return [
        Curve(
            original_id=str(rows["original_id"].iloc[0]),
            label=str(rows["label"].iloc[0]),
            own=bool(rows["own"].iloc[0]),
            estimator=rows["estimator"].iloc[0],
            length=int(rows["position"].iloc[-1]),
            position=rows["position"].to_numpy(np.int64),
            agreement=rows["agreement"].to_numpy(np.float64),
            lower=rows["lower"].to_numpy(np.float64),
            upper=rows["upper"].to_numpy(np.float64),
            trials=rows["trials"].to_numpy(np.int64),
            unscored=rows["unscored"].to_numpy(np.float64),
        )
        for _, rows in table.groupby(["original_id", "estimator", "label"], sort=False)
    ]
