"""Structured output: the token at which each choice is made, and what it does to the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from critwin.curve import Curve
from critwin.drawing import DOUBLE, QUIET, drawing
from critwin.feature import UNSCORED
from critwin.features.choosing import ChoosingFeature
from critwin.prefix_matching import choice_times, matched_curve
from critwin.statistics import newcombe_difference

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHOICES = pa.schema(
    [
        ("original_id", pa.string()),
        ("choice", pa.string()),  # the blank
        ("value", pa.string()),
        ("alive", pa.list_(pa.string())),  # values of the blank in generations that begin alike
        ("character_before", pa.int32()),  # T_before: last one at which the choice is unseen
        ("character_after", pa.int32()),  # T_after: first one at which it is made
        ("position_before", pa.int32()),  # the same in tokens kept
        ("position_after", pa.int32()),
        ("matched_before", pa.int32()),  # generations that begin alike, at T_before
        ("matched_jump", pa.float64()),  # change of the label's probability by them
        ("matched_lower", pa.float64()),  # 95 %, pointwise
        ("matched_upper", pa.float64()),
        ("fork_jump", pa.float64()),  # the same off the run's own curve
        ("window", pa.bool_()),  # whether a window overlaps it
    ]
)


def token_ends(tokens: Sequence[str], text: str) -> list[int]:
    """Give where each token ends in the text, in characters; special tokens take none."""
    ends = [min(end, len(text)) for end in accumulate(map(len, tokens))]
    return ends


def tokens_kept(ends: Sequence[int], characters: int, *, whole: bool) -> int:
    """Give the tokens that are kept when so many characters are.

    Args:
        ends: As `token_ends` gives them.
        characters: From the beginning.
        whole: Whether a token that is cut counts as kept.
    """
    inside = sum(end <= characters for end in ends)
    cut = whole and (not inside or ends[inside - 1] < characters)
    return inside + int(cut and inside < len(ends))


def choice_rows(
    original: Mapping[str, Any],
    feature: ChoosingFeature,
    generations: pd.DataFrame,
    curve: Curve,
    windows: pd.DataFrame,
) -> list[dict[str, Any]]:
    """Give the rows of the choices table of one original; none where its blanks are not filled.

    Args:
        original: Its row of the originals table.
        feature: Says what the blanks are.
        generations: Whole generations of the same prompt, text and label.
        curve: Its own label's curve.
        windows: Its windows.
    """
    text, label = original["text"], original["label"]
    texts, labels = generations["text"].tolist(), generations["label"].tolist()
    matched = matched_curve(text, label, texts, labels)
    ends = token_ends(list(original["tokens"]), text)
    rows = []
    for times in choice_times(text, feature, texts):
        start = tokens_kept(ends, times.before, whole=False)
        end = max(start + 1, tokens_kept(ends, times.after, whole=True))
        at = (matched.hits[times.after], matched.trials[times.after])
        of = (matched.hits[times.before], matched.trials[times.before])
        lower, upper = newcombe_difference(*at, *of)
        first, last = np.interp([start, end], curve.position, curve.agreement)
        own = windows[(windows["position_start"] < end) & (windows["position_end"] > start)]
        rows.append(
            {
                "original_id": original["original_id"],
                "choice": times.choice.name,
                "value": times.choice.value,
                "alive": times.alive,
                "character_before": times.before,
                "character_after": times.after,
                "position_before": start,
                "position_after": end,
                "matched_before": int(of[1]),
                "matched_jump": at[0] / at[1] - of[0] / of[1] if at[1] and of[1] else None,
                "matched_lower": float(lower),
                "matched_upper": float(upper),
                "fork_jump": float(last - first),
                "window": bool(len(own)),
            }
        )
    return rows


def choices_table(choices: pd.DataFrame) -> dict[str, Any]:
    """Give the table that people see: per choice means over originals."""
    rows = []
    for name, own in choices.groupby("choice", sort=False):
        known = own["matched_jump"].dropna()
        rows.append(
            [
                str(name),
                len(own),
                float(own["position_before"].mean()),
                float(own["position_after"].mean()),
                float(own["fork_jump"].mean()),
                float(known.mean()) if len(known) else None,
                len(known),
                int(own["window"].sum()),
            ]
        )
    return {
        "title": "Where each choice is made, and what it does to the probability of the answer",
        "columns": [
            *("choice", "n", "T_before", "T_after", "rise"),
            *("by prefixes", "n of these", "with a window"),
        ],
        "rows": rows,
        "note": "means over originals, in tokens kept; `by prefixes`: by generations that begin "
        "alike, where there are any; choices.parquet has the intervals",
    }


def staircase(
    original: Mapping[str, Any],
    generations: pd.DataFrame,
    curve: Curve,
    choices: pd.DataFrame,
) -> Figure:
    """Draw an original's curve as a staircase, with T_before and T_after of each choice.

    Args:
        original: Its row of the originals table.
        generations: Whole generations of the same prompt, text and label.
        curve: Its own label's curve.
        choices: Its rows of the choices table.

    Returns:
        Double-column figure over tokens kept: the run's curve with its band, the points by
        prefixes, choices shaded from T_before to T_after.
    """
    text, label = original["text"], original["label"]
    matched = matched_curve(
        text, label, generations["text"].tolist(), generations["label"].tolist()
    )
    ends = [0, *token_ends(list(original["tokens"]), text)]
    shown = [(s, e) for s, e in enumerate(ends) if matched.trials[e]]
    with drawing(DOUBLE, 2.5) as figure:
        axes = figure.subplots()
        axes.fill_between(curve.position, curve.lower, curve.upper, color="#0072B2", alpha=0.2)
        axes.plot(curve.position, curve.agreement, color="#0072B2", label=f"by {curve.estimator}")
        at = matched.agreement
        axes.plot(
            [s for s, _ in shown],
            [at[e] for _, e in shown],
            "o",
            color="black",
            markerfacecolor="white",
            label="by generations that begin alike",
        )
        for row in choices.to_dict("records"):
            start, end = float(row["position_before"]), float(row["position_after"])
            axes.axvspan(start, end, color="0.85", zorder=0)
            axes.annotate(
                f"{row['choice']}\n{row['value']}",
                (start, 1.02),
                xycoords=("data", "axes fraction"),
                color=QUIET,
                fontsize=6.5,
            )
        axes.set(xlabel="tokens kept", ylabel="probability of the answer", ylim=(0, 1.02))
        axes.legend(loc="center left")
    return figure


def drawn_original(originals: pd.DataFrame, choices: pd.DataFrame) -> str | None:
    """Name the original whose staircase is drawn: the one with most choices that are open."""
    scored = originals[originals["label"] != UNSCORED]["original_id"]
    own = choices[choices["original_id"].isin(scored)]
    if own.empty:
        return None
    opened = own.assign(open=own["alive"].map(len) > 1).groupby("original_id")["open"].sum()
    return str(opened[opened == opened.max()].index.min())
