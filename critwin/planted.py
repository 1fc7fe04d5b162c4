"""Do windows coincide with the branches that a problem's author planted?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from critwin.problem import Problem
from critwin.statistics import Interval, clustered_difference, clustered_share

Cell = tuple[int, int]
"""Positions (start, end), start < end, in tokens kept; owns the tokens start + 1 .. end."""


@dataclass(frozen=True)
class Coincidence:
    """How many windows own the deciding word of a planted branch, and how many would by chance.

    Attributes:
        kind: Kind of branch; None for at least one branch of any kind.
        observed: Share of windows that own a token of the word that decides such a branch.
        chance: The same for a cell drawn uniformly from the cells compared in the same original.
        chance_by_tokens: The same for a cell drawn in proportion to the tokens that it owns.
        excess: `observed` less `chance`.
    """

    kind: str | None
    observed: Interval | None
    chance: Interval | None
    chance_by_tokens: Interval | None
    excess: Interval | None


def coincidences(
    originals: pd.DataFrame,
    windows: pd.DataFrame,
    cells: Mapping[str, Sequence[Cell]],
    problems: Sequence[Problem],
) -> list[Coincidence]:
    """Compare where windows lie with where planted branches stand.

    A window counts when branches were planted in its problem and the text of its original can be
    laid out over its tokens; a branch that the original never reaches is owned by no cell.

    Args:
        originals: Columns original_id, problem_id, text, tokens of the originals table.
        windows: Columns original_id, position_start, position_end of the windows table.
        cells: The cells that the rule compared, by original_id; that of a window is added. An
            original without any was searched everywhere: all stretches as long as its window.
        problems: The problems of the originals, with their branches.

    Returns:
        One comparison for branches of any kind, then one per kind by name; empty without windows
        that count.
    """
    rows = pd.DataFrame(_window_rows(originals, windows, cells, problems))
    if rows.empty:
        return []
    any_kind = rows[rows["kind"] == ""]
    kinds = sorted(set(rows["kind"]) - {""})
    return [_compare(None, any_kind)] + [
        _compare(kind, rows[rows["kind"] == kind]) for kind in kinds
    ]


def token_spans(text: str, tokens: Sequence[str]) -> list[Cell] | None:
    """Lay a text out over its tokens.

    Args:
        text: The text, special tokens left out.
        tokens: The text of each token, length n; special tokens may be among them, and the space
            before a word may be missing from its token (SentencePiece decodes so).

    Returns:
        Characters [start, end) of each token, length n, empty for special tokens; None when the
        tokens do not add up to the text.
    """
    spans, at = [], 0
    for token in tokens:
        begin = at
        if not text.startswith(token, at):
            while at < len(text) and text[at].isspace():
                at += 1
        at = at + len(token) if text.startswith(token, at) else begin
        spans.append((begin, at))
    return spans if at == len(text) else None


def branch_tokens(problem: Problem, text: str, tokens: Sequence[str]) -> list[tuple[str, Cell]]:
    """Give kind and tokens of the word that decides each planted branch that `text` reaches.

    Args:
        problem: The problem with its branches.
        text: An answer to it.
        tokens: The answer's tokens.

    Returns:
        For each branch that is reached its kind and the cell of the deciding word's tokens; empty
        when the tokens do not add up to the text.
    """
    spans = token_spans(text, tokens)
    if spans is None:
        return []
    starts, ends = np.array(spans, dtype=np.int64).reshape(-1, 2).T
    found = []
    for branch in problem.branches:
        if (place := branch.locate(text)) is not None:
            inside = np.flatnonzero((starts < place[1]) & (ends > place[0]))
            found.append((branch.kind, (int(inside[0]), int(inside[-1]) + 1)))
    return found


PLAIN, WORDS = "plain arithmetic", "other words"
"""What tokens that decide no planted branch are: those with a digit, and the rest."""


def token_kinds(problem: Problem, text: str, tokens: Sequence[str]) -> list[str]:
    """Give each token the kind of the planted branch that it decides, or what else it is.

    Args:
        problem: The problem with its branches.
        text: An answer to it.
        tokens: The answer's tokens, length n.

    Returns:
        Kinds, length n; `PLAIN` or `WORDS` where no branch is decided.
    """
    kinds = [PLAIN if any(c.isdigit() for c in token) else WORDS for token in tokens]
    for kind, (start, end) in branch_tokens(problem, text, tokens):
        kinds[start:end] = [kind] * (end - start)
    return kinds


def _window_rows(
    originals: pd.DataFrame,
    windows: pd.DataFrame,
    cells: Mapping[str, Sequence[Cell]],
    problems: Sequence[Problem],
) -> Iterator[dict[str, object]]:
    by_id = {problem.problem_id: problem for problem in problems}
    by_original = originals.set_index("original_id")
    columns = (windows["original_id"], windows["position_start"], windows["position_end"])
    for original_id, start, end in zip(*columns, strict=True):
        original = by_original.loc[original_id]
        problem = by_id[original["problem_id"]]
        text, tokens = str(original["text"]), list(original["tokens"])
        if not problem.branches or token_spans(text, tokens) is None:
            continue
        placed = branch_tokens(problem, text, tokens)
        window = (int(start), int(end))
        if original_id in cells:
            compared = sorted({*cells[original_id], window})
        else:
            long = window[1] - window[0]
            compared = [(at, at + long) for at in range(len(tokens) - long + 1)]
        width = np.array([b - a for a, b in compared], dtype=np.float64)
        for kind in ("", *sorted({branch.kind for branch in problem.branches})):
            words = [word for of, word in placed if kind in ("", of)]
            owned = np.array([any(_share(cell, word) for word in words) for cell in compared])
            yield {
                "problem_id": problem.problem_id,
                "kind": kind,
                "observed": float(any(_share(window, word) for word in words)),
                "cells": len(compared),
                "chance": owned.mean(),
                "chance_by_tokens": float(owned @ width / width.sum()),
            }


def _share(a: Cell, b: Cell) -> bool:
    return a[0] < b[1] and b[0] < a[1]


def _compare(kind: str | None, rows: pd.DataFrame) -> Coincidence:
    per_problem = rows.groupby("problem_id")
    sums, trials = per_problem[["observed", "chance", "chance_by_tokens"]].sum(), per_problem.size()
    # A chance is a mean over several cells: it is as precise as that many draws, not as one.
    cells = float(rows["cells"].mean())
    chance = (cells * sums["chance"], cells * trials)
    by_tokens = (cells * sums["chance_by_tokens"], cells * trials)
    counted = {
        "observed": clustered_share(sums["observed"], trials),
        "chance": clustered_share(*chance),
        "chance_by_tokens": clustered_share(*by_tokens),
        "excess": clustered_difference(sums["observed"], trials, *chance),
    }
    of_windows = {name: value and replace(value, n=len(rows)) for name, value in counted.items()}
    return Coincidence(kind=kind, **of_windows)
