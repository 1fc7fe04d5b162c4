"""The tables of a benchmark that a person sees on the terminal.

A table is a title, names of columns, and rows of text and numbers; the first column is text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.benchmarking.roofline import Roofline

Table = dict[str, Any]

RATIOS = {
    "c_over_a_resamples_per_second": "C over A, resamples per second",
    "c_over_b_resamples_per_second": "C over B, resamples per second",
    "every_token_tokens_over_d_tokens_05": "every token over D, tokens, half-width .05",
    "every_token_tokens_over_d_tokens_02": "every token over D, tokens, half-width .02",
    "a_seconds_over_d_seconds_05": "every token by A over D, seconds, .05",
    "a_seconds_over_d_seconds_02": "every token by A over D, seconds, .02",
    "c_forward_share": "share of C's time in the model",
}
METHODS = {
    "generate": "A  model.generate on each prefix",
    "paged": "B  continuous batching of transformers",
    "engine": "C  the engine",
}


def ratio_table(ratios: Mapping[str, Mapping[str, float | None]]) -> Table:
    """Show how the methods compare, with the spread over the rounds."""
    return {
        "title": "Ratios over the rounds",
        "columns": ["ratio", "median", "min", "max"],
        "rows": [
            [words, *(ratios[name][part] for part in ("median", "min", "max"))]
            for name, words in RATIOS.items()
        ],
    }


def method_table(methods: Mapping[str, Any], limit: Roofline | None) -> Table:
    """Show how fast each method draws the same grid; medians."""
    rows: list[list[object]] = []
    for name, words in METHODS.items():
        found = methods[name]
        if found is None:
            rows.append([f"{words}: does not run here", None, None, None, None])
            continue
        peak = found["peak_bytes"]["max"]
        rows.append(
            [
                words,
                found["resamples_per_second"]["median"],
                found["tokens_per_second"]["median"],
                found["forward_share"],
                None if peak is None else peak / 1e6,
            ]
        )
    if limit is not None:
        rows.append(["the machine, at most", None, limit.tokens_per_second, None, None])
    return {
        "title": "The same grid, drawn by each method",
        "columns": ["method", "resamples/s", "tokens/s", "share in the model", "peak MB"],
        "rows": rows,
    }


def precision_table(precision: Mapping[str, Any]) -> Table:
    """Show what the same half-width at every token takes; medians."""
    rows: list[list[object]] = []
    for found in precision.values():
        wanted = f"{found['wanted']:.2f}".removeprefix("0")
        truncating, forks = found["every_token"], found["forks"]
        for words, half_width, draws, tokens, seconds, how in (
            (
                "every token by A",
                truncating["half_width"],
                truncating["resamples"],
                truncating["tokens"],
                truncating["seconds"],
                "expected; seconds scaled up",
            ),
            (
                "every token by C",
                truncating["half_width"],
                truncating["resamples"],
                truncating["tokens"],
                found["every_token_by_engine"]["seconds"],
                "expected; seconds scaled up",
            ),
            (
                "D  forks",
                forks["half_width"],
                forks["forks"],
                forks["tokens"],
                forks["seconds"],
                "measured",
            ),
        ):
            numbers = [half_width["median"], *(round(v["median"]) for v in (draws, tokens))]
            rows.append([f"{wanted}  {words}", *numbers, seconds["median"], how])
    return {
        "title": "The same half-width at every token",
        "columns": ["half-width, method", "half-width", "draws", "tokens", "seconds", "how"],
        "rows": rows,
    }
