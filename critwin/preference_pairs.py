"""Certified jumps as pairs for preference training: the token that led right, and one that did not.

A pair has a prompt with the beginning of an answer, how a right answer went on from there, and how
a wrong one did. It stands where a token (or a window) certainly changed the probability of the
answer's label, so the two differ at a place that mattered.

Source: the form is that of pivotal tokens in Abdin et al. (2024), Phi-4 technical report,
arXiv:2412.08905; the certificate is ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

PAIRS = pa.schema(
    [
        ("original_id", pa.string()),
        ("problem_id", pa.string()),
        ("position", pa.int32()),  # tokens of the answer that both share
        ("prompt", pa.string()),  # put to the model, and the shared beginning of the answer
        ("chosen", pa.string()),  # how an answer that is right went on
        ("rejected", pa.string()),  # how one that is wrong did
        ("chosen_token", pa.string()),
        ("rejected_token", pa.string()),
        ("chosen_label", pa.string()),
        ("rejected_label", pa.string()),
        ("original_is", pa.string()),  # chosen, rejected: which of the two the original is
        ("jump", pa.float64()),  # of the probability of the original's label at that place
        ("jump_lower", pa.float64()),  # 95 %, jointly over the places of the original; > 0
        ("jump_upper", pa.float64()),
        ("certified_by", pa.string()),  # token: by forks; window: by a window rule
    ]
)


@dataclass(frozen=True)
class _Place:
    position: int
    jump: float
    lower: float
    upper: float
    by: str


def preference_pairs(
    originals: pd.DataFrame,
    resamples: pd.DataFrame,
    *,
    attribution: pd.DataFrame | None,
    windows: pd.DataFrame,
) -> pa.Table:
    """Make the pairs of a run.

    Args:
        originals: The originals table.
        resamples: The resamples table; the pilot is not looked at.
        attribution: The attribution table of a run by forks; its certified rises are used. None:
            the windows' are.
        windows: The windows table.

    Returns:
        One pair at most for each certified rise of an original's own label: the original on one
        side, on the other the first resample that left there, most frequent first token first, and
        ended right where the original is wrong, or wrong where it is right.
    """
    places = dict(_places(windows if attribution is None else attribution, attribution is None))
    drawn = resamples[resamples["kind"].isin(("fork", "grid"))]
    by_place = dict(iter(drawn.groupby(["original_id", "position"])))
    right = _right_labels(originals)
    rows = []
    for original in originals.sort_values("original_id").to_dict("records"):
        if original["correct"] is None or pd.isna(original["correct"]):
            continue
        for place in places.get(original["original_id"], ()):
            others = by_place.get((original["original_id"], place.position))
            if others is not None:
                rows += _pair(original, place, others, right[original["problem_id"]])
    return pa.Table.from_pylist(rows, schema=PAIRS)


def _places(table: pd.DataFrame, windows: bool) -> Iterator[tuple[str, list[_Place]]]:
    start = "position_start" if windows else "position"
    sure = table[table["jump_lower"] > 0]
    if windows:
        sure = sure[sure["direction"] == "rise"]
    for name, rows in sure.sort_values(start).groupby("original_id"):
        columns = (rows[key] for key in (start, "jump", "jump_lower", "jump_upper"))
        by = "window" if windows else "token"
        yield (
            str(name),
            [
                _Place(int(at), float(jump), float(low), float(high), by)
                for at, jump, low, high in zip(*columns, strict=True)
            ],
        )


def _right_labels(originals: pd.DataFrame) -> dict[str, set[str]]:
    """Give the labels of each problem that are right: those of right originals, and the truth."""
    found: dict[str, set[str]] = {}
    for row in originals.to_dict("records"):
        own = found.setdefault(row["problem_id"], set())
        own |= {row["truth"]} if isinstance(row["truth"], str) else set()
        own |= {row["label"]} if _is_right(row["correct"]) else set()
    return found


def _is_right(correct: object) -> bool:
    return correct is not None and not pd.isna(correct) and bool(correct)  # type: ignore[call-overload]


def _pair(
    original: Mapping[Any, Any], place: _Place, others: pd.DataFrame, right: set[str]
) -> list[dict[str, Any]]:
    is_right = bool(original["correct"])
    scored = others[~others["unscored"].astype(bool)]
    wanted = scored[scored["label"].isin(right) != is_right]
    wanted = wanted[wanted["first_token_text"].notna()]
    if wanted.empty or place.position >= len(original["tokens"]):
        return []
    often = wanted["first_token"].map(wanted["first_token"].value_counts())
    first = wanted.assign(often=often).sort_values(
        ["often", "first_token", "replicate"], ascending=[False, True, True]
    )
    other = first.iloc[0]
    shared = int(other["text_start"])
    own_side, other_side = ("chosen", "rejected") if is_right else ("rejected", "chosen")
    return [
        {
            "original_id": original["original_id"],
            "problem_id": original["problem_id"],
            "position": place.position,
            "prompt": original["prompt"] + original["text"][:shared],
            own_side: original["text"][shared:],
            other_side: other["text"],
            f"{own_side}_token": original["tokens"][place.position],
            f"{other_side}_token": other["first_token_text"],
            f"{own_side}_label": original["label"],
            f"{other_side}_label": other["label"],
            "original_is": own_side,
            "jump": place.jump,
            "jump_lower": place.lower,
            "jump_upper": place.upper,
            "certified_by": place.by,
        }
    ]
