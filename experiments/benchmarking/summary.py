"""The numbers of a benchmark, as its summary holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from experiments.benchmarking.choices import Choices
from experiments.benchmarking.results import HALF_WIDTHS, Round
from experiments.benchmarking.roofline import Roofline
from experiments.benchmarking.tables import method_table, precision_table, ratio_table

Spread = dict[str, float | None]
"""Median, least and greatest over the rounds; null where nothing was measured."""

METHODS = ("generate", "paged", "engine")
"""The ways to draw the grid, in the order of a round."""

NOTES = {
    "every_token.resamples": "worked out: for each position the smallest number of draws whose "
    "Clopper-Pearson half-width at the expected hits is no wider than wanted, or than what forks "
    "reached where that is wider; probabilities are from forks to a half-width of .02",
    "every_token.tokens": "expected: draws times the mean tokens of a resample from there, by the "
    "recursion over the path with the lengths of measured forks",
    "every_token.seconds": "scaled up: a random sample of exactly this work, positions in "
    "proportion to their draws, is drawn by model.generate in each round",
    "every_token_by_engine": "scaled up: expected tokens at the engine's tokens per second",
    "half_width": "95 %, pointwise, mean over originals of the mean over the positions 0..n-1; "
    "of forks measured, of truncation what every position is planned for",
    "forks": "measured: tokens of the pilot are counted; the time is that of paths, pilot, "
    "planning, forks, labels and intervals",
    "a_seconds_over_d_seconds": "the smaller one of the two half-widths, in each round",
    "paged": "its manager is set up before the time is taken",
    "c_forward_share": "from a second pass over the same work, with the clock at the model's call",
    "a_and_b_forward_share": "from the warm-up",
    "peak_bytes": "beyond what the process held before; weights are not in it",
    "rounds": "in one process, the methods in turn; the first round is left out",
}


def summarise(
    rounds: Sequence[Round],
    *,
    warm_up: Round,
    choices: Choices,
    limit: Roofline | None,
    facts: Mapping[str, object],
) -> dict[str, object]:
    """Give everything that a benchmark found.

    Args:
        rounds: The rounds that count, at least one.
        warm_up: The round before them.
        choices: How transformers was called.
        limit: What the machine could do at most; None where no step of the engine was seen.
        facts: What is to be known of machine and work.
    """
    found = [round_.ratios() for round_ in rounds]
    ratios = {name: _spread(each[name] for each in found) for name in found[0]}
    methods = {name: _method(name, rounds, warm_up) for name in METHODS}
    keys = {
        f"{name}{ending}": values[part]
        for name, values in ratios.items()
        for ending, part in (("", "median"), ("_min", "min"), ("_max", "max"))
    }
    precision = {name: _precision(name, rounds) for name in HALF_WIDTHS}
    share = None
    if limit is not None:
        share = median(r.engine.tokens_per_second for r in rounds) / limit.tokens_per_second
    return {
        **keys,
        **facts,
        "methods": methods,
        "precision": precision,
        "roofline": None if limit is None else asdict(limit) | {"share_of_engine": share},
        "choices": {
            "trials": {name: asdict(trial) for name, trial in choices.trials.items()},
            "paged_refused": choices.refusal,
        },
        "notes": NOTES,
        "rounds": [asdict(round_) for round_ in rounds],
        "tables": [
            ratio_table(ratios),
            method_table(methods, limit),
            precision_table(precision),
        ],
    }


def _spread(values: Iterable[float | None]) -> Spread:
    known = [value for value in values if value is not None]
    if not known:
        return {"median": None, "min": None, "max": None}
    return {"median": median(known), "min": min(known), "max": max(known)}


def _spreads(items: Sequence[object], names: Iterable[str]) -> dict[str, Spread]:
    return {name: _spread(getattr(item, name) for item in items) for name in names}


def _method(name: str, rounds: Sequence[Round], warm_up: Round) -> dict[str, Any] | None:
    """Give speed, memory and forward share of a way to draw the grid."""
    drawings = [getattr(round_, name) for round_ in rounds]
    if None in drawings:
        return None
    numbers = ("resamples_per_second", "tokens_per_second", "seconds", "tokens", "peak_bytes")
    share = _spread(drawing.forward_share for drawing in drawings)["median"]
    return {
        "resamples": drawings[0].resamples,
        **_spreads(drawings, numbers),
        "forward_share": getattr(warm_up, name).forward_share if share is None else share,
    }


def _precision(name: str, rounds: Sequence[Round]) -> dict[str, Any]:
    """Give what forks and truncation at every token take for one half-width."""
    forks = [round_.forks[name] for round_ in rounds]
    truncating = [round_.every_token[name] for round_ in rounds]
    numbers = ("half_width", "forks", "tokens", "seconds", "peak_bytes")
    return {
        "wanted": HALF_WIDTHS[name],
        "forks": _spreads(forks, numbers)
        | {"stages": {s: _spread(f.stages.get(s, 0.0) for f in forks) for s in forks[0].stages}},
        "every_token": _spreads(truncating, ("half_width", "resamples", "tokens", "seconds")),
        "every_token_by_engine": {
            "seconds": _spread(
                r.every_token[name].tokens / r.engine.tokens_per_second for r in rounds
            )
        },
    }
