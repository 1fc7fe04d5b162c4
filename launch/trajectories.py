"""Chooses originals worth showing from a finished run and reads what there is to show of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from critwin.verdict_summary import standing, verdict_texts

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters that a terminal would obey, tab and line break apart."""

WANTED = ((True, "window"), (False, "window"), (None, "none"))
"""What is shown: whether it is right (None: either), and how it stands with windows."""

STANDINGS = {
    "window": "with a window",
    "none": "without a window",
    "undecided": "of which it is undecided whether it has a window",
}

POINTS = 12
"""Points of a curve that are printed, at most."""

VISIBLE = 0.005
"""A smaller change is not seen in two digits."""

KINDS = {True: "right answer", False: "wrong answer", None: "answer"}


@dataclass(frozen=True)
class Decision:
    """The token of an original that changed the probability of its label most.

    Attributes:
        number: The token, counted from 1.
        token: Its text.
        probability: How probable it was.
        jump: The change.
        lower: Lower end of its 95 % interval, joint over the tokens of the original.
        upper: Upper end of it.
        instead: Text of the most frequent other token.
        label: The label that this one leads to most often.
    """

    number: int
    token: str
    probability: float
    jump: float
    lower: float
    upper: float
    instead: str
    label: str


@dataclass(frozen=True)
class Trajectory:
    """An original with the agreement of its own label along it.

    Attributes:
        problem_id: The problem.
        label: What it decided.
        truth: What the reference says; None where there is none.
        tokens: The text, token by token.
        windows: The windows of its own label as [start, end) in tokens, by start.
        position: Tokens kept, increasing; of a curve at every token, where it changes most.
        kept: The share that each of them is.
        agreement: Probability of its own label at each.
        decision: The token that mattered most, where forks tell.
        certain: What is certain about its windows, in words; None where the rule says nothing.
    """

    problem_id: str
    label: str
    truth: str | None
    tokens: tuple[str, ...]
    windows: tuple[tuple[int, int], ...]
    position: tuple[int, ...]
    kept: tuple[float, ...]
    agreement: tuple[float, ...]
    decision: Decision | None = None
    certain: str | None = None

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
    """Give one right answer with a window, one wrong with a window, one without, with captions.

    Without is where the rule certifies none, or promises nothing and finds none: an answer of which
    that is undecided is called so.

    Where a kind does not exist, the original that rises most between neighbouring cuts takes its
    place, of those alike in being right where there are any, and its caption says what it is.

    Args:
        run: A finished run directory; one without trajectories gives none.
    """
    paths = [run / f"{table}.parquet" for table in ("originals", "windows", "curves")]
    if not all(path.exists() for path in paths):
        return []
    columns = ["original_id", "problem_id", "label", "truth", "correct", "tokens"]
    originals = pq.read_table(paths[0], columns=columns).to_pylist()
    originals = [row for row in originals if row["tokens"]]  # exact samplers have none
    own = {row["original_id"]: row["label"] for row in originals}
    windows: dict[str, list[tuple[int, int]]] = {}
    columns = ["original_id", "label", "position_start", "position_end"]
    for row in pq.read_table(paths[1], columns=columns).to_pylist():
        if own.get(row["original_id"]) == row["label"]:
            span = (row["position_start"], row["position_end"])
            windows.setdefault(row["original_id"], []).append(span)
    given = _verdicts(run / "verdicts.parquet")
    standings = {name: standing(name in windows, given.get(name, ())) for name in own}
    chosen = _choose(originals, standings, _rises(paths[2]))
    return [
        (caption, _trajectory(row, windows.get(row["original_id"], []), run))
        for caption, row in chosen
    ]


def _choose(
    originals: Sequence[dict[str, Any]],
    standings: Mapping[str, str],
    rises: Mapping[str, float],
) -> list[tuple[str, dict[str, Any]]]:
    chosen: dict[int, tuple[str, dict[str, Any]]] = {}
    rest = list(originals)
    for place, (correct, wanted) in enumerate(WANTED):
        for row in rest:
            alike = correct is None or row["correct"] is correct
            if alike and standings[row["original_id"]] == wanted:
                chosen[place] = (_caption(correct, wanted), row)
                rest.remove(row)
                break
    for place, (correct, _) in enumerate(WANTED):
        if place not in chosen and rest:
            row = max(
                rest,
                key=lambda r: (r["correct"] is correct, rises.get(r["original_id"], -math.inf)),
            )
            caption = _caption(row["correct"], standings[row["original_id"]])
            if any(caption == shown for shown, _ in chosen.values()):
                caption = f"Another {caption.partition(' ')[2]}"
            chosen[place] = (caption, row)
            rest.remove(row)
    return [chosen[place] for place in sorted(chosen)]


