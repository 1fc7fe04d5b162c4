"""What else could have come at a position, as a page shows it: tokens instead, continuations."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from critwin.page_curves import number

SHOWN_PER_POSITION = 4
"""Different continuations on the page per original and position, at most; labels take turns."""

SHOWN_CHARACTERS = 600
"""Characters of each continuation on the page, at most."""

SHOWN_POSITIONS = 40
"""Positions per original with continuations, at most: those with the largest changes."""

PAGE_CHARACTERS = 20_000_000
"""Characters of all continuations on a page, about at most: many originals get fewer positions."""

LEAST_POSITIONS = 4
"""Positions per original with continuations, however many originals there are."""

SHOWN_ALTERNATIVES = 6
"""Tokens that came instead of one, at most: the most frequent."""


def positions_shown(originals: int) -> int:
    """Give how many positions of each original get continuations.

    Args:
        originals: Originals on the page, >= 1.
    """
    room = PAGE_CHARACTERS // (originals * SHOWN_PER_POSITION * SHOWN_CHARACTERS)
    return max(LEAST_POSITIONS, min(SHOWN_POSITIONS, room))


def forked_tokens(rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Say of each forked token what it did and what came instead.

    Args:
        rows: An original's rows of the attribution table.

    Returns:
        By position: probability, jump with its interval, agreement with the token and without,
        forks, and the tokens instead with the labels they lead to.
    """
    return {str(row["position"]): _token(row) for row in rows.to_dict("records")}


def _token(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    names = ("probability", "jump", "value", "elsewhere")
    return {
        **{name: number(row[name], 3) for name in names},
        "lower": number(row["jump_lower"], 3),
        "upper": number(row["jump_upper"], 3),
        "forks": int(row["forks"]),
        "instead": [
            {
                "token": other["token"],
                "forks": int(other["forks"]),
                "labels": [[one["label"], int(one["forks"])] for one in other["labels"]],
            }
            for other in row["alternatives"][:SHOWN_ALTERNATIVES]
        ],
    }


def most_changing(changes: pd.Series[float], most: int) -> list[int]:
    """Give the positions with the largest changes, up or down.

    Args:
        changes: Change at each position, by position.
        most: How many, at most.
    """
    order = changes.abs().sort_values(ascending=False, kind="stable").index[:most]
    return [int(position) for position in order]


def continuations(
    rows: pd.DataFrame, own: str, positions: Sequence[int]
) -> dict[str, list[dict[str, Any]]]:
    """Choose different continuations per position: frequent first, labels taking turns.

    Of forks those that flipped the label come first.

    Args:
        rows: An original's rows of the resamples table, no pilots and no direct answers.
        own: The original's label.
        positions: Which positions.

    Returns:
        By position: label, first token, text and how often it was drawn.
    """
    rows = rows[rows["position"].isin(positions)]
    rows = rows.assign(first=rows["first_token_text"].fillna("").astype(str))
    names = ["position", "kind", "label", "text", "first"]
    counted = rows.groupby(names).size().rename("count").reset_index()
    counted["often"] = counted.groupby(["position", "label"])["count"].transform("sum")
    counted = counted.sort_values(["position", "count", "text"], ascending=[True, False, True])
    counted["turn"] = counted.groupby(["position", "label"]).cumcount()
    counted["same"] = (counted["label"] == own) & (counted["kind"] == "fork")
    counted = counted.sort_values(
        ["position", "turn", "same", "often", "label"], ascending=[True, True, True, False, True]
    )
    chosen: dict[str, list[dict[str, Any]]] = {}
    for row in counted.groupby("position").head(SHOWN_PER_POSITION).to_dict("records"):
        drawn = {name: row[name] for name in ("label", "first", "count")}
        drawn["text"] = _shortened(row["text"])
        chosen.setdefault(str(row["position"]), []).append(drawn)
    return chosen


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
