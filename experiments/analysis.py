"""From a run's records to its curves, windows, summary, figures and page: no model is needed."""

from __future__ import annotations

import time
from collections.abc import Sequence

from critwin.curve import curves_table, grid_curves
from critwin.feature import UNSCORED
from critwin.figures import write_figures
from critwin.problem import Problem
from critwin.protocol import Protocol
from critwin.records import RunDirectory
from critwin.report import write_report
from critwin.summary import summarise
from critwin.window import Window, WindowRule, windows_table
from experiments.tracker import Progress


def analyse(
    directory: RunDirectory,
    problems: Sequence[Problem],
    *,
    protocol: Protocol,
    rule: WindowRule,
    progress: Progress,
) -> float:
    """Write curves, windows, summary, figures and page of a run whose records stand.

    Args:
        directory: The run directory, with `originals.parquet` and `resamples.parquet`.
        problems: The problems that the originals answer.
        protocol: The levels that were visited.
        rule: What counts as a window; asked about each original's own label.
        progress: Shows the steps.

    Returns:
        Seconds that it took.
    """
    began = time.perf_counter()
    progress.begin("analysis", 4, unit="steps")
    originals = directory.read("originals").to_pandas()
    resamples = directory.read("resamples").to_pandas()
    curves = grid_curves(originals, resamples)
    directory.write("curves", curves_table(curves))
    found: list[Window] = []
    for curve in curves:
        if curve.own and curve.label != UNSCORED:
            found += rule.find(curve)
    tokens = {row.original_id: row.tokens for row in originals.itertuples(index=False)}
    directory.write("windows", windows_table(found, tokens))
    windows = directory.read("windows").to_pandas()
    progress.advance(1)
    summary = summarise(originals, resamples, curves, windows, problems, compared=rule.fractions)
    directory.write_json("summary", summary)
    progress.advance(1)
    write_figures(directory.path, visited=protocol.shown_fractions(), compared=rule.fractions)
    progress.advance(1)
    write_report(directory.path)
    progress.advance(1)
    progress.end()
    return time.perf_counter() - began