def _caption(correct: bool | None, standing: str) -> str:
    article = "An" if correct is None else "A"
    return f"{article} {KINDS[correct]} {STANDINGS[standing]}"


def _verdicts(verdicts: Path) -> dict[str, set[str]]:
    """Give each original's verdicts; none where the rule gives none."""
    if not verdicts.exists():
        return {}
    found: dict[str, set[str]] = {}
    for row in pq.read_table(verdicts, columns=["original_id", "verdict"]).to_pylist():
        found.setdefault(row["original_id"], set()).add(row["verdict"])
    return found


def _rises(curves: Path) -> dict[str, float]:
    """Give each original's largest rise of its own label between neighbouring positions."""
    wanted = [("own", "=", True)]
    points = pq.read_table(curves, columns=["original_id", "kept", "agreement"], filters=wanted)
    along: dict[str, list[tuple[float, float]]] = {}
    for point in points.to_pylist():
        along.setdefault(point["original_id"], []).append((point["kept"], point["agreement"]))
    return {
        name: max((b - a for (_, a), (_, b) in pairwise(sorted(curve))), default=-math.inf)
        for name, curve in along.items()
    }


def _trajectory(row: dict[str, Any], windows: Sequence[tuple[int, int]], run: Path) -> Trajectory:
    wanted = [("original_id", "=", row["original_id"]), ("own", "=", True)]
    columns = ["position", "kept", "agreement"]
    points = pq.read_table(run / "curves.parquet", columns=columns, filters=wanted).to_pylist()
    shown = _telling([(p["position"], p["kept"], p["agreement"]) for p in points])
    return Trajectory(
        problem_id=row["problem_id"],
        label=row["label"],
        truth=row["truth"],
        tokens=tuple(printable(token) for token in row["tokens"]),
        windows=tuple(sorted(windows)),
        position=tuple(position for position, _, _ in shown),
        kept=tuple(kept for _, kept, _ in shown),
        agreement=tuple(agreement for *_, agreement in shown),
        decision=_decision(run / "attribution.parquet", row["original_id"]),
        certain=_certain(run / "verdicts.parquet", row["original_id"]),
    )


def _certain(verdicts: Path, original_id: str) -> str | None:
    if not verdicts.exists():
        return None
    rows = pq.read_table(verdicts, filters=[("original_id", "=", original_id)]).to_pandas()
    return verdict_texts(rows).get(original_id)


def _decision(attribution: Path, original_id: str) -> Decision | None:
    if not attribution.exists():
        return None
    rows = pq.read_table(attribution, filters=[("original_id", "=", original_id)]).to_pylist()
    row = max(rows, key=lambda row: abs(row["jump"]), default=None)
    if row is None or abs(row["jump"]) < VISIBLE:
        return None
    other = row["alternatives"][0]
    return Decision(
        number=row["position"] + 1,
        token=printable(row["token"]),
        probability=row["probability"],
        jump=row["jump"],
        lower=row["jump_lower"],
        upper=row["jump_upper"],
        instead=printable(other["token"]),
        label=printable(other["labels"][0]["label"]),
    )


def _telling(curve: list[tuple[int, float, float]]) -> list[tuple[int, float, float]]:
    """Choose the points to print of a curve: both ends, and both sides of the largest steps."""
    curve = sorted(curve)
    if len(curve) <= POINTS:
        return curve
    steps = [abs(b[2] - a[2]) for a, b in pairwise(curve)]
    chosen = {0, len(curve) - 1}
    for at in sorted(range(len(steps)), key=lambda at: -steps[at]):
        if steps[at] < VISIBLE or len(chosen | {at, at + 1}) > POINTS:
            break
        chosen |= {at, at + 1}
    return [curve[at] for at in sorted(chosen)]


def printable(text: str) -> str:
    """Put a mark in the place of each character that a terminal would obey."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
