"""From a run's records to its curves, windows, summary, figures and page: no model is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from critwin.curve import Curve, MeasuredCurve, curves_table, grid_curves
from critwin.feature import Feature
from critwin.figures import write_figures
from critwin.fork_tables import attribution_table, read_forks
from critwin.forks import ForkCurve, Forks, fork_curves
from critwin.label_conflicts import summarise_conflicts
from critwin.problem import read_problems
from critwin.protocol import ForkProtocol, Protocol
from critwin.records import RunDirectory
from critwin.report import write_report
from critwin.summary import summarise
from critwin.verdict_summary import add_verdicts
from critwin.window import WindowRule, find_all, verdicts_table, windows_table
from experiments.tracker import Progress


def products(tables: Sequence[str], protocol: Protocol) -> tuple[str, ...]:
    """Name what stands in a run directory after the analysis.

    Args:
        tables: Tables that stood before it.
        protocol: How originals were resampled.
    """
    made = ["curves", "windows", "verdicts"]
    if isinstance(protocol, ForkProtocol):
        made.append("attribution")
    files = [f"{table}.parquet" for table in (*tables, *made)]
    return (*files, "summary.json", "figures", "report.html")


def analyse(
    directory: RunDirectory,
    *,
    protocol: Protocol,
    rule: WindowRule,
    progress: Progress,
    feature: Feature | None = None,
) -> None:
    """Write curves, windows, verdicts, attribution, summary, figures, page of a run with records.

    Args:
        directory: The run directory, with its problems, originals and resamples, and with plans
            where the protocol is forks.
        protocol: How originals were resampled.
        rule: What counts as a window; asked about each original.
        progress: Shows the steps.
        feature: Gave the labels; its grader's conflicts with them are counted.
    """
    originals = directory.read("originals").to_pandas()
    resamples = directory.read("resamples").to_pandas()
    resamples = resamples[resamples["kind"] != "direct"]  # another estimand, never mixed in
    plans = directory.read("plans").to_pandas() if isinstance(protocol, ForkProtocol) else None
    forks = [] if plans is None else read_forks(originals, resamples, plans)
    curves: list[MeasuredCurve] = [*grid_curves(originals, resamples)]
    curves += _fork_curves(forks, progress)
    progress.begin("analysis", 5, unit="steps")
    directory.write("curves", curves_table(curves))
    progress.advance(1)
    found = find_all(curves, rule)
    tokens = {row.original_id: row.tokens for row in originals.itertuples(index=False)}
    directory.write("windows", windows_table(found.windows, tokens))
    directory.write("verdicts", verdicts_table(found.verdicts))
    windows = directory.read("windows").to_pandas()
    if plans is not None:
        attributed = attribution_table(forks, originals, resamples, windows)
        directory.write("attribution", attributed)
    progress.advance(1)
    summary = summary_of(directory, rule, curves)
    problems = read_problems(directory.read("problems"))
    conflicts = feature and summarise_conflicts(originals, resamples, problems, feature)
    if conflicts is not None:
        summary["label_conflicts"] = conflicts
    directory.write_json("summary", summary)
    progress.advance(1)
    write_figures(directory.path, visited=protocol.shown_fractions(), compared=rule.fractions)
    progress.advance(1)
    write_report(directory.path)
    progress.advance(1)
    progress.end()


def summary_of(
    directory: RunDirectory, rule: WindowRule, curves: Sequence[Curve]
) -> dict[str, Any]:
    """Count the headline numbers of a run from the tables that stand in its directory.

    Args:
        directory: The run directory, with problems, originals, resamples, windows and verdicts, and
            with plans where the protocol is forks.
        rule: What counts as a window.
        curves: The curves of all labels.
    """
    originals = directory.read("originals").to_pandas()
    resamples = directory.read("resamples").to_pandas()
    resamples = resamples[resamples["kind"] != "direct"]  # another estimand, never mixed in
    forked = (directory.path / "plans.parquet").exists()
    summary = summarise(
        originals,
        resamples,
        curves,
        directory.read("windows").to_pandas(),
        read_problems(directory.read("problems")),
        compared=rule.fractions,
        threshold=getattr(rule, "threshold", None),
        plans=directory.read("plans").to_pandas() if forked else None,
    )
    add_verdicts(summary, originals, directory.read("verdicts").to_pandas())
    return summary


def _fork_curves(forks: Sequence[Forks], progress: Progress) -> list[ForkCurve]:
    if not forks:
        return []
    progress.begin("curves", len(forks), unit="originals")
    curves: list[ForkCurve] = []
    for counts in forks:
        curves += fork_curves(counts)
        progress.advance(1)
    progress.end()
    return curves
