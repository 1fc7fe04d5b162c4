"""Fork measurements as tables, and the counts read back from them: no model is needed for that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from critwin.changes import AimedPair
from critwin.fork_attribution import attribution
from critwin.fork_blocks import Blocks
from critwin.fork_expectation import leave_mass
from critwin.fork_measuring import ForkMeasurement, reached_half_width
from critwin.forks import Forks
from critwin.protocol import ForkProtocol
from critwin.records import ATTRIBUTION, PLANS
from critwin.sampler import Path

ALTERNATIVES = 6
"""Alternatives kept of each token, and labels of each alternative: the most frequent ones."""

FirstToken: TypeAlias = tuple[int, str, str]
"""Id and text of the token at which a fork left, and the label that it led to."""


def plans_table(measured: Sequence[ForkMeasurement], protocol: ForkProtocol) -> pa.Table:
    """Put what was planned and reached into the plans table, one row per original."""
    return pa.Table.from_pylist([_plan_row(m, protocol) for m in measured], schema=PLANS)


def read_forks(
    originals: pd.DataFrame, resamples: pd.DataFrame, plans: pd.DataFrame
) -> list[Forks]:
    """Count the forks of each original again.

    Args:
        originals: Columns original_id, label of the originals table.
        resamples: Columns original_id, position, label, kind of the resamples table; other kinds
            than `fork`, the pilot among them, are left out.
        plans: Columns original_id, probability, blocks, aimed of the plans table.

    Returns:
        The counts of each original that has a plan, in the order of `originals`.
    """
    own = resamples[resamples["kind"] == "fork"]
    drawn = {str(name): rows for name, rows in own.groupby("original_id", sort=False)}
    columns = ("original_id", "probability", "blocks", "aimed")
    planned = zip(*(plans[name] for name in columns), strict=True)
    path = {name: (probability, blocks) for name, probability, blocks, _ in planned}
    aimed = dict(zip(plans["original_id"], plans["aimed"], strict=True))
    found = []
    for original_id, label in zip(originals["original_id"], originals["label"], strict=True):
        if original_id in path:
            rows = drawn.get(original_id, own.iloc[:0])
            probability, blocks = (np.asarray(values) for values in path[original_id])
            found.append(
                replace(
                    Forks.of(
                        original_id,
                        label,
                        Path(probability.astype(np.float64)),
                        position=[int(position) + 1 for position in rows["position"]],
                        labels=[str(name) for name in rows["label"]],
                        blocks=Blocks(blocks.astype(np.int64)),
                    ),
                    aimed=_pairs(aimed[original_id]),
                )
            )
    return found


def _pairs(rows: Iterable[Mapping[str, Any]] | None) -> tuple[AimedPair, ...]:
    """Give the list of pairs back; none of a run without one."""
    return tuple(
        AimedPair(row["position_start"], row["position_end"], row["direction"] == "rise")
        for row in (() if rows is None else rows)
    )


def attribution_table(
    forks: Sequence[Forks],
    originals: pd.DataFrame,
    resamples: pd.DataFrame,
    windows: pd.DataFrame,
) -> pa.Table:
    """Say what each forked token did to the probability of its original's own label.

    Args:
        forks: The counts.
        originals: Columns original_id, token_ids, tokens of the originals table.
        resamples: Columns original_id, position, kind, first_token, first_token_text, label of the
            resamples table.
        windows: Columns original_id, label, direction, position_start, position_end of the windows
            table.

    Returns:
        One row per token at which a fork stands.
    """
    texts = {row["original_id"]: row for row in originals.to_dict("records")}
    drawn = _first_tokens(resamples[resamples["kind"] == "fork"])
    rising = windows[windows["direction"] == "rise"]
    spans = {
        key: list(zip(rows["position_start"], rows["position_end"], strict=True))
        for key, rows in rising.groupby(["original_id", "label"], sort=False)
    }
    rows = [
        row
        for counts in forks
        if counts.trials.any()
        for row in _attributed(
            counts,
            texts[counts.original_id],
            drawn,
            spans.get((counts.original_id, counts.own), []),
        )
    ]
    return pa.Table.from_pylist(rows, schema=ATTRIBUTION)


def _plan_row(measured: ForkMeasurement, protocol: ForkProtocol) -> dict[str, Any]:
    plan, costs = measured.allocation, measured.costs
    over, joint = protocol.over, protocol.joint
    return {
        "original_id": measured.original.original_id,
        "label": measured.original.label,
        "leave_mass": leave_mass(measured.path.probability),
        "probability": measured.path.probability,
        "blocks": measured.blocks.bounds,
        "over": over,
        "joint": joint,
        "half_width_wanted": protocol.half_width if protocol.aim == "curve" else None,
        "half_width_expected": plan.half_width,
        "half_width": reached_half_width(
            measured.forks, measured.original.label, over=over, joint=joint
        ),
        "met": plan.met,
        "left_out": plan.left_out,
        "forks": plan.forks,
        "aimed": _aimed_rows(measured) if protocol.aim == "windows" else None,
        "windows_expected": measured.windows,
        "pilot_forks": len(measured.pilot),
        "pilot_tokens": sum(fork.tokens_generated for fork in measured.pilot),
        "main_forks": len(measured.drawn),
        "main_tokens": sum(fork.tokens_generated for fork in measured.drawn),
        "cheaper": costs and costs.cheaper,
        "compared_half_width": costs and costs.half_width,
        "fork_tokens": costs and costs.fork_tokens,
        "grid_tokens": costs and costs.grid_tokens,
        "grid_draws": costs and costs.grid_draws,
    }


def _aimed_rows(measured: ForkMeasurement) -> list[dict[str, Any]]:
    return [
        {
            "position_start": pair.start,
            "position_end": pair.end,
            "direction": "rise" if pair.rise else "fall",
        }
        for pair in measured.aimed
    ]


def _attributed(
    forks: Forks,
    original: Mapping[Hashable, Any],
    drawn: Mapping[tuple[str, int], Counter[FirstToken]],
    spans: Sequence[tuple[int, int]],
) -> Iterator[dict[str, Any]]:
    made = attribution(forks, forks.own, joint=True)
    for u in np.flatnonzero(made.trials):
        yield {
            "original_id": forks.original_id,
            "label": forks.own,
            "position": u,
            "token_id": original["token_ids"][u],
            "token": original["tokens"][u],
            "probability": forks.probability[u],
            "jump": made.jump[u],
            "jump_lower": made.lower[u],
            "jump_upper": made.upper[u],
            "value": made.value[u],
            "elsewhere": made.elsewhere[u],
            "elsewhere_lower": made.elsewhere_lower[u],
            "elsewhere_upper": made.elsewhere_upper[u],
            "forks": made.trials[u],
            "window": any(start <= u < end for start, end in spans),
            "alternatives": _alternatives(drawn[forks.original_id, int(u)]),
        }


def _first_tokens(forks: pd.DataFrame) -> dict[tuple[str, int], Counter[FirstToken]]:
    """Count first tokens and labels of the forks at each position of each original."""
    counts: dict[tuple[str, int], Counter[FirstToken]] = {}
    names = ("original_id", "position", "first_token", "first_token_text", "label")
    for original_id, position, *first in zip(*(forks[name] for name in names), strict=True):
        token_id, token, label = first
        at = counts.setdefault((str(original_id), int(position)), Counter())
        at[int(token_id), str(token), str(label)] += 1
    return counts


def _alternatives(counts: Counter[FirstToken]) -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for (token_id, token, label), forks in counts.items():
        new = {"token_id": token_id, "token": token, "forks": 0, "labels": []}
        row = found.setdefault(token_id, new)
        row["forks"] += forks
        row["labels"].append({"label": label, "forks": forks})
    for row in found.values():
        row["labels"] = _frequent(row["labels"], "label")
    return _frequent(found.values(), "token_id")


def _frequent(rows: Iterable[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (-row["forks"], row[name]))[:ALTERNATIVES]
