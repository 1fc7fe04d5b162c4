"""Curves: the probability of a label at each level, with intervals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from critwin.feature import UNSCORED
from critwin.records import CURVES
from critwin.statistics import clopper_pearson, newcombe_difference

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
        trials: Resamples behind each value, or forks that bear on it; 0 where it is exact, as where
            everything is kept.
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

    @property
    def everywhere(self) -> bool:
        """Whether there is a value at every position."""
        return len(self.position) == self.length + 1


class MeasuredCurve(Curve, ABC):
    """A curve with what it was measured from, so that differences have intervals of their own."""

    @abstractmethod
    def differences(
        self,
        start: npt.ArrayLike,
        end: npt.ArrayLike,
        *,
        level: float = 0.95,
        joint: bool = False,
    ) -> tuple[Floats, Floats]:
        """Give the interval of p_end - p_start for pairs of positions.

        Args:
            start: Positions of the curve, in tokens kept, shape (J,).
            end: The same, shape (J,).
            level: Coverage, in (0, 1).
            joint: Whether all J differences are covered at once.

        Returns:
            Lower and upper ends in [-1, 1], shape (J,).
        """


@dataclass(frozen=True)
class GridCurve(MeasuredCurve):
    """A curve counted at each position from resamples of its own.

    Attributes:
        nats: Surprisal of the tokens up to each position, shape (L,); None where it is not known.
    """

    nats: Floats | None = None

    @classmethod
    def counted(
        cls,
        hits: npt.ArrayLike,
        trials: npt.ArrayLike,
        position: npt.ArrayLike,
        *,
        length: int,
        original_id: str = "",
        label: str = "",
        own: bool = True,
    ) -> GridCurve:
        """Make a curve of counts; where everything is kept it is exact, and added if it is missing.

        Args:
            hits: Resamples with the label at each position that was visited.
            trials: Resamples there, >= 1.
            position: Tokens kept there, increasing.
            length: Tokens of the original.
            original_id: The original.
            label: The label.
            own: Whether it is the original's.
        """
        k, n, at = (np.asarray(each, np.int64) for each in (hits, trials, position))
        values = [k / n, *clopper_pearson(k, n)]
        if at[-1] < length:
            at, n = np.append(at, length), np.append(n, 0)
            values = [np.append(value, float(own)) for value in values]
        share, lower, upper = values
        return cls(
            original_id=original_id,
            label=label,
            own=own,
            estimator="grid",
            length=length,
            position=at,
            agreement=share,
            lower=lower,
            upper=upper,
            trials=n,
            unscored=np.zeros(len(at)),
        )

    def differences(
        self,
        start: npt.ArrayLike,
        end: npt.ArrayLike,
        *,
        level: float = 0.95,
        joint: bool = False,
    ) -> tuple[Floats, Floats]:
        """Give Newcombe's interval of each difference; jointly by Bonferroni.

        Raises:
            ValueError: A position was not visited.
        """
        first, last = self._entries(start), self._entries(end)
        level = 1 - (1 - level) / max(len(first), 1) if joint else level
        hits = np.rint(self.agreement * self.trials)
        lower, upper = newcombe_difference(
            hits[last], self.trials[last], hits[first], self.trials[first], level=level
        )
        # the position that keeps everything was not drawn: its value is exact
        low, high = clopper_pearson(hits, self.trials, level=level)
        low, high = (np.where(self.trials > 0, v, self.agreement) for v in (low, high))
        exact = (self.trials[first] == 0) | (self.trials[last] == 0)
        return (
            np.where(exact, low[last] - high[first], lower),
            np.where(exact, high[last] - low[first], upper),
        )

    def _entries(self, positions: npt.ArrayLike) -> Ints:
        """Give where in the arrays positions stand."""
        wanted = np.asarray(positions, np.int64)
        at = np.searchsorted(self.position, wanted).clip(max=len(self.position) - 1)
        if (self.position[at] != wanted).any():
            raise ValueError(
                f"positions {wanted.tolist()} of {self.original_id}; allowed: those that were "
                f"visited, {self.position.tolist()}"
            )
        return at


def grid_curves(originals: pd.DataFrame, resamples: pd.DataFrame) -> list[GridCurve]:
    """Count labels at each position of each original.

    Each original gets a curve for its own label, for every other label seen in its resamples, and
    for `UNSCORED`, seen or not: its interval says how rare it is. The position that keeps
    everything is added with its exact value.

    Args:
        originals: Columns original_id, label, token_ids of the originals table, and surprisal where
            resamples are drawn as the originals were.
        resamples: Columns original_id, position, label, kind of the resamples table.

    Returns:
        Curves in the order of `originals`, own label first, the others by name.
    """
    grid = resamples[resamples["kind"] == "grid"]
    by_original = {str(name): own for name, own in grid.groupby("original_id", sort=False)}
    curves: list[GridCurve] = []
    unknown = pd.Series([()] * len(originals), index=originals.index)
    columns = (originals[name] for name in ("original_id", "label", "token_ids"))
    rows = zip(*columns, originals.get("surprisal", unknown), strict=True)
    for original_id, label, token_ids, surprisal in rows:
        if original_id in by_original:
            reached = np.concatenate([[0.0], np.cumsum(np.asarray(surprisal, np.float64))])
            known = len(reached) == len(token_ids) + 1 and bool(np.isfinite(reached).all())
            curves += _curves_of(
                original_id,
                label,
                by_original[original_id],
                length=len(token_ids),
                nats=reached if known else None,
            )
    return curves


def _curves_of(
    original_id: str, own: str, draws: pd.DataFrame, *, length: int, nats: Floats | None
) -> list[GridCurve]:
    counts = pd.crosstab(draws["position"], draws["label"]).sort_index()
    trials = counts.sum(axis=1).to_numpy(dtype=np.int64)
    position = counts.index.to_numpy(dtype=np.int64)
    unscored = counts[UNSCORED].to_numpy() / trials if UNSCORED in counts else 0.0 * trials
    others = sorted({*counts.columns, UNSCORED} - {own})
    missed = np.append(unscored, float(own == UNSCORED))
    curves = []
    for label in (own, *others):
        hits = counts[label].to_numpy() if label in counts else np.zeros_like(trials)
        curve = GridCurve.counted(
            hits,
            trials,
            position,
            length=length,
            original_id=original_id,
            label=label,
            own=label == own,
        )
        known = None if nats is None else nats[curve.position]
        curves.append(replace(curve, unscored=missed, nats=known))
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
    """Turn the curves table back into curves, to be shown: what they were measured from is lost."""
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
