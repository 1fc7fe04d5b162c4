"""Which figures across runs can be drawn, and from which runs; how they look is critwin's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from critwin.comparison import own_half_widths
from critwin.curve import read_curves
from critwin.drawing import DOUBLE, drawable, drawing, save
from critwin.errors import ParameterError, RecordsError
from critwin.figures import chosen_originals, draw_means
from critwin.fork_figures import forks_beside_grid
from critwin.paper_figures.accuracy import Answers, accuracy_by_jump, largest_rises
from critwin.paper_figures.places import Places, window_places
from critwin.paper_figures.precision import Spent, tokens_and_precision
from critwin.paper_figures.theory import Point, theory_against_measured
from critwin.protocol import Protocol
from critwin.records import RunDirectory
from critwin.tables.description import listed
from critwin.tables.facts import RunFacts
from experiments.detecting.figures import detection_figure
from experiments.language_figures import language_figures
from experiments.source import finished_run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PANELS = 6
"""Runs of which curves are drawn side by side, and bars in a group; the tables have all."""

EQUALITIES = ("agrees", "differs")
"""Verdicts of rows whose theory is a value, not a bound."""

BOUNDS = ("the paper's", "labels'")
"""How the names of rows begin whose theory is a bound, even where it does not hold."""

SAME = ("model", "dataset", "prompt", "originals_per_problem", "seed")
"""What two runs share that studied the same originals."""


@dataclass(frozen=True)
class _Labelled:
    """A run with originals, resamples and curves."""

    facts: RunFacts
    name: str

    def read(self, table: str) -> pd.DataFrame:
        found: pd.DataFrame = RunDirectory(self.facts.path).read(table).to_pandas()
        return found


def write_paper_figures(
    runs: Sequence[RunFacts], folder: Path, *, names: Mapping[str, str]
) -> list[Path]:
    """Write the figures that the runs have something for, as PDF and PNG.

    Args:
        runs: Finished runs, each once.
        folder: Where figures go.
        names: What to call models, problem sets and the like.

    Returns:
        The files.

    Raises:
        RecordsError: A table of a run is damaged.
    """
    ordered = sorted(runs, key=lambda run: run.run_id)
    labelled = list(_labelled(ordered, names))
    drawn: list[tuple[str, Figure | None]] = [
        ("mean_curves", _means(labelled[:PANELS])),
        ("accuracy_by_jump", _accuracy(labelled[:PANELS])),
        ("window_places", _places(ordered, names)),
        ("theory_against_measured", _theory(ordered)),
        ("tokens_and_precision", _precision(labelled[:PANELS])),
        ("forks_and_grid", _forks_and_grid(labelled)),
        ("detector_benchmark", _detectors(ordered)),
        *_originals(labelled).items(),
        *language_figures(ordered),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    return [
        path for name, figure in drawn if figure is not None for path in save(figure, folder / name)
    ]


def _labelled(runs: Sequence[RunFacts], names: Mapping[str, str]) -> Iterator[_Labelled]:
    needed = ("originals", "resamples", "curves", "windows")
    found = [
        run
        for run in runs
        if run.find("summary.with_window.all") is not None
        and all((run.path / f"{table}.parquet").is_file() for table in needed)
    ]
    titles = [_title(run, names) for run in found]
    for run, title in zip(found, titles, strict=True):
        twice = titles.count(title) > 1
        yield _Labelled(run, f"{title}\n{run.run_id[:6]}" if twice else title)


def _title(run: RunFacts, names: Mapping[str, str]) -> str:
    parts = [str(run.run[key] or "") for key in ("dataset", "model")]
    return "\n".join(names.get(part, part) for part in parts)


def _means(runs: Sequence[_Labelled]) -> Figure | None:
    """Draw mean curves of right and wrong answers, a panel for each run."""
    shown = [run for run in runs if _visited(run) is not None]
    if not shown:
        return None
    columns = min(len(shown), 2)
    rows = -(-len(shown) // columns)
    with drawing(DOUBLE if columns > 1 else DOUBLE / 2, 2.3 * rows + 0.2) as figure:
        every = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, run in zip(every, shown, strict=False):
            curves = read_curves(run.read("curves").query("own"))
            draw_means(axes, curves, run.read("originals"), _visited(run) or ())
            title = drawable(run.name.replace("\n", ", "))
            axes.set_title(title, fontsize=6.5, parse_math=False)
        for axes in every[len(shown) :]:
            axes.set_axis_off()
    return figure


def _visited(run: _Labelled) -> tuple[float, ...] | None:
    """Give the shares at which a run shows means; None of rollouts that were drawn elsewhere."""
    try:
        protocol = finished_run("runs", str(run.facts.path)).protocol
    except ParameterError:
        return None
    return protocol.shown_fractions() if isinstance(protocol, Protocol) else None


def _accuracy(runs: Sequence[_Labelled]) -> Figure | None:
    answers = []
    for run in runs:
        originals = run.read("originals")
        judged = originals[originals["correct"].notna()]
        rise = judged["original_id"].map(largest_rises(run.read("curves")))
        table = judged[["problem_id", "correct"]].assign(rise=rise.astype(float)).dropna()
        if len(table):
            answers.append(Answers(run.name, table))
    return accuracy_by_jump(answers) if answers else None


def _places(runs: Sequence[RunFacts], names: Mapping[str, str]) -> Figure | None:
    """Draw where windows fall; runs of a problem set whose rules compared the same go together."""
    sets: dict[tuple[str, tuple[float, ...]], np.ndarray] = {}
    for run in runs:
        places = run.summary.get("places")
        if not isinstance(places, list) or not places:
            continue
        edges = (*(float(cell["from"]) for cell in places), float(places[-1]["to"]))
        name = str(run.run["dataset"] or run.experiment)
        counts = np.array([int(cell["all"]) for cell in places])
        key = (names.get(name, name), edges)
        sets[key] = sets.get(key, np.zeros(len(counts), int)) + counts
    found = [
        Places(name, edges, tuple(int(c) for c in counts))
        for (name, edges), counts in sorted(sets.items(), key=lambda one: one[0])
        if counts.sum()
    ]
    return window_places(found[:PANELS]) if found else None


def _theory(runs: Sequence[RunFacts]) -> Figure | None:
    times: dict[str, list[Point]] = {}
    others: dict[str, list[Point]] = {}
    for run in runs:
        for row in listed(run.summary.get("tables")):
            ends = [row.get(key) for key in ("theory", "lower", "upper")]
            if row.get("verdict") not in EQUALITIES or any(end is None for end in ends):
                continue
            if str(row["quantity"]).startswith(BOUNDS):
                continue
            kind = times if str(row["quantity"]).startswith("T_") else others
            point = (float(ends[0]), row.get("measured"), float(ends[1]), float(ends[2]))
            kind.setdefault(run.experiment, []).append(point)
    return theory_against_measured(times, others) if times or others else None


def _precision(runs: Sequence[_Labelled]) -> Figure | None:
    points: list[Spent] = []
    for run in runs:
        tokens = run.read("resamples").groupby("original_id")["tokens_generated"].sum()
        widths = own_half_widths(run.read("curves"))
        forked = (run.facts.path / "plans.parquet").is_file()
        for name, width in widths.items():
            drawn = float(tokens.get(name, 0.0))
            points.append(Spent("forks" if forked else "grid", drawn, float(width)))
        if forked:
            plans = run.read("plans").dropna(subset=["grid_tokens", "compared_half_width"])
            columns = (plans["grid_tokens"], plans["compared_half_width"])
            points += [
                Spent("grid expected", float(t), float(w)) for t, w in zip(*columns, strict=True)
            ]
    points = [p for p in points if p.tokens > 0 and p.half_width > 0]
    return tokens_and_precision(points) if points else None


def _forks_and_grid(runs: Sequence[_Labelled]) -> Figure | None:
    """Draw the first two runs that studied the same originals, one by forks, one by truncation."""
    kinds: dict[bool, list[_Labelled]] = {True: [], False: []}
    for run in runs:
        kinds[(run.facts.path / "plans.parquet").is_file()].append(run)
    for forks in kinds[True]:
        for grid in kinds[False]:
            one, other = forks.facts.identity, grid.facts.identity
            if all(one.get(key) == other.get(key) for key in SAME):
                pair = (RunDirectory(run.facts.path) for run in (forks, grid))
                try:
                    return forks_beside_grid(*pair)
                except RecordsError:
                    continue  # the same settings, but no original in common: another code's seeds
    return None


def _detectors(runs: Sequence[RunFacts]) -> Figure | None:
    found = [run for run in runs if run.experiment == "detector_benchmark"]
    if not found:
        return None
    return detection_figure(RunDirectory(found[0].path).read("cells").to_pandas())


def _originals(runs: Sequence[_Labelled]) -> dict[str, Figure]:
    """Draw the original with the largest jump of the run with most windows, and plateaus."""

    def by_windows(run: _Labelled) -> tuple[int, str]:
        return -int(run.facts.find("summary.counts.windows") or 0), run.facts.run_id

    figures: dict[str, Figure] = {}
    for run in sorted(runs, key=by_windows):
        stepped = str(run.facts.find("identity.window.class")).endswith("Hierarchy")
        if figures and not (stepped and "plateaus" not in figures):
            continue
        own = chosen_originals(run.read("originals"), run.read("curves"), run.read("windows"))
        figures = {**own, **figures}
    return figures
