"""What the forks of a run decided and cost, in numbers and in rows of the headline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd


def summarise_forks(plans: pd.DataFrame, label: Mapping[str, str]) -> dict[str, Any]:
    """Give the fork section of a summary, fit for JSON.

    Args:
        plans: The plans table, one row or more.
        label: The label of each original.

    Returns:
        half_width (wanted, whether over the
        mean or the maximum of positions, whether joint; means of what was expected and reached, the
        largest that was reached, originals whose plan was expected to meet the wanted one, those
        that had another label when they were planned: of the feature that the run asked for before
        it was relabelled); forks and tokens of pilot and plan; cheaper (originals by the protocol
        that needs fewer tokens for the precision compared; without a choice there is nothing to
        compare) with the tokens expected of both, summed over the originals compared, and the mean
        number of draws that the grid needs at each level; aimed (pairs on the lists, and windows
        that were expected to be certified), None where whole curves were the aim.
    """
    first, reached = plans.iloc[0], plans["half_width"]
    compared = plans[plans["cheaper"].notna()]
    wanted = first["half_width_wanted"]
    return {
        "half_width": {
            "wanted": None if pd.isna(wanted) else float(wanted),
            "over": str(first["over"]),
            "joint": bool(first["joint"]),
            "expected": float(plans["half_width_expected"].mean()),
            "reached": float(reached.mean()),
            "largest": float(reached.max()),
            "met": int(plans["met"].sum()),
            "relabelled": int((plans["original_id"].map(label) != plans["label"]).sum()),
        },
        "forks": int(plans["main_forks"].sum()),
        "tokens": int(plans["main_tokens"].sum()),
        "pilot_forks": int(plans["pilot_forks"].sum()),
        "pilot_tokens": int(plans["pilot_tokens"].sum()),
        "cheaper": {name: int((compared["cheaper"] == name).sum()) for name in ("forks", "grid")},
        "compared_tokens": {
            "forks": float(compared["fork_tokens"].sum()),
            "grid": float(compared["grid_tokens"].sum()),
        },
        "grid_draws": float(compared["grid_draws"].mean()) if len(compared) else None,
        "aimed": _aimed(plans),
    }


def _aimed(plans: pd.DataFrame) -> dict[str, Any] | None:
    lists = plans["aimed"].dropna()
    if lists.empty:
        return None
    windows = float(plans["windows_expected"].sum())
    return {"pairs": int(lists.map(len).sum()), "windows_expected": windows}


def headline_rows(forks: Mapping[str, Any], *, n: int, problems: int) -> list[dict[str, Any]]:
    """Put what forks decided and cost into rows of the headline, in reading order.

    Args:
        forks: The fork section of a summary.
        n: Originals that were forked.
        problems: Problems that they answer.
    """
    half, cheaper = forks["half_width"], forks["cheaper"]
    kind = f"95 %, {'joint' if half['joint'] else 'pointwise'}, {half['over']} over positions"
    of = " of the labels before" if half["relabelled"] else ""
    wanted = "" if half["wanted"] is None else f"wanted {half['wanted']:g}{of}; "
    rows = [
        ("half-width reached", half["reached"], f"{wanted}{kind}; at most {half['largest']:.3f}"),
        (
            "forks per answer",
            forks["forks"] / n,
            f"{forks['tokens']} tokens, and {forks['pilot_tokens']} of the pilot",
        ),
    ]
    if forks["aimed"]:
        aimed = forks["aimed"]
        expected = f"{aimed['windows_expected']:.1f} windows were expected in all"
        rows.append(("pairs aimed at per answer", aimed["pairs"] / n, expected))
    compared = cheaper["forks"] + cheaper["grid"]
    if compared:
        tokens = forks["compared_tokens"]
        rows.append(
            (
                "  cheaper than a grid as precise",
                cheaper["forks"] / compared,
                f"of the answers; {tokens['grid']:.0f} tokens at the paper's fractions",
            )
        )
    empty = {"lower": None, "upper": None}
    return [
        {"name": name, "estimate": value, **empty, "n": n, "problems": problems} | {"note": note}
        for name, value, note in rows
    ]
