"""What a rule's verdicts come to over a run: shares of verdicts, the scale, the paper's rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from critwin.statistics import clustered_share

if TYPE_CHECKING:
    import pandas as pd

UNITS = ("tokens", "fraction", "nats")
QUANTILES = {"tenth": 0.1, "median": 0.5, "ninth tenth": 0.9}
AFTER = "agreement with nothing kept"
"""Verdicts stand before the row that begins so, after the contrasts."""

NAMES = {
    "window": "certainly with a window",
    "none": "  certainly without",
    "undecided": "  undecided",
}


def add_verdicts(summary: dict[str, Any], originals: pd.DataFrame, verdicts: pd.DataFrame) -> None:
    """Put what is certain about windows into a summary, and into its headline.

    Args:
        summary: A run's summary; gets `verdicts` and, of a rule that measures it, `scale`.
        originals: Columns original_id, problem_id of the originals table.
        verdicts: The verdicts table; nothing is added where it is empty.
    """
    if not len(verdicts):
        return
    problem = originals.set_index("original_id")["problem_id"]
    rises = verdicts[verdicts["direction"] == "rise"]
    rises = rises.assign(problem_id=rises["original_id"].map(problem))
    falls = verdicts[verdicts["direction"] == "fall"]
    made: dict[str, Any] = {
        name: _share(rises, (rises["verdict"] == name).astype(float)) for name in NAMES
    }
    made |= {
        "threshold": float(rises["threshold"].iloc[0]),
        "max_width": _finite(rises["max_width"].iloc[0]),
        "unit": str(rises["unit"].iloc[0]),
        "falls": int((falls["verdict"] == "window").sum()),
        "everywhere": bool(verdicts["everywhere"].all()),
    }
    summary["verdicts"] = made
    rows = [
        _row(NAMES[name], made[name], _note(made) if name == "window" else "") for name in NAMES
    ]
    if (verdicts["rule"] == "scale").all():
        summary["scale"] = _scale(rises)
        rows += _scale_rows(summary["scale"])
    at = next(
        (i for i, row in enumerate(summary["headline"]) if row["name"].startswith(AFTER)),
        len(summary["headline"]),
    )
    summary["headline"][at:at] = rows


def verdict_texts(verdicts: pd.DataFrame) -> dict[str, str]:
    """Say what is certain about each original, in words.

    Args:
        verdicts: The verdicts table.

    Returns:
        One line per original_id.
    """
    texts: dict[str, str] = {}
    for row in verdicts.to_dict("records"):
        above = f"{row['direction']} above {row['threshold']:g}{_within(row)}"
        most = f"at most {row['change_upper']:.2f}"
        seen = "" if row["everywhere"] else " between the positions visited"
        words = {
            "window": f"certainly a {above}",
            "none": f"certainly no {above}: {most}",
            "undecided": f"undecided whether a {above}: {most}{seen}",
        }[row["verdict"]]
        if row["direction"] == "rise":
            texts[row["original_id"]] = words
        elif row["verdict"] == "window":
            texts[row["original_id"]] += f"; {words}"
    return texts


def standing(window: bool, verdicts: Iterable[str]) -> str:
    """Tell whether an original has a window: one was found, certainly none, or undecided.

    Args:
        window: Whether the windows table has one of its own label.
        verdicts: Its verdicts, of rises and falls; none of a rule that promises nothing, whose
            windows are all that it says.

    Returns:
        `window`, `none` or `undecided`.
    """
    given = set(verdicts)
    if window or "window" in given:
        return "window"
    return "undecided" if "undecided" in given else "none"


def _within(row: Mapping[Any, Any]) -> str:
    size, unit = row["max_width"], row["unit"]
    words = {"tokens": "tokens", "nats": "nats", "fraction": "of the answer"}[unit]
    return "" if size is None or np.isnan(size) else f" over at most {size:g} {words}"


def _share(rows: pd.DataFrame, values: pd.Series[float]) -> dict[str, Any]:
    per_problem = values.groupby(rows["problem_id"])
    share = clustered_share(per_problem.sum(), per_problem.count())
    if share is None:
        return {"estimate": None, "lower": None, "upper": None, "n": 0, "problems": 0}
    return {
        "estimate": share.estimate,
        "lower": share.lower,
        "upper": share.upper,
        "n": share.n,
        "problems": share.clusters,
    }


def _note(verdicts: Mapping[str, Any]) -> str:
    seen = "" if verdicts["everywhere"] else "; not every position was looked at"
    return f"a rise above {verdicts['threshold']:g}{_within(verdicts)}, 95 % each{seen}"


def _scale(rises: pd.DataFrame) -> dict[str, Any]:
    """Give quantiles of l*(c) over originals, those without any rise counting as infinite."""
    made: dict[str, Any] = {"n": len(rises), "problems": int(rises["problem_id"].nunique())}
    for unit in UNITS:
        if unit == "nats" and rises["scale_nats_lower"].isna().all():
            continue
        columns = {
            end: rises[f"scale_{unit}{suffix}"].astype(float).fillna(np.inf).to_numpy()
            for end, suffix in (("estimate", ""), ("lower", "_lower"), ("upper", "_upper"))
        }
        made[unit] = {
            name: {
                end: _finite(float(np.quantile(values, q, method="inverted_cdf")))
                for end, values in columns.items()
            }
            for name, q in QUANTILES.items()
        }
    made["finite"] = int(rises["scale_tokens"].notna().sum())
    made["certified"] = int(rises["scale_tokens_upper"].notna().sum())
    for name in ("paper_25", "paper_100", "paper_shifted_25", "paper_shifted_100"):
        known = rises[rises[name].notna()]
        made[name] = _share(known, known[name].astype(float))
    return made


def _scale_rows(scale: Mapping[str, Any]) -> list[dict[str, Any]]:
    of = {"n": scale["n"], "problems": scale["problems"]}
    some = f"{scale['finite']} have such a rise, {scale['certified']} certainly; else infinite"
    rows = []
    for unit in UNITS:
        for name in QUANTILES if unit in scale else ():
            found = scale[unit][name] | of
            word = "of the answer" if unit == "fraction" else unit
            note = "bounds of each original's l*(c), their quantiles"
            note = some if (unit, name) == ("tokens", "tenth") else note
            rows.append(_row(f"  shortest rise, {word}, {name}", found, note))
    for n in (25, 100):
        for name, words in (
            (f"paper_{n}", "its own fractions"),
            (f"paper_shifted_{n}", "its fractions shifted by -.1 to .1"),
        ):
            if scale[name]["estimate"] is not None:
                note = f"mean chance over answers, {words}"
                rows.append(_row(f"  the paper's rule fires at {n} resamples", scale[name], note))
    return rows


def _row(name: str, interval: Mapping[str, Any], note: str) -> dict[str, Any]:
    keys = ("estimate", "lower", "upper", "n", "problems")
    return {"name": name, **{key: interval[key] for key in keys}, "note": note}


def _finite(value: float) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
