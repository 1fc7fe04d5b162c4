"""Forks in folds: for each original four independent sets of forks, all of them drawn together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa

from critwin.budget_tables import FOLDS
from critwin.curve import MeasuredCurve
from critwin.fork_folds import FoldedForks, draw_folds
from critwin.generation import Generation
from experiments.fork_resampling import forking
from experiments.originals import generation
from experiments.resample_rows import ResampleRows
from experiments.resampling import Resampling


@dataclass(frozen=True, kw_only=True)
class FoldResampling(Resampling):
    """Measures originals by forks in folds.

    Attributes:
        protocol: How many forks stand where there is a choice.
    """

    protocol: FoldedForks

    tables: ClassVar[tuple[str, ...]] = ("folds", "resamples")

    def expected_tokens(self, originals: pa.Table) -> float:
        """Give about how many tokens the forks of some originals take."""
        per_choice = self.protocol.forks_per_choice
        tokens = 0.0
        for nats in originals["surprisal"].to_pylist():
            leave = -np.expm1(-np.array(nats, np.float64))
            tokens += per_choice * float(leave @ np.arange(len(leave), 0, -1.0))
        return tokens

    def _ready(self) -> None:
        forking(self.sampler).paths([])  # what a server gives is known when it is first asked

    def _tables_of(self, originals: list[dict[str, Any]]) -> dict[str, pa.Table]:
        samples = [generation(row) for row in originals]
        seeds = [row["seed"] for row in originals]
        drawn = draw_folds(forking(self.sampler), samples, self.protocol, seeds=seeds)
        labelled = self._labels(originals, [own.samples for own in drawn])
        rows = ResampleRows(self.sampler)
        for original, own, found in zip(originals, drawn, labelled, strict=True):
            triples = zip(own.samples, found.labels, found.replies, strict=True)
            for fork, (draw, label, reply) in zip(own.planned, triples, strict=True):
                rows.add(
                    original,
                    draw,
                    kind="fork",
                    position=fork.token - 1,
                    replicate=fork.replicate,
                    label=label,
                    reply=reply,
                    seed=fork.seed,
                )
        folds = [
            {
                "original_id": original["original_id"],
                "probability": own.path.probability,
                "expected": own.expected,
            }
            for original, own in zip(originals, drawn, strict=True)
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
