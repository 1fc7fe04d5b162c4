"""Truncation: originals are cut at the positions of a grid, and each cut is resampled anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import pyarrow as pa

from critwin.curve import MeasuredCurve, grid_curves
from critwin.forward_reverse import forward_reverse, resample_seeds
from critwin.generation import Generation, truncate
from critwin.protocol import Grid
from experiments.originals import generation
from experiments.resample_rows import ResampleRows
from experiments.resampling import Resampling


@dataclass(frozen=True, kw_only=True)
class GridResampling(Resampling):
    """Resamples originals at the positions of a grid.

    Attributes:
        protocol: Positions visited and resamples at each.
    """

    protocol: Grid

    def _tables_of(self, originals: list[dict[str, Any]]) -> dict[str, pa.Table]:
        rows = ResampleRows(self.sampler)
        self._add_grid(rows, originals)
        return {"resamples": rows.table()}

    def _add_grid(self, rows: ResampleRows, originals: list[dict[str, Any]]) -> None:
        """Resample originals at every cut of theirs, label and add the rows."""
        samples = [generation(row) for row in originals]
        levels = [self._cuts(x) for x in samples]
        drawn = forward_reverse(
            self.sampler,
            samples,
            levels,
            draws=self.protocol.n,
            seeds=[row["seed"] for row in originals],
        )
        labelled = self._labels(originals, [[x for draws in own for x in draws] for own in drawn])
        for original, own, cuts, found in zip(originals, levels, drawn, labelled, strict=True):
            label = iter(zip(found.labels, found.replies, strict=True))
            for level, draws in zip(own, cuts, strict=True):
                seeds = resample_seeds(original["seed"], level, self.protocol.n)
                for replicate, (draw, seed) in enumerate(zip(draws, seeds, strict=True)):
                    name, reply = next(label)
                    rows.add(
                        original,
                        draw,
                        kind="grid",
                        position=level,
                        replicate=replicate,
                        label=name,
                        reply=reply,
                        seed=seed,
                    )

    def _cuts(self, x: Generation) -> list[int]:
        """Give the positions at which an original is cut."""
        return self.protocol.positions(len(x.token_ids), partial(self.sampler.snap, x))

    def _own_curves(
        self, originals: pd.DataFrame, tables: Mapping[str, pd.DataFrame]
    ) -> list[MeasuredCurve]:
        return [curve for curve in grid_curves(originals, tables["resamples"]) if curve.own]

    def _again(
        self, samples: Sequence[Generation], rows: Sequence[dict[str, Any]]
    ) -> list[Generation]:
        kept = [truncate(x, row["position"]) for x, row in zip(samples, rows, strict=True)]
        again = self.sampler.resample(kept, seeds=[[row["seed"]] for row in rows])
        return [draw for (draw,) in again]
