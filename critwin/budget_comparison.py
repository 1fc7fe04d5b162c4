"""Variance budgets of several runs beside each other: models, temperatures, checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from critwin.budget_summary import SHOWN, Key, counted_totals, share, share_difference, totals
from critwin.budget_tables import NATS, THRESHOLDS, TOKENS
from critwin.comparison import Compared, comparison_summary, name_runs
from critwin.drawing import DOUBLE, QUIET, drawing, percent
from critwin.fork_expectation import leave_mass
from critwin.means import clustered_mean, clustered_mean_difference
from critwin.statistics import Interval, clustered_difference

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHARES: tuple[tuple[str, str, Key], ...] = (
    *((f"J({c:g})", "of single tokens", {"threshold": c}) for c in SHOWN),
    *(
        (
            f"J(0.5) in blocks of {block:g} {unit}",
            "",
            {"threshold": 0.5, "unit": unit, "block": block},
        )
        for unit, block in (("tokens", 16.0), ("nats", 1.0))
    ),
)
"""Shares that are compared: name, note, what is selected."""

MATCHED_AT = 0.5
"""Threshold at which right and wrong labels are held against each other."""

PALETTE = ("#0072B2", "#C24E00", "#009E73", "#CC79A7", "#8A6D00", "#56B4E9")


@dataclass(frozen=True)
class BudgetTables:
    """The tables of a finished budget that a comparison reads.

    Attributes:
        name: What the run is called.
        originals: The originals table.
        shares: The shares table.
    """

    name: str
    originals: pd.DataFrame
    shares: pd.DataFrame


def compare_budgets(runs: Sequence[BudgetTables]) -> dict[str, Any]:
    """Compare where runs on the same problems spend the uncertainty of their answers.

    Args:
        runs: Two or more; the first is what the others are held against.

    Returns:
        As `critwin.comparison.compare`: uncertainty by pairs of answers, sum of squared jumps and
        their difference, J at the thresholds and over blocks, H, and right less wrong labels that
        are as probable within a question.
    """
    first, *others = runs
    rows = [_total(runs, name, note) for name, note in _TOTALS]
    for name, note, key in SHARES:
        less = [share_difference(run.shares, key, key, subtracted=first.shares) for run in others]
        rows.append(Compared(name, note, [share(run.shares, **key) for run in runs], less))
    found = [clustered_mean(*_choices(run)) for run in runs]
    less = [clustered_mean_difference(*_paired(_choices(run), _choices(first))) for run in others]
    rows.append(Compared("choices, H", "1 - probability over the tokens", found, less))
    right, wrong = ({"labels": f"{n} matched", "threshold": MATCHED_AT} for n in ("right", "wrong"))
    contrast = [share_difference(run.shares, right, wrong) for run in runs]
    note = "labels as probable within 0.1, same question"
    rows.append(Compared("J(0.5), right less wrong labels", note, contrast, [None for _ in others]))
    return comparison_summary([run.name for run in runs], rows)


_TOTALS = (
    ("uncertainty", "1 - sum P^2, by pairs of answers"),
    ("sum", "of all squared jumps, by forks"),
    ("difference", "the second less the first; 0 by the theorem"),
)


def _total(runs: Sequence[BudgetTables], name: str, note: str) -> Compared:
    found = [totals(run.shares, run.originals)[name] for run in runs]
    less: list[Interval | None] = [None for _ in runs[1:]]
    if name != "difference":
        first, *others = [
            (part[name] * part["originals"], part["originals"])
            for part in (counted_totals(run.shares, run.originals) for run in runs)
        ]
        less = [clustered_difference(*_paired(own, first)) for own in others]
    called = {"sum": "sum of squared jumps", "difference": "  less uncertainty"}
    return Compared(called.get(name, name), note, found, less)


def _choices(run: BudgetTables) -> tuple[pd.Series[float], pd.Series[float]]:
    """Give the sum of H over a problem's originals, and their number."""
    own = run.originals["surprisal"].map(
        lambda nats: leave_mass(np.exp(-np.asarray(nats, np.float64)))
    )
    grouped = own.astype(float).groupby(run.originals["problem_id"])
    return grouped.sum(), grouped.size().astype(float)


