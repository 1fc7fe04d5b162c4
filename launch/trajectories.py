"""Chooses originals worth showing from a finished run and reads what there is to show of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters that a terminal would obey, tab and line break apart."""

CAPTIONS = {
    (True, True): "A right answer with a window",
    (False, True): "A wrong answer with a window",
    (None, False): "An answer without a window",
}


@dataclass(frozen=True)
class Trajectory:
    """An original with the agreement of its own label along it.

    Attributes:
        problem_id: The problem.
        label: What it decided.
        truth: What the reference says; None where there is none.
        tokens: The text, token by token.
        windows: The windows of its own label as [start, end) in tokens, by start.
        kept: Shares kept, increasing.
        agreement: Probability of its own label at each.
    """

    problem_id: str
    label: str
    truth: str | None
    tokens: tuple[str, ...]
    windows: tuple[tuple[int, int], ...]
    kept: tuple[float, ...]
    agreement: tuple[float, ...]

    def pieces(self) -> list[tuple[str, bool]]:
        """Give the text in pieces, each with whether it lies in a window."""
        pieces = []
        at = 0
        for start, end in self.windows:
            pieces.append(("".join(self.tokens[at:start]), False))
            pieces.append(("".join(self.tokens[max(start, at) : end]), True))
            at = max(end, at)
        pieces.append(("".join(self.tokens[at:]), False))
        return [(text, inside) for text, inside in pieces if text]


def read_trajectories(run: Path) -> list[tuple[str, Trajectory]]:
    """Give one right answer with a window, one wrong with a window, one without, where they exist.

    Args:
        run: A finished run directory; one without trajectories gives none.
    """
    paths = [run / f"{table}.parquet" for table in ("originals", "windows", "curves")]
    if not all(path.exists() for path in paths):
        return []
    columns = ["original_id", "problem_id", "label", "truth", "correct", "tokens"]
    originals = pq.read_table(paths[0], columns=columns).to_pylist()
    own = {row["original_id"]: row["label"] for row in originals}
    windows: dict[str, list[tuple[int, int]]] = {}
    columns = ["original_id", "label", "position_start", "position_end"]
    for row in pq.read_table(paths[1], columns=columns).to_pylist():
        if own.get(row["original_id"]) == row["label"]:
            span = (row["position_start"], row["position_end"])
            windows.setdefault(row["original_id"], []).append(span)
    chosen = _choose(originals, windows)
    return [
        (caption, _trajectory(row, windows.get(row["original_id"], []), paths[2]))
        for caption, row in chosen
    ]


def _choose(
    originals: Sequence[dict[str, Any]], windows: dict[str, list[tuple[int, int]]]
) -> Iterable[tuple[str, dict[str, Any]]]:
    for (correct, wanted), caption in CAPTIONS.items():
        for row in originals:
            found = row["original_id"] in windows
            if found == wanted and (correct is None or row["correct"] is correct):
                yield caption, row
                break


def _trajectory(
    row: dict[str, Any], windows: Sequence[tuple[int, int]], curves: Path
) -> Trajectory:
    wanted = [("original_id", "=", row["original_id"]), ("own", "=", True)]
    columns = ["estimator", "kept", "agreement"]
    points = pq.read_table(curves, columns=columns, filters=wanted).to_pylist()
    grid = sorted((p["kept"], p["agreement"]) for p in points if p["estimator"] == "grid")
    return Trajectory(
        problem_id=row["problem_id"],
        label=row["label"],
        truth=row["truth"],
        tokens=tuple(printable(token) for token in row["tokens"]),
        windows=tuple(sorted(windows)),
        kept=tuple(kept for kept, _ in grid),
        agreement=tuple(agreement for _, agreement in grid),
    )


def printable(text: str) -> str:
    """Put a mark in the place of each character that a terminal would obey."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
