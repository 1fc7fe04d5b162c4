"""Headline numbers of a finished run, counted anew from its records: do they still say the same?"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

from critwin.budget_summary import summarise_budget
from critwin.curve import read_curves
from critwin.errors import CritwinError, ParameterError, RecordsError
from critwin.records import RunDirectory
from critwin.tables.facts import RunFacts
from critwin.window import WindowRule
from experiments.analysis import summary_of

RULES = "critwin.windows."
"""Where window rules are; a class is looked up nowhere else."""

LABELLED = ("llm_math", "llm_reasoning", "relabel", "structured_output")
BUDGET = "uncertainty_budget"

CLOSE = 1e-9
"""Numbers that differ by less are the same: sums in another order."""


def recounted(run: RunFacts) -> Iterator[str]:
    """Tell which headline numbers of a run its records do not give.

    Args:
        run: A finished run. Of experiments whose records cannot be counted without a model, or of
            a run made by a version of critwin that wrote other numbers, nothing is told.

    Yields:
        A line for each number that differs.
    """
    try:
        made = _counted(run)
    except CritwinError as error:
        yield f"its records cannot be counted: {error}"
        return
    if made is not None:
        yield from _differing(run.summary, made, "")


def _counted(run: RunFacts) -> dict[str, Any] | None:
    directory = RunDirectory(run.path)
    if run.experiment == BUDGET:
        names = ("shares", "originals", "resamples")
        shares, originals, resamples = (directory.read(name).to_pandas() for name in names)
        return summarise_budget(shares, originals, resamples)
    if run.experiment not in LABELLED:
        return None
    curves = read_curves(directory.read("curves").to_pandas())
    return summary_of(directory, _rule(run.identity.get("window") or {}), curves)


def _rule(described: Mapping[str, Any]) -> WindowRule:
    """Make a window rule again from its description in a provenance record."""
    name = str(described.get("class"))
    if not name.startswith(RULES):
        raise RecordsError(f"its provenance.json names no window rule: {name}")
    module, _, kind = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), kind)
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in described.items()}
        rule = found(**{key: value for key, value in values.items() if key != "class"})
    except (ImportError, AttributeError, TypeError, ParameterError) as error:
        raise RecordsError(f"its window rule cannot be made again: {error}") from None
    if not isinstance(rule, WindowRule):
        raise RecordsError(f"its provenance.json names no window rule: {name}")
    return rule


def _differing(stored: Any, made: Any, path: str) -> Iterator[str]:
    """Compare what both have; keys that only one has come from another version."""
    if path in ("headline", "tables"):
        return  # the same numbers, in words
    if isinstance(stored, Mapping) and isinstance(made, Mapping):
        for key in sorted(stored.keys() & made.keys()):
            yield from _differing(stored[key], made[key], f"{path}.{key}" if path else key)
    elif isinstance(stored, list) and isinstance(made, list):
        if len(stored) != len(made):
            counts = f"{len(stored)} entries stored, the records give {len(made)}"
            yield f"summary.json, {path}: {counts}"
            return
        for place, (one, other) in enumerate(zip(stored, made, strict=True)):
            yield from _differing(one, other, f"{path}[{place}]")
    elif not _same(stored, made):
        yield f"summary.json, {path}: stored {stored!r}, the records give {made!r}"


def _same(stored: Any, made: Any) -> bool:
    numbers = [isinstance(v, int | float) and not isinstance(v, bool) for v in (stored, made)]
    if all(numbers):
        return math.isclose(stored, made, rel_tol=CLOSE, abs_tol=CLOSE)
    return bool(stored == made)
