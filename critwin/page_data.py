"""What the page of a run shows of each original, chosen from its tables and packed small.

Three parts, so that a page with 100 originals of 2000 tokens opens at once: an `index` in plain
JSON that the list is drawn from, all texts in one packed block, and one packed block per original
that is opened when the original is looked at. A block is JSON, deflated, in base64.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from critwin.page_curves import curves_of, largest_jump, number, own_curve, spark
from critwin.page_draws import continuations, forked_tokens, most_changing, positions_shown
from critwin.verdict_summary import verdict_texts

Row = Mapping[Hashable, Any]


@dataclass(frozen=True)
class PageData:
    """What a page holds of the originals.

    Attributes:
        index: `judged`, whether a rule gave verdicts; `unit`, `tokens` or `steps`; `originals`, in
            the table's order: identity, label, truth, `verdict` (right, wrong, unscored, unknown),
            `window` (window, none, undecided), largest `jump`, agreement at the `start`, `length`,
            and the curve in 24 points (`spark`, per cent).
        texts: Packed: `prompts`; for each original the number of its `prompt` and its `tokens`.
        details: Packed, one per original: surprisal (hundredths of a nat), curves, windows, what
            came instead of tokens, continuations, pictures, and what is certain in words.
    """

    index: dict[str, Any]
    texts: str
    details: list[str]


@dataclass(frozen=True, kw_only=True)
class PageTables:
    """The tables that a page is made of; an empty frame, or None, for one that a run does not have.

    Attributes:
        originals: The originals table.
        curves: The curves table.
        windows: The windows table.
        resamples: The resamples table; pilot forks and direct answers are not shown.
        attribution: The attribution table of a run by forks.
        verdicts: The verdicts table.
        pictures: By original: its pictures, as `critwin.page_pictures.shown_pictures` gives them.
    """

    originals: pd.DataFrame
    curves: pd.DataFrame | None = None
    windows: pd.DataFrame | None = None
    resamples: pd.DataFrame | None = None
    attribution: pd.DataFrame | None = None
    verdicts: pd.DataFrame | None = None
    pictures: Mapping[str, Mapping[str, Any]] | None = None


def page_data(tables: PageTables) -> PageData:
    """Choose what the page shows of each original."""
    rows = tables.originals.to_dict("records")
    groups = {
        name: _grouped(getattr(tables, name))
        for name in ("curves", "windows", "resamples", "attribution", "verdicts")
    }
    words = {} if tables.verdicts is None else verdict_texts(tables.verdicts)
    most = positions_shown(max(1, len(rows)))
    entries, details = [], []
    for row in rows:
        original_id = str(row["original_id"])
        own = {name: group.get(original_id) for name, group in groups.items()}
        if own["curves"] is not None:
            first = own["curves"]["estimator"].iloc[0]
            own["curves"] = own["curves"][own["curves"]["estimator"] == first]
        entries.append(_entry(row, own))
        detail = _detail(row, own, most) | {"certain": words.get(original_id)}
        details.append(packed(detail | {"pictures": (tables.pictures or {}).get(original_id)}))
    index = {
        "judged": bool(words),
        "unit": "tokens" if any(_tokens(row) for row in rows) else "steps",
        "originals": entries,
    }
    return PageData(index, _texts(rows), details)


def packed(value: object) -> str:
    """Give JSON, deflated, in base64: whatever a model wrote, letters and digits are left of it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # a token may hold half of a character
    return base64.b64encode(zlib.compress(text.encode("utf-8", "replace"), 6)).decode("ascii")


def unpacked(block: str) -> Any:
    """Give what was packed."""
    return json.loads(zlib.decompress(base64.b64decode(block)))


