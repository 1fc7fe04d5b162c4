"""Votes over branches in numbers and in a figure: paired over problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from critwin.branching import ARMS, WAYS
from critwin.drawing import BLUE, DOUBLE, ORANGE, QUIET, drawing, percent
from critwin.statistics import Interval, clustered_difference, clustered_share, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {"majority": "majority vote", "best": "most probable answer", "oracle": "any is right"}
PLACES = {
    "windows": "at windows",
    "open": "at random open positions",
    "start": "from the start",
    "start paid": "from the start, finding's tokens too",
}
STYLES = {"windows": (BLUE, "-o"), "open": (ORANGE, "--s"), "start": ("0.25", ":^")}


def right(votes: pd.DataFrame, way: str, arm: str, budget: float) -> Interval | None:
    """Give the share that a way of choosing gets right, in an arm at a budget, over problems."""
    rows = votes[(votes["arm"] == arm) & (votes["budget"] == budget)]
    per_problem = rows.groupby("problem_id")[way]
    return clustered_share(per_problem.sum(), per_problem.size())


def gain(votes: pd.DataFrame, way: str, budget: float, first: str, second: str) -> Interval | None:
    """Give how much more one arm gets right than another on the same originals, over problems."""
    at = votes[votes["budget"] == budget]
    sums = [at[at["arm"] == arm].groupby("problem_id")[way] for arm in (first, second)]
    return clustered_difference(sums[0].sum(), sums[0].size(), sums[1].sum(), sums[1].size())


def summarise_votes(
    votes: pd.DataFrame, originals: pd.DataFrame, branches: pd.DataFrame
) -> dict[str, Any]:
    """Give the summary of a run, fit for JSON.

    Returns:
        with_window and everywhere (all originals; those without a window branch at the start in
        every arm): per budget, arm and way the share right, and the differences between the arms,
        paired, with the tokens that were really generated; counts; headline; tables.
    """
    groups = {"with_window": votes[votes["window"]], "everywhere": votes}
    found: dict[str, Any] = {name: _group(rows) for name, rows in groups.items()}
    counts = {
        "originals": len(originals),
        "problems": int(originals["problem_id"].nunique()),
        "judged": int(votes["original_id"].nunique()),
        "with_window": int(votes.loc[votes["window"], "original_id"].nunique()),
        "branches": len(branches),
        "unscored_branches": int(branches["unscored"].sum()),
    }
    found["counts"] = counts
    found["headline"] = _headline(groups, counts)
    found["tables"] = [_table(groups["with_window"])] if counts["with_window"] else []
    return found


def branching_figure(votes: pd.DataFrame) -> Figure:
    """Draw what is right over the tokens generated, for originals with a window.

    Returns:
        Double-column figure, one panel per way of choosing; bars are 95 % over problems. The line
        of windows is drawn twice: without and, thin, with the tokens of finding them.
    """
    chosen = votes[votes["window"]]
    with drawing(DOUBLE, 2.5) as figure:
        panels = figure.subplots(1, len(WAYS), sharey=True)
        for axes, way in zip(panels, WAYS, strict=True):
            if chosen.empty:
                axes.text(0.5, 0.5, "no window", transform=axes.transAxes, ha="center", color=QUIET)
                continue
            _draw(axes, chosen, way)
            axes.set_title(NAMES[way], color=QUIET, fontsize=6.5)
        panels[0].set(ylim=(0, 1.02), ylabel="right, answers with a window")
        panels[0].yaxis.set_major_formatter(percent)
        if not chosen.empty:
            handles, labels = panels[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=6)
    return figure


def _draw(axes: Axes, votes: pd.DataFrame, way: str) -> None:
    spent = votes.groupby(["arm", "budget"])[["tokens", "finding_tokens"]].mean()
    budgets = sorted(votes["budget"].unique())
    for arm, (color, style) in STYLES.items():
        found = [right(votes, way, arm, budget) for budget in budgets]
        at = [float(spent.loc[(arm, budget), "tokens"]) for budget in budgets]
        there = [(x, v) for x, v in zip(at, found, strict=True) if v is not None]
        y = [v.estimate for _, v in there]
        axes.plot([x for x, _ in there], y, style, color=color, label=PLACES[arm])
        for x, value in there:
            axes.plot([x, x], [value.lower, value.upper], color=color, linewidth=0.5)
        if arm == "windows":
            paid = [
                x + float(spent.loc[(arm, b), "finding_tokens"])
                for x, b in zip(at, budgets, strict=True)
            ]
            axes.plot(
                paid,
                y,
                "-o",
                color=color,
                linewidth=0.6,
                markersize=2,
                label="at windows, finding counted",
            )
        if arm == "start":
            more = [right(votes, way, "start paid", budget) for budget in budgets]
            further = [float(spent.loc[("start paid", budget), "tokens"]) for budget in budgets]
            axes.plot(further, [v.estimate for v in more if v], style, color=color, linewidth=0.6)
    axes.set_xscale("log")
    axes.set_xlabel("tokens generated per answer")


def _group(votes: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for budget in sorted(votes["budget"].unique()):
        at = votes[votes["budget"] == budget]
        row: dict[str, Any] = {"budget": float(budget), "arms": {}, "gains": {}}
        for arm in PLACES:
            own = at[at["arm"] == arm]
            row["arms"][arm] = {
                "branches": float(own["branches"].mean()),
                "tokens": float(own["tokens"].mean()),
                "finding_tokens": float(own["finding_tokens"].mean()),
                **{way: plain(right(at, way, arm, budget)) for way in WAYS},
            }
        for other in ("open", "start", "start paid"):
            row["gains"][f"windows less {other}"] = {
                way: plain(gain(at, way, budget, "windows", other)) for way in WAYS
            }
        rows.append(row)
    return rows


def _headline(groups: dict[str, pd.DataFrame], counts: dict[str, int]) -> list[dict[str, Any]]:
    rows = []
    for name, votes in (("with a window", groups["with_window"]), ("all", groups["everywhere"])):
        if votes.empty:
            continue
        budget = float(votes["budget"].max())
        spent = votes[votes["budget"] == budget].groupby("arm")["tokens"].mean()
        for way in WAYS[:1] if name == "all" else WAYS:
            for arm in ARMS:
                note = f"{spent[arm]:.0f} tokens per answer; answers {name}"
                title = f"{NAMES[way]}, {PLACES[arm]}"
                rows.append({"name": title, **plain(right(votes, way, arm, budget)), "note": note})
            for other in ("open", "start", "start paid"):
                value = gain(votes, way, budget, "windows", other)
                title = f"  windows less {PLACES[other]}"
                rows.append({"name": title, **plain(value), "note": f"paired; answers {name}"})
    total = {
        "estimate": counts["with_window"] / max(counts["judged"], 1),
        "lower": None,
        "upper": None,
    }
    size = {"n": counts["judged"], "problems": counts["problems"]}
    note = "rises whose joint interval is above 0"
    return [{"name": "answers with a certified window", **total, **size, "note": note}, *rows]


def _table(votes: pd.DataFrame) -> dict[str, Any]:
    """Give the shares right over all budgets, answers with a window."""
    columns = ["budget", "arm", "branches", "tokens", "with finding", *(NAMES[way] for way in WAYS)]
    rows = []
    for budget in sorted(votes["budget"].unique()):
        for arm, place in PLACES.items():
            own = votes[(votes["budget"] == budget) & (votes["arm"] == arm)]
            tokens = float(own["tokens"].mean())
            finding = tokens + float(own["finding_tokens"].mean())
            cells = [_cell(right(votes, way, arm, float(budget))) for way in WAYS]
            rows.append(
                [f"{budget:g}", place, float(own["branches"].mean()), tokens, finding, *cells]
            )
    return {"title": "Answers with a window, by tokens generated", "columns": columns, "rows": rows}


def _cell(value: Interval | None) -> str:
    return "-" if value is None else f"{value.estimate:.2f} [{value.lower:.2f}, {value.upper:.2f}]"
