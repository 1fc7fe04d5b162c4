"""The variance budget of a run in numbers, with intervals over problems."""

from __future__ import annotations

from typing import Any

import pandas as pd

from critwin.statistics import (
    Interval,
    clustered_difference,
    clustered_share,
    plain,
    weighted_share,
    weighted_share_difference,
)
from critwin.variance_budget import collision_free

SHOWN = (0.1, 0.2, 0.5)
"""Thresholds of single tokens that the headline shows."""

BLOCKS = (("tokens", 4.0), ("tokens", 16.0), ("nats", 1.0))
"""Blocks that the headline shows, at threshold .5."""

Key = dict[str, Any]


def select(shares: pd.DataFrame, **key: Any) -> pd.DataFrame:
    """Give the rows of the shares table for one thing that is counted, one per problem.

    Args:
        shares: The shares table.
        key: source, labels, unit, block, kind, threshold (None: all changes) where they differ from
            model, all, tokens, 1, all, None.

    Returns:
        Columns originals, first, second by problem_id.
    """
    wanted = {"source": "model", "labels": "all", "unit": "tokens", "block": 1.0, "kind": "all"}
    threshold = key.pop("threshold", None)
    chosen = shares["threshold"].isna()
    if threshold is not None:
        chosen = (shares["threshold"].astype(float) - threshold).abs() < 1e-9
    for name, value in (wanted | key).items():
        chosen &= shares[name] == value
    found = shares[chosen].set_index("problem_id")[["originals", "first", "second"]]
    return found.astype(float)


def share(shares: pd.DataFrame, **key: Any) -> Interval | None:
    """Give J: the share of the budget in what `key` selects, over problems.

    The budget is that of the same labels: of a kind, too, the share of all that is spent.

    Args:
        shares: The shares table.
        key: As for `select`.

    Returns:
        The share with its 95 % interval over problems; None where nothing is spent.
    """
    return weighted_share(*_counted(shares, key))


def share_difference(
    shares: pd.DataFrame, first: Key, second: Key, *, subtracted: pd.DataFrame | None = None
) -> Interval | None:
    """Give one share less another over the problems that have both.

    Args:
        shares: The shares table of the first; of the second, too, without `subtracted`.
        first: What is selected, as for `select`.
        second: What is selected for the share that is subtracted.
        subtracted: The shares table of the second: another run on the same problems.
    """
    one = _counted(shares, first)
    other = _counted(shares if subtracted is None else subtracted, second)
    common = one[0].index.intersection(other[0].index)
    if common.empty:
        return None
    chosen = [tuple(part.loc[common] for part in parts) for parts in (one, other)]
    return weighted_share_difference(chosen[0], chosen[1])  # type: ignore[arg-type]


def noise_of_forks(shares: pd.DataFrame, **key: Any) -> float | None:
    """Give the part of a share's variance over problems that more forks would take away, in [0, 1].

    The two halves of the forks give the share twice over the same originals; how far the two
    differ is what forks add.
    """
    spent, whole = select(shares, **key), select(shares, **_whole(key))
    spent = spent.reindex(whole.index, fill_value=0.0)
    total = whole[["first", "second"]].to_numpy().sum() / 2
    if not total > 0:
        return None
    j = spent[["first", "second"]].to_numpy().sum() / 2 / total
    residual = spent - j * whole
    forks = ((residual["first"] - residual["second"]) ** 2).sum() / 4
    everything = (((residual["first"] + residual["second"]) / 2) ** 2).sum()
    return float(min(forks / everything, 1.0)) if everything > 0 else None


def totals(shares: pd.DataFrame, originals: pd.DataFrame) -> dict[str, Interval | None]:
    """Hold the sum over all jumps against 1 - sum P(a)^2.

    Args:
        shares: The shares table.
        originals: Columns problem_id, label; two or more originals per problem.

    Returns:
        sum: mean over problems of the squares of all jumps, by forks; uncertainty: mean of
        1 - sum P(a)^2, by pairs of originals, which no fork enters; difference: the first less the
        second, paired.
    """
    counted = counted_totals(shares, originals)
    n = counted["originals"]
    hits, pairs = counted["sum"] * n, counted["uncertainty"] * n
    return {
        "sum": clustered_share(hits, n),
        "uncertainty": clustered_share(pairs, n),
        "difference": clustered_difference(hits, n, pairs, n),
    }


def counted_totals(shares: pd.DataFrame, originals: pd.DataFrame) -> pd.DataFrame:
    """Give what `totals` is made of by problem_id: columns sum, uncertainty, originals."""
    spent = select(shares)
    labels = originals.groupby("problem_id")["label"].apply(list)
    return pd.DataFrame(
        {
            "sum": (spent["first"] + spent["second"]) / 2,
            "uncertainty": labels.map(collision_free).loc[spent.index],
            "originals": spent["originals"],
        }
    )