def _paired(
    one: tuple[pd.Series[float], pd.Series[float]], other: tuple[pd.Series[float], pd.Series[float]]
) -> list[pd.Series[float]]:
    index = one[0].index.union(other[0].index)
    return [part.reindex(index, fill_value=0.0) for part in (*one, *other)]


def budget_comparison_figure(
    runs: Sequence[BudgetTables], *, at: Sequence[float] | None = None, axis: str = ""
) -> Figure:
    """Draw J(c) of each run, J over blocks, and right beside wrong labels.

    Args:
        runs: The runs, in their order.
        at: A number for each run, for example the temperature; None names the runs.
        axis: What the numbers are.

    Returns:
        Double-column figure of four panels; bands and bars are 95 % over problems.
    """
    colors = _colors(len(runs), ordered=at is not None)
    with drawing(DOUBLE, 4.6) as figure:
        (curve, tokens), (labels, nats) = figure.subplots(2, 2)
        for run, color in zip(runs, colors, strict=True):
            keys: list[Key] = [{"threshold": c} for c in THRESHOLDS]
            _line(curve, THRESHOLDS, run, keys, color)
            for axes, unit, blocks in ((tokens, "tokens", TOKENS), (nats, "nats", NATS)):
                keys = [{"threshold": 0.5, "unit": unit, "block": float(n)} for n in blocks]
                _line(axes, blocks, run, keys, color)
        curve.legend(loc="lower left")
        curve.set(xlim=(0, 1), xlabel="jump of a single token, c", ylabel="spent above c")
        curve.set_title("J(c); bands: 95 % over problems", color=QUIET, fontsize=6.5)
        for axes, unit, blocks in ((tokens, "tokens", TOKENS), (nats, "nats", NATS)):
            axes.set_xscale("log")
            axes.set_xticks(blocks, [f"{n:g}" for n in blocks])
            axes.minorticks_off()
            axes.set(xlabel=f"length of a block, {unit}", ylabel="spent in blocks above 0.5")
        _draw_labels(labels, runs, at, axis)
        for axes in (curve, tokens, labels, nats):
            axes.set(ylim=(0, 1.02))
            axes.yaxis.set_major_formatter(percent)
    return figure


def _colors(number: int, *, ordered: bool) -> list[Any]:
    if not ordered:
        return [PALETTE[i % len(PALETTE)] for i in range(number)]
    import matplotlib

    return [matplotlib.colormaps["viridis"](x) for x in np.linspace(0, 0.85, number)]


def _line(
    axes: Axes, x: Sequence[float], run: BudgetTables, keys: Sequence[Key], color: Any
) -> None:
    found = [share(run.shares, **key) for key in keys]
    there = [(where, value) for where, value in zip(x, found, strict=True) if value is not None]
    where = [place for place, _ in there]
    axes.plot(where, [value.estimate for _, value in there], color=color, label=run.name)
    lower, upper = [value.lower for _, value in there], [value.upper for _, value in there]
    axes.fill_between(where, lower, upper, color=color, alpha=0.13, linewidth=0)


def _draw_labels(
    axes: Axes, runs: Sequence[BudgetTables], at: Sequence[float] | None, axis: str
) -> None:
    places = np.arange(len(runs), dtype=float) if at is None else np.asarray(at, np.float64)
    apart = np.diff(np.sort(places)).min() if len(places) > 1 else 1.0
    for name, color, side in (("right", PALETTE[0], -1), ("wrong", PALETTE[1], 1)):
        key: Key = {"labels": f"{name} matched", "threshold": MATCHED_AT}
        first = True
        for place, run in zip(places, runs, strict=True):
            value = share(run.shares, **key)
            if value is None:
                continue
            x = place + side * 0.06 * apart
            axes.plot([x, x], [value.lower, value.upper], color=color, linewidth=0.8)
            axes.plot([x], [value.estimate], "o", color=color, label=name if first else None)
            first = False
    axes.margins(x=0.12)
    axes.set(ylabel="spent above 0.5")
    axes.set_title("labels as probable in a question", color=QUIET, fontsize=6.5)
    name_runs(axes, [run.name for run in runs], at=at, axis=axis)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0, handlelength=1
        )
    else:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color=QUIET)