def _grouped(table: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    if table is None:
        return {}
    return {str(name): rows for name, rows in table.groupby("original_id", sort=False)}


def _tokens(row: Row) -> list[str]:
    tokens = row.get("tokens")
    return [] if tokens is None else list(tokens)


def _entry(row: Row, own: Mapping[str, pd.DataFrame | None]) -> dict[str, Any]:
    entry = {
        "id": row["original_id"],
        "problem": row["problem_id"],
        "label": row["label"],
        "truth": _known(row["truth"]),
        "verdict": _verdict(row),
        "window": _window(own["windows"], own["verdicts"]),
        "length": len(_tokens(row)),
    }
    curves = own["curves"]
    if curves is None:
        return entry | {"jump": None, "start": None, "spark": []}
    entry["length"] = entry["length"] or int(curves["position"].max())
    measured = own_curve(curves)
    start = number(measured["agreement"].iloc[0], 4) if len(measured) else None
    points = spark(measured, entry["length"]) if len(measured) else []
    return entry | {"jump": largest_jump(measured), "start": start, "spark": points}


def _verdict(row: Row) -> str:
    if row["unscored"]:
        return "unscored"
    correct = _known(row["correct"])
    return "unknown" if correct is None else "right" if correct else "wrong"


def _window(windows: pd.DataFrame | None, verdicts: pd.DataFrame | None) -> str:
    """Tell whether an original has a window: one was found, certainly none, or undecided."""
    given = [] if verdicts is None else verdicts["verdict"].tolist()
    if windows is not None or "window" in given:
        return "window"
    return "undecided" if "undecided" in given else "none"


def _detail(row: Row, own: Mapping[str, pd.DataFrame | None], most: int) -> dict[str, Any]:
    curves, draws, windows = own["curves"], own["resamples"], own["windows"]
    detail: dict[str, Any] = {
        "finish": _known(row["finish_reason"]),
        "surprisal": _surprisal(row.get("surprisal")),
        "windows": [] if windows is None else [_frame(w) for w in windows.to_dict("records")],
        **(curves_of(curves) if curves is not None else {"stops": [], "curves": [], "others": 0}),
        "forked": {} if own["attribution"] is None else forked_tokens(own["attribution"]),
        "draws": {},
    }
    if draws is not None:
        draws = draws[~draws["kind"].isin(["pilot", "direct"])]
        positions = most_changing(_changes(own["attribution"], curves, draws), most)
        detail["draws"] = continuations(draws, row["label"], positions)
    return detail


def _changes(
    attribution: pd.DataFrame | None, curves: pd.DataFrame | None, draws: pd.DataFrame
) -> pd.Series[float]:
    """Say how much changes at each position that has draws, to choose which to show."""
    positions = np.unique(draws["position"])
    if attribution is not None:
        changes = attribution.set_index("position")["jump"]
    elif curves is not None:
        own = curves[curves["own"]].sort_values("position").set_index("position")["agreement"]
        changes = own.shift(-1) - own
    else:
        changes = pd.Series(dtype=float)
    return changes.reindex(positions, fill_value=0.0).fillna(0.0)


def _surprisal(values: Sequence[float] | None) -> list[int | None]:
    if values is None:
        return []
    return [round(100 * float(value)) if np.isfinite(value) else None for value in values]


def _frame(row: Row) -> dict[str, Any]:
    return {
        "label": row["label"],
        "direction": row["direction"],
        "start": int(row["position_start"]),
        "end": int(row["position_end"]),
        "jump": number(row["jump"], 4),
        "lower": number(row["jump_lower"], 4),
        "upper": number(row["jump_upper"], 4),
    }


def _texts(rows: Sequence[Row]) -> str:
    prompts = list(dict.fromkeys(str(row["prompt"] or "") for row in rows))
    number_of = {prompt: i for i, prompt in enumerate(prompts)}
    numbers = [number_of[str(row["prompt"] or "")] for row in rows]
    return packed({"prompts": prompts, "prompt": numbers, "tokens": [_tokens(r) for r in rows]})


def _known(value: Any) -> Any:
    return None if value is None or value is pd.NA or value != value else value