def summarise_budget(
    shares: pd.DataFrame, originals: pd.DataFrame, resamples: pd.DataFrame
) -> dict[str, Any]:
    """Give the summary of a run, fit for JSON.

    Returns:
        totals (`totals`); shares, every J of the shares table with its interval; contrast, right
        less wrong labels, raw and at equal probability within a question; cost; headline, rows in
        reading order.
    """
    found = totals(shares, originals)
    keys = ["source", "labels", "unit", "block", "kind", "threshold"]
    rows = []
    for key in shares[keys].drop_duplicates().to_dict("records"):
        named: Key = {str(k): None if pd.isna(v) else v for k, v in key.items()}
        rows.append(named | plain(share(shares, **named)))
    tokens = originals["token_ids"].map(len)
    cost = {
        "originals": len(originals),
        "problems": int(originals["problem_id"].nunique()),
        "tokens_of_originals": int(tokens.sum()),
        "forks": len(resamples),
        "fork_tokens": int(resamples["tokens_generated"].sum()),
        "forks_per_token": len(resamples) / int(tokens.sum()),
        "unscored_originals": int(originals["unscored"].sum()),
        "unscored_forks": int(resamples["unscored"].sum()),
        "part_of_the_variance_due_to_forks": noise_of_forks(shares, threshold=0.5),
    }
    summary: dict[str, Any] = {
        "totals": {name: plain(value) for name, value in found.items()},
        "shares": rows,
        "contrast": {
            f"{name} {threshold:g}": plain(_contrast(shares, suffix, threshold))
            for name, suffix in (("raw", ""), ("matched", " matched"))
            for threshold in SHOWN
        },
        "cost": cost,
    }
    return summary | {"headline": _headline(shares, found, cost)}


def kinds_of(shares: pd.DataFrame) -> list[str]:
    """Give the kinds of tokens that were told apart, those that the generator spends first."""
    known = [str(kind) for kind in shares["kind"].unique() if kind != "all"]
    spent = {kind: select(shares, source="generator", kind=kind)["first"].sum() for kind in known}
    return sorted(known, key=lambda kind: (-spent[kind], kind))


def _whole(key: Key) -> Key:
    return {name: value for name, value in key.items() if name not in ("kind", "threshold")}


def _counted(shares: pd.DataFrame, key: Key) -> tuple[pd.Series, pd.Series, pd.Series]:
    spent, whole = select(shares, **key), select(shares, **_whole(key))
    spent = spent.reindex(whole.index, fill_value=0.0)
    # the generator is exact: its problems are the draws
    n = whole["originals"].where(whole["originals"] > 0, 1.0)
    mean = (whole["first"] + whole["second"]) / 2
    return (spent["first"] + spent["second"]) / 2 * n, mean * n, n


def _contrast(shares: pd.DataFrame, suffix: str, threshold: float) -> Interval | None:
    right = {"labels": f"right{suffix}", "threshold": threshold}
    wrong = {"labels": f"wrong{suffix}", "threshold": threshold}
    return share_difference(shares, right, wrong)


def _headline(
    shares: pd.DataFrame, found: dict[str, Interval | None], cost: dict[str, Any]
) -> list[dict[str, Any]]:
    unread = f"by pairs of answers; {cost['unscored_originals']} unscored are a label of their own"
    rows = [
        _row("uncertainty, 1 - sum P^2", found["uncertainty"], unread),
        _row("sum of all squared jumps", found["sum"], "by forks"),
        _row("  less uncertainty", found["difference"], "paired; 0 by the theorem"),
    ]
    rows += [
        _row(f"share in jumps above {c:g}", share(shares, threshold=c), "of single tokens")
        for c in SHOWN
    ]
    rows += [
        _row(
            f"  in blocks of {block:g} {unit}",
            share(shares, threshold=0.5, unit=unit, block=block),
            "above 0.5",
        )
        for unit, block in BLOCKS
    ]
    for suffix, note in (("", "raw"), (" matched", "as probable within 0.1, same question")):
        for name in ("right", "wrong"):
            key = {"labels": name + suffix, "threshold": 0.5}
            rows.append(
                _row(
                    f"above 0.5, {name} labels{suffix and ', matched'}", share(shares, **key), note
                )
            )
        rows.append(_row("  right less wrong", _contrast(shares, suffix, 0.5), note))
    for kind in kinds_of(shares):
        exact = share(shares, source="generator", kind=kind)
        note = f"of the generator alone {exact.estimate:.3f}" if exact else ""
        rows.append(_row(f"spent at {kind}", share(shares, kind=kind), note))
    counts = {"lower": None, "upper": None, "n": cost["originals"], "problems": cost["problems"]}
    rows.append(
        {"name": "forks per token of an answer", "estimate": cost["forks_per_token"], **counts}
        | {
            "note": f"{cost['forks']} forks, {cost['fork_tokens']} tokens; "
            f"{cost['unscored_forks']} unscored"
        }
    )
    part = cost["part_of_the_variance_due_to_forks"]
    if part is not None:
        note = "of the share above 0.5; the rest is originals and problems"
        rows.append({"name": "  variance that forks add", "estimate": part, **counts, "note": note})
    return rows


def _row(name: str, interval: Interval | None, note: str) -> dict[str, Any]:
    return {"name": name, **plain(interval), "note": note}
