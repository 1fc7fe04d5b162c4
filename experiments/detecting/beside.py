"""What `confident_jump` finds beside the baselines, budget by budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from experiments.detecting.calibration import LEVEL

OWN = ("confident_jump", "hierarchy", "scale")
"""Rules of critwin's own, which are no baselines."""

CALIBRATED = "_calibrated"
"""How the names of calibrated baselines end."""

KEPT = f"{100 * LEVEL:g} %"

Rates = Mapping[str, Any]


def against_keeping(pooled: Sequence[Rates], clear: float) -> dict[str, Any]:
    """Give what it finds beside the best baseline that keeps its level, as each rule comes.

    Args:
        pooled: Rates of each kind of data, budget and rule.
        clear: Rises of at least so much are told apart.
    """

    def keeps(rule: str, rates: Rates) -> bool:
        other = rule in OWN or rule.endswith(CALIBRATED)
        return not other and (rates["alarmed_worst"] or 0.0) <= LEVEL

    rows: list[list[Any]] = []
    less: dict[str, list[str]] = {"within": [], "clear": []}
    for kind, budget, found in _budgets(pooled):
        row: list[Any] = [kind, budget]
        for value, behind in less.items():
            own, (best, rule) = found["confident_jump"][value], _best(found, value, keeps)
            row += [own, best, rule]
            if (best or 0.0) > (own or 0.0):
                behind.append(f"{kind} at {budget}")
        rows.append(row)
    told = {
        value: f"less on {', '.join(behind)}" if behind else "no less at any budget"
        for value, behind in less.items()
    }
    return {
        "title": f"confident_jump beside the best baseline that kept {KEPT}",
        "columns": [
            *("data", "budget", "found", "best found", "best"),
            *(f"{clear:g} and more", "best", "best of these"),
        ],
        "rows": rows,
        "note": (
            f"Baselines as they come, where at most {KEPT} of the trajectories of each original "
            f"without a window had a false one: confident_jump finds {told['within']}. A rise just "
            "above the threshold cannot be told for certain from one just below it; of rises of "
            f"{clear:g} and more it finds {told['clear']}."
        ),
    }


def against_calibrated(pooled: Sequence[Rates]) -> dict[str, Any]:
    """Give what it finds beside the best calibrated baseline."""

    def told(rule: str, _: Rates) -> bool:
        return rule.endswith(CALIBRATED)

    rows, less = [], []
    for kind, budget, found in _budgets(pooled):
        own, (best, rule) = found["confident_jump"], _best(found, "within", told)
        alarmed = found[rule]["alarmed_worst"] if rule in found else None
        row = [kind, budget, own["within"], own["alarmed_worst"], best, alarmed]
        rows.append([*row, rule.removesuffix(CALIBRATED)])
        if (best or 0.0) > (own["within"] or 0.0):
            less.append(f"{kind} at {budget}")
    behind = (
        f"It finds less than the best of them on {', '.join(less)}."
        if less
        else "It finds no less than the best of them at any budget."
    )
    return {
        "title": "confident_jump beside the best calibrated baseline",
        "columns": [
            *("data", "budget", "found", "false alarms"),
            *("best found", "its false alarms", "best"),
        ],
        "rows": rows,
        "note": (
            f"Calibrated: the smallest threshold at which at most {KEPT} of other trajectories of "
            "each original without a window raise an alarm. One has to be told which those are: "
            f"of real data nobody knows, and confident_jump is not told. {behind}"
        ),
    }


def _budgets(pooled: Sequence[Rates]) -> Iterator[tuple[str, str, dict[str, Rates]]]:
    """Give kind of data, budget, and the rates of each rule."""
    cells: dict[tuple[str, str, int], dict[str, Rates]] = {}
    for row in pooled:
        cells.setdefault((row["kind"], row["equal"], row["size"]), {})[row["rule"]] = row
    for (kind, equal, size), found in cells.items():
        yield kind, f"{size} {equal}", found


def _best(
    found: Mapping[str, Rates], value: str, fits: Callable[[str, Rates], bool]
) -> tuple[float | None, str]:
    """Give the largest rate among some rules, and the rule; - where none finds anything."""
    fitting = {rule: rates[value] or 0.0 for rule, rates in found.items() if fits(rule, rates)}
    if not fitting:
        return None, "-"
    rule = max(fitting, key=lambda name: fitting[name])
    return fitting[rule], rule if fitting[rule] > 0 else "-"
