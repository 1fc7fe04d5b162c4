"""What the page of a run shows of each original, chosen from its tables and fit for JSON."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from critwin.feature import UNSCORED
from critwin.verdict_summary import verdict_texts

SHOWN_PER_POSITION = 4
"""Different continuations on the page per original and position, at most; labels take turns."""

SHOWN_CHARACTERS = 600
"""Characters of each continuation on the page, at most."""

SHOWN_LABELS = 5
"""Curves of other labels per original, at most: the most probable ones."""

SHOWN_TOKENS = 40
"""Forked tokens per original on the page, at most: those with the largest jumps."""

Floats = npt.NDArray[np.float64]


def page_data(
    *,
    originals: pd.DataFrame,
    curves: pd.DataFrame,
    windows: pd.DataFrame,
    resamples: pd.DataFrame,
    attribution: pd.DataFrame | None = None,
    verdicts: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Choose what the page shows of each original.

    Args:
        originals: The originals table.
        curves: The curves table.
        windows: The windows table.
        resamples: The resamples table; pilot forks and direct answers are not shown.
        attribution: The attribution table of a run by forks.
        verdicts: The verdicts table.

    Returns:
        `originals`, in the table's order: identity, texts, tokens with surprisal (nats), verdict,
        what is certain about windows in words,
        largest jump, windows, curves and whether they have a value at every position, for each
        position a choice of continuations, and for forks the tokens with the largest jumps, by
        position.
    """
    shown_draws = resamples[~resamples["kind"].isin(["pilot", "direct"])]
    tables = (curves, windows, shown_draws, curves.iloc[:0] if attribution is None else attribution)
    by_original = [_grouped(table) for table in tables]
    certain = {} if verdicts is None else verdict_texts(verdicts)
    made = []
    for row in originals.to_dict("records"):
        own_curves, own_windows, own_draws, own_tokens = (
            groups.get(row["original_id"]) for groups in by_original
        )
        shown = [] if own_curves is None else _curves(own_curves)
        forked = {} if own_tokens is None else _forked(own_tokens)
        if own_draws is not None and own_tokens is not None:
            own_draws = own_draws[own_draws["position"].isin([int(p) for p in forked])]
        made.append(
            {
                "id": row["original_id"],
                "problem": row["problem_id"],
                "prompt": row["prompt"],
                "truth": _known(row["truth"]),
                "label": row["label"],
                "correct": _known(row["correct"]),
                "unscored": bool(row["unscored"]),
                "finish": _known(row["finish_reason"]),
                "certain": certain.get(row["original_id"]),
                "tokens": list(row["tokens"]),
                "surprisal": [_number(value, 2) for value in row["surprisal"]],
                "jump": None if own_curves is None else _largest_jump(own_curves),
                "windows": [] if own_windows is None else _windows(own_windows),
                "estimator": None if own_curves is None else own_curves["estimator"].iloc[0],
                "everywhere": own_curves is not None and _is_everywhere(own_curves["position"]),
                "curves": shown,
                "others": 0 if own_curves is None else _others(own_curves),
                "draws": {} if own_draws is None else _draws(own_draws, row["label"]),
                "forked": forked,
            }
        )
    return {"originals": made}


def _grouped(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(name): rows for name, rows in table.groupby("original_id", sort=False)}


def _curves(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Give the own label's curve first, then those of the most probable other labels.

    `UNSCORED` has a curve wherever it was seen, one of the most probable or not.

    A curve with a value everywhere is given at the positions at which it bends: between them it is
    flat, to three digits.
    """
    curves: list[dict[str, Any]] = []
    for label, values in rows.groupby("label", sort=False):
        values = values.sort_values("position")
        own = bool(values["own"].iloc[0])
        names = ["agreement", "lower", "upper", "unscored"] if own else ["agreement"]
        numbers = {name: values[name].to_numpy(np.float64) for name in names}
        position = values["position"].to_numpy(np.int64)
        everywhere = _is_everywhere(values["position"])
        at = _bends(list(numbers.values())) if everywhere else np.arange(len(position))
        curve = {"label": label, "own": own, "position": position[at].tolist()}
        curve |= {name: [_number(v, 4) for v in one[at]] for name, one in numbers.items()}
        if own:
            curve["trials"] = values["trials"].to_numpy()[at].tolist()
        curves.append(curve)
    curves.sort(key=lambda curve: (not curve["own"], -max(curve["agreement"]), curve["label"]))
    seen = [curve for curve in curves if curve["own"] or max(curve["agreement"]) >= 0.005]
    unscored = [curve for curve in seen[1 + SHOWN_LABELS :] if curve["label"] == UNSCORED]
    return seen[: 1 + SHOWN_LABELS - len(unscored)] + unscored


def _others(rows: pd.DataFrame) -> int:
    """Count the labels beside the own one; UNSCORED has a curve where it was not seen, too."""
    most = rows[~rows["own"]].groupby("label")["agreement"].max()
    return int(((most > 0) | (most.index != UNSCORED)).sum())


def _is_everywhere(positions: pd.Series[int]) -> bool:
    """Tell whether curves have a value at every position."""
    return bool(positions.nunique() == positions.max() + 1)


def _bends(values: Sequence[Floats]) -> npt.NDArray[np.int64]:
    """Give the entries that differ from the one before or after them, and both ends."""
    steps = np.diff(np.round(np.stack(values), 3), axis=1).any(axis=0)
    differs = np.append(True, steps) | np.append(steps, True)
    return np.flatnonzero(differs)


def _largest_jump(rows: pd.DataFrame) -> float | None:
    """Give the largest rise of the own label between neighbouring positions that were measured."""
    own = rows[rows["own"]].sort_values("position")
    measured = (own["trials"] > 0) | (own["estimator"] == "forks")
    rises = np.diff(own.loc[measured, "agreement"])
    return _number(rises.max(), 4) if len(rises) else None


def _windows(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "label": row["label"],
            "direction": row["direction"],
            "start": int(row["position_start"]),
            "end": int(row["position_end"]),
            "jump": _number(row["jump"], 4),
            "lower": _number(row["jump_lower"], 4),
            "upper": _number(row["jump_upper"], 4),
        }
        for row in rows.to_dict("records")
    ]


def _forked(rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Choose the forked tokens with the largest jumps, by position, largest first."""
    order = rows["jump"].abs().sort_values(ascending=False, kind="stable").index[:SHOWN_TOKENS]
    return {str(row["position"]): _token(row) for row in rows.loc[order].to_dict("records")}


def _token(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    names = ("probability", "jump", "value", "elsewhere")
    return {
        **{name: _number(row[name], 3) for name in names},
        "lower": _number(row["jump_lower"], 3),
        "upper": _number(row["jump_upper"], 3),
        "forks": int(row["forks"]),
        "instead": [
            {
                "token": other["token"],
                "forks": int(other["forks"]),
                "labels": [[one["label"], int(one["forks"])] for one in other["labels"]],
            }
            for other in row["alternatives"]
        ],
    }


def _draws(rows: pd.DataFrame, own: str) -> dict[str, list[dict[str, Any]]]:
    """Choose different continuations per position: frequent first, labels taking turns.

    Of forks those that flipped the label come first.
    """
    names = ["position", "kind", "label", "text"]
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
        drawn = {"label": row["label"], "text": _shortened(row["text"]), "count": row["count"]}
        chosen.setdefault(str(row["position"]), []).append(drawn)
    return chosen


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _known(value: Any) -> Any:
    return None if value is None or value is pd.NA or value != value else value


def _number(value: float, decimals: int) -> float | None:
    return round(float(value), decimals) if math.isfinite(value) else None
