"""Finished runs on the same problems beside each other: paired, intervals clustered by problem."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from critwin.drawing import BLUE, DOUBLE, QUIET, drawing, percent
from critwin.feature import UNSCORED
from critwin.fork_expectation import leave_mass
from critwin.means import clustered_mean, clustered_mean_difference
from critwin.problem import Problem
from critwin.statistics import Interval, clustered_difference, clustered_share, plain
from critwin.summary import own_rises

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class RunTables:
    """The tables of a finished run that a comparison reads.

    Attributes:
        name: What the run is called.
        originals: The originals table.
        curves: The curves table; own labels are looked at.
        windows: The windows table.
        verdicts: The verdicts table of a run whose rule measures the scale l*(c); else None.
    """

    name: str
    originals: pd.DataFrame
    curves: pd.DataFrame
    windows: pd.DataFrame
    verdicts: pd.DataFrame | None = None


@dataclass(frozen=True)
class Measure:
    """What is compared: a value per original, missing where it does not apply.

    Attributes:
        name: What it is called.
        kind: A share has an interval that keeps to [0, 1]; a mean has Student's.
        note: What it is, in a few words.
        of: Gives the values by original_id, NaN where there is none.
    """

    name: str
    kind: Literal["share", "mean"]
    note: str
    of: Callable[[RunTables], pd.Series[float]]


@dataclass(frozen=True)
class Compared:
    """A quantity of several runs.

    Attributes:
        name: What it is called.
        note: What it is, in a few words.
        found: Its value in each run; None where a run has none.
        less: The value of each later run less that of the first, paired over problems.
    """

    name: str
    note: str
    found: Sequence[Interval | None]
    less: Sequence[Interval | None]


def _by_original(run: RunTables, values: pd.Series[float]) -> pd.Series[float]:
    return values.reindex(run.originals["original_id"]).astype(float)


def _accuracy(run: RunTables) -> pd.Series[float]:
    values = run.originals.set_index("original_id")["correct"].astype(object)
    return values.map(lambda v: math.nan if v is None or v is pd.NA else float(v)).astype(float)


def _scored(run: RunTables) -> pd.Series[bool]:
    return ~run.originals.set_index("original_id")["unscored"].astype(bool)


def _with_window(run: RunTables) -> pd.Series[float]:
    scored = _scored(run)
    found = set(own_rises(run.windows, run.originals)["original_id"])
    values = pd.Series([float(name in found) for name in scored.index], index=scored.index)
    return values.where(scored)


def _middle(run: RunTables, share: bool) -> pd.Series[float]:
    rising = own_rises(run.windows, run.originals)
    tokens = run.originals.set_index("original_id")["token_ids"].map(len)
    middle = (rising["position_start"] + rising["position_end"]) / 2
    if share:
        middle = middle / rising["original_id"].map(tokens).astype(float)
    return _by_original(run, middle.groupby(rising["original_id"]).mean())


def _own(curves: pd.DataFrame) -> pd.DataFrame:
    own = curves[curves["own"].astype(bool) & (curves["label"] != UNSCORED)]
    # a run may hold curves by forks beside those of a grid
    return own[own["estimator"] == ("forks" if (own["estimator"] == "forks").any() else "grid")]


def _at_start(run: RunTables) -> pd.Series[float]:
    own = _own(run.curves)
    return _by_original(run, own[own["position"] == 0].set_index("original_id")["agreement"])


def _half_width(run: RunTables) -> pd.Series[float]:
    return _by_original(run, own_half_widths(run.curves))


def own_half_widths(curves: pd.DataFrame) -> pd.Series[float]:
    """Give the mean half-width of the own label's intervals over the positions visited.

    Args:
        curves: The curves table.

    Returns:
        By original_id, scored originals alone.
    """
    own = _own(curves)
    own = own[own["kept"] < 1]
    half = (own["upper"] - own["lower"]) / 2
    widths: pd.Series[float] = half.groupby(own["original_id"]).mean()
    return widths


def _leave_mass(run: RunTables) -> pd.Series[float]:
    nats = run.originals.set_index("original_id")["surprisal"]
    return nats.map(lambda own: leave_mass(np.exp(-np.asarray(own, np.float64)))).astype(float)


def _length(run: RunTables) -> pd.Series[float]:
    return run.originals.set_index("original_id")["token_ids"].map(len).astype(float)


def _scale(run: RunTables) -> pd.Series[float]:
    rows = run.verdicts
    if rows is None or "scale_tokens" not in rows:
        return _by_original(run, pd.Series(dtype=float))
    rows = rows[(rows["direction"] == "rise") & rows["scale_tokens"].notna()]
    return _by_original(run, rows.groupby("original_id")["scale_tokens"].min())


MEASURES = (
    Measure("accuracy", "share", "of scored answers with a truth", _accuracy),
    Measure("answers with a window", "share", "of scored answers", _with_window),
    Measure("window at, tokens", "mean", "middle; answers with one", lambda r: _middle(r, False)),
    Measure(
        "window at, share kept", "mean", "middle; answers with one", lambda r: _middle(r, True)
    ),
    Measure("shortest rise l*, tokens", "mean", "answers that rise above c", _scale),
    Measure("agreement with nothing kept", "share", "own label, scored answers", _at_start),
    Measure("choices, H", "mean", "1 - probability over the tokens", _leave_mass),
    Measure("half-width", "mean", "95 %, pointwise, mean over positions", _half_width),
    Measure("length, tokens", "mean", "", _length),
)


def estimate(run: RunTables, measure: Measure) -> Interval | None:
    """Give a measure of one run with its interval over problems."""
    sums, counts = _per_problem(run, measure)
    if measure.kind == "share":
        return clustered_share(sums, counts)
    return clustered_mean(sums, counts)


def difference(run: RunTables, other: RunTables, measure: Measure) -> Interval | None:
    """Give a measure of one run less that of another, paired by problem."""
    one, two = _per_problem(run, measure), _per_problem(other, measure)
    index = one[0].index.union(two[0].index)
    groups = [part.reindex(index, fill_value=0.0) for part in (*one, *two)]
    if measure.kind == "share":
        return clustered_difference(*groups)
    return clustered_mean_difference(*groups)


def _per_problem(run: RunTables, measure: Measure) -> tuple[pd.Series[float], pd.Series[float]]:
    values = measure.of(run)
    problem = run.originals.set_index("original_id")["problem_id"].reindex(values.index)
    sums = values.groupby(problem).sum()
    return sums, values.notna().astype(float).groupby(problem).sum()


def compare(runs: Sequence[RunTables]) -> dict[str, Any]:
    """Compare runs on the same problems.

    Args:
        runs: Two or more; the first is what the others are held against.

    Returns:
        measures: per measure that some run has, each run's estimate and each later run less the
        first, paired over problems; paired: the same, a row for each run; headline; tables. Fit
        for JSON.
    """
    compared = []
    for measure in MEASURES:
        found = [estimate(run, measure) for run in runs]
        if any(found):
            less = [difference(run, runs[0], measure) for run in runs[1:]]
            compared.append(Compared(measure.name, measure.note, found, less))
    return comparison_summary([run.name for run in runs], compared)


def comparison_summary(names: Sequence[str], compared: Sequence[Compared]) -> dict[str, Any]:
    """Put what was compared into measures, headline and tables; fit for JSON.

    Args:
        names: The runs, the first being what the others are held against.
        compared: What was compared.
    """
    rows: list[dict[str, Any]] = [
        {
            "name": row.name,
            "note": row.note,
            "runs": {name: _fit(v) for name, v in zip(names, row.found, strict=True)},
            "less_first": {name: _fit(v) for name, v in zip(names[1:], row.less, strict=True)},
        }
        for row in compared
    ]
    paired = [
        {"quantity": row["name"], "run": name, "value": row["runs"][name]}
        | {"less_first": row["less_first"].get(name)}
        for row in rows
        for name in names
        if row["runs"][name]["estimate"] is not None
    ]
    last = names[-1]
    headline = [
        {"name": f"{row['name'].strip()}: {last} less {names[0]}", **row["less_first"][last]}
        | {"note": f"paired; {row['note']}" if row["note"] else "paired"}
        for row in rows
        if row["less_first"][last]["estimate"] is not None
    ]
    return {
        "measures": rows,
        "paired": paired,
        "headline": headline,
        "tables": [_table(names, rows)],
    }


def same_problems(first: Sequence[Problem], other: Sequence[Problem]) -> str | None:
    """Say how two lists of problems differ in ids, questions or truths; None where they do not."""
    one, two = ({p.problem_id: (p.question, p.truth) for p in own} for own in (first, other))
    alone, others = sorted(one.keys() - two.keys()), sorted(two.keys() - one.keys())
    changed = sorted(name for name in one.keys() & two.keys() if one[name] != two[name])
    parts = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for names, what in (
            (alone, "problems of the first alone"),
            (others, "of the other alone"),
            (changed, "with another question or truth"),
        )
        if names
    ]
    return "; ".join(parts) or None


def comparison_figure(
    runs: Sequence[RunTables], *, at: Sequence[float] | None = None, axis: str = ""
) -> Figure:
    """Draw accuracy, windows, agreement with nothing kept and H over the runs.

    Args:
        runs: The runs, in their order.
        at: A number for each run, for example the training step; None draws names.
        axis: What the numbers are.

    Returns:
        Double-column figure; bars are 95 % over problems.
    """
    shown = [m for m in MEASURES if m.name in SHOWN]
    with drawing(DOUBLE, 2.2) as figure:
        for axes, measure in zip(figure.subplots(1, len(shown)), shown, strict=True):
            _draw(axes, [estimate(run, measure) for run in runs], at or range(len(runs)))
            axes.set_title(measure.name, color=QUIET, fontsize=6.5)
            if measure.kind == "share":
                axes.set_ylim(0, 1.02)
                axes.yaxis.set_major_formatter(percent)
            else:
                axes.set_ylim(bottom=0)
            name_runs(axes, [run.name for run in runs], at=at, axis=axis)
    return figure


def name_runs(
    axes: Axes, names: Sequence[str], *, at: Sequence[float] | None = None, axis: str = ""
) -> None:
    """Write the runs below an axis: what their numbers are, or their names."""
    if at is not None:
        axes.set_xlabel(axis)
        return
    turn = 30 if max(map(len, names)) > 4 else 0
    axes.set_xticks(range(len(names)), names, rotation=turn, ha="right" if turn else "center")
    axes.set_xlim(-0.5, len(names) - 0.5)


SHOWN = ("accuracy", "answers with a window", "agreement with nothing kept", "choices, H")


def _draw(axes: Axes, found: Sequence[Interval | None], at: Sequence[float]) -> None:
    there = [(x, v) for x, v in zip(at, found, strict=True) if v is not None]
    axes.plot([x for x, _ in there], [v.estimate for _, v in there], "-o", color=BLUE)
    for x, value in there:
        if math.isfinite(value.lower):
            axes.plot([x, x], [value.lower, value.upper], color="0.3", linewidth=0.8)


def _fit(interval: Interval | None) -> dict[str, Any]:
    values: Mapping[str, Any] = plain(interval)
    finite = interval is not None and math.isfinite(interval.lower)
    return {**values} if finite or interval is None else {**values, "lower": None, "upper": None}


def _table(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    columns = ["quantity", "run", "estimate", "95 %", f"less {names[0]}", "95 %", "problems"]
    cells = []
    for row in rows:
        for i, run in enumerate(names):
            own, less = row["runs"][run], row["less_first"].get(run)
            ends = (None, "") if less is None else (less["estimate"], _ends(less))
            name = str(row["name"]) if i == 0 else ""
            cells.append([name, run, own["estimate"], _ends(own), *ends, own["problems"]])
    return {"title": "Comparison, paired by problem", "columns": columns, "rows": cells}


def _ends(row: Mapping[str, Any]) -> str:
    known = row["lower"] is not None
    return f"[{row['lower']:.3f}, {row['upper']:.3f}]" if known else ""
