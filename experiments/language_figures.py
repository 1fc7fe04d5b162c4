"""Figures of the experiments on language, made again from their records in the style of a paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from critwin.attack_detection import Score, roc_figure
from critwin.comparison import RunTables, comparison_figure
from critwin.conditions import conditions_figure
from critwin.curve import read_curves
from critwin.direct_figure import direct_figure
from critwin.records import RunDirectory
from critwin.retrying import retries_figure
from critwin.structured_choices import drawn_original, staircase
from critwin.tables.facts import RunFacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNS = 6
"""Runs of one experiment whose figures are drawn; the tables have all."""

ALIKE = ("dataset", "prompt", "feature", "window", "originals_per_problem", "seed")
"""What runs at several temperatures share."""


def language_figures(runs: Sequence[RunFacts]) -> Iterator[tuple[str, Figure]]:
    """Draw what each experiment on language has a figure of its own for.

    Args:
        runs: Finished runs, by id.

    Yields:
        Name and figure: that of the experiment, with the run's id where several runs have one.
    """
    for experiment, draw in DRAWN.items():
        own = [run for run in runs if run.experiment == experiment][:RUNS]
        for run in own:
            figure = draw(run)
            if figure is not None:
                yield experiment if len(own) == 1 else f"{experiment}_{run.run_id[:6]}", figure
    groups = list(_temperatures(runs))
    for number, group in enumerate(groups, start=1):
        yield "temperature" if len(groups) == 1 else f"temperature_{number}", _by_temperature(group)


def _conditions(run: RunFacts) -> Figure | None:
    return conditions_figure(dict(run.summary))


def _retries(run: RunFacts) -> Figure | None:
    return retries_figure(run.summary)


def _direct(run: RunFacts) -> Figure | None:
    found = run.summary.get("direct")
    return direct_figure(found) if isinstance(found, Mapping) else None


def _roc(run: RunFacts) -> Figure | None:
    rows = RunDirectory(run.path).read("scores").to_pandas()
    signs = {str(own["score"]): (own["sign"] > 0) == own["theory"] for own in run.summary["recall"]}
    values = {name: np.asarray(rows[name], np.float64) for name in signs}
    scores = [Score(name, values[name], high=bool(high)) for name, high in signs.items()]
    return roc_figure(scores, rows["attack"].tolist())


def _staircase(run: RunFacts) -> Figure | None:
    directory = RunDirectory(run.path)
    names = ("originals", "generations", "choices", "curves")
    originals, generations, choices, curves = (directory.read(n).to_pandas() for n in names)
    name = drawn_original(originals, choices)
    if name is None:
        return None
    (original,) = originals[originals["original_id"] == name].to_dict("records")
    curve = next(c for c in read_curves(curves) if c.own and c.original_id == name)
    return staircase(
        {str(key): value for key, value in original.items()},
        generations[generations["problem_id"] == original["problem_id"]],
        curve,
        choices[choices["original_id"] == name],
    )


DRAWN: Mapping[str, Callable[[RunFacts], Figure | None]] = {
    "structured_output": _staircase,
    "prefill_jailbreak": _conditions,
    "repeated_word": _conditions,
    "jailbreak_likelihood_ratio": _roc,
    "self_correction": _retries,
    "direct_answer": _direct,
}
"""What draws the figure of a run."""


def _temperatures(runs: Sequence[RunFacts]) -> Iterator[list[RunFacts]]:
    """Give the runs of `temperature` that differ in nothing else, two or more, coldest first."""
    groups: dict[str, list[RunFacts]] = {}
    for run in runs:
        if run.experiment == "temperature":
            model = {**(run.identity.get("model") or {}), "temperature": None}
            key = [model, *(run.identity.get(name) for name in ALIKE)]
            groups.setdefault(repr(key), []).append(run)
    for group in groups.values():
        if len({run.run["temperature"] for run in group}) > 1:
            yield sorted(group, key=lambda run: float(run.run["temperature"]))


def _by_temperature(runs: Sequence[RunFacts]) -> Figure:
    at = [float(run.run["temperature"]) for run in runs]
    return comparison_figure([_tables(run) for run in runs], at=at, axis="temperature")


def _tables(run: RunFacts) -> RunTables:
    directory = RunDirectory(run.path)
    names = ("originals", "curves", "windows")
    return RunTables(run.run_id, *(directory.read(name).to_pandas() for name in names))
