"""Forks in folds: for each original four independent sets of forks, all of them drawn together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
import pyarrow as pa

from critwin.budget_tables import FOLDS
from critwin.curve import MeasuredCurve
from critwin.fork_folds import FoldedForks, plan_folds
from critwin.generation import Generation
from experiments.fork_resampling import forking
from experiments.originals import generation
from experiments.resampling import ResampleRows, Resampling


@dataclass(frozen=True, kw_only=True)
class FoldResampling(Resampling):
    """Measures originals by forks in folds.

    Attributes:
        protocol: How many forks stand where there is a choice.
    """

    protocol: FoldedForks

    tables: ClassVar[tuple[str, ...]] = ("folds", "resamples")

    def _tables_of(self, originals: list[dict[str, Any]]) -> dict[str, pa.Table]:
        sampler = forking(self.sampler)
        samples = [generation(row) for row in originals]
        paths = sampler.paths(samples)
        expected = [self.protocol.expected(path) for path in paths]
        plans = [
            plan_folds(number, seed=row["seed"])
            for number, row in zip(expected, originals, strict=True)
        ]
        work = [(i, fork) for i, planned in enumerate(plans) for fork in planned]
        drawn = iter(
            sampler.fork(
                [samples[i] for i, _ in work],
                [fork.token for _, fork in work],
                seeds=[fork.seed for _, fork in work],
            )
        )
        forks = [[next(drawn) for _ in planned] for planned in plans]
        labels = self._labels(originals, forks)
        rows = ResampleRows(self.sampler)
        for original, planned, own, names in zip(originals, plans, forks, labels, strict=True):
            for fork, draw, label in zip(planned, own, names, strict=True):
                rows.add(
                    original,
                    draw,
                    kind="fork",
                    position=fork.token - 1,
                    replicate=fork.replicate,
                    label=label,
                    seed=fork.seed,
                )
        folds = [
            {"original_id": row["original_id"], "probability": path.probability, "expected": number}
            for row, path, number in zip(originals, paths, expected, strict=True)
        ]
        return {"folds": pa.Table.from_pylist(folds, schema=FOLDS), "resamples": rows.table()}

    def _own_curves(
        self, originals: pd.DataFrame, tables: Mapping[str, pd.DataFrame]
    ) -> list[MeasuredCurve]:
        return []

    def _again(
        self, samples: Sequence[Generation], rows: Sequence[dict[str, Any]]
    ) -> list[Generation]:
        tokens = [row["position"] + 1 for row in rows]
        return forking(self.sampler).fork(samples, tokens, seeds=[row["seed"] for row in rows])
