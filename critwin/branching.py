"""Does it pay to branch where an answer is decided? Votes at equal generated tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from critwin.feature import UNSCORED
from critwin.seeds import fold_in
from critwin.window import Window

ARMS = ("windows", "open", "start")
"""Branches leave at the start of certified windows, at random places where the sampler had a
choice, or at the very start."""

WAYS = ("majority", "best", "oracle")
"""Ways of choosing among samples: `vote` says what they are."""

BRANCHES = pa.schema(
    [
        ("original_id", pa.string()),
        ("arm", pa.string()),  # windows, open, start
        ("replicate", pa.int32()),  # budgets take the first so many
        ("position", pa.int32()),  # tokens kept
        ("text", pa.string()),  # the whole of it
        ("label", pa.string()),
        ("unscored", pa.bool_()),
        ("log_probability", pa.float64()),  # of the whole sample, kept tokens too, in nats
        ("finish_reason", pa.string()),
        ("tokens_generated", pa.int32()),
        ("seed", pa.int64()),
    ]
)

VOTES = pa.schema(
    [
        ("original_id", pa.string()),
        ("problem_id", pa.string()),
        ("window", pa.bool_()),  # whether the original has a certified window
        ("arm", pa.string()),  # windows, open, start; start paid: with the tokens of finding, too
        ("budget", pa.float64()),  # tokens to be generated, in lengths of the original
        ("branches", pa.int32()),  # assigned before any was drawn; the original votes with them
        ("tokens", pa.int64()),  # that the branches generated
        ("finding_tokens", pa.int64()),  # that finding the windows cost; 0 where it is not needed
        ("majority", pa.float64()),  # chance that the most frequent label is right; ties are drawn
        ("best", pa.float64()),  # whether the most probable scored sample is right
        ("oracle", pa.float64()),  # whether any sample is right
    ]
)


@dataclass(frozen=True)
class Sample:
    """One voter.

    Attributes:
        label: Its label; `UNSCORED` does not vote.
        log_probability: Of the whole sample, in nats: the score of best-of-N.
    """

    label: str
    log_probability: float


def vote(samples: Sequence[Sample], truth: str) -> dict[str, float]:
    """Give the chance that each way of choosing among samples gives the right label.

    Args:
        samples: The voters; unscored ones do not vote, and without any other nothing is right.
        truth: The right label.

    Returns:
        majority, ties broken at random; best, the most probable sample (the first of equal ones);
        oracle, whether any is right: what no way of choosing can exceed.
    """
    scored = [sample for sample in samples if sample.label != UNSCORED]
    if not scored:
        return {"majority": 0.0, "best": 0.0, "oracle": 0.0}
    names, counts = np.unique([sample.label for sample in scored], return_counts=True)
    first = set(names[counts == counts.max()])
    best = max(scored, key=lambda sample: sample.log_probability)
    return {
        "majority": (truth in first) / len(first),
        "best": float(best.label == truth),
        "oracle": float(truth in names),
    }


def certified_starts(windows: Sequence[Window]) -> list[int]:
    """Give where certified windows begin: rises whose joint interval lies above 0; increasing."""
    found = [w for w in windows if w.direction == "rise" and w.jump_lower > 0]
    return sorted({w.position_start for w in found})


def open_positions(probability: npt.ArrayLike, number: int, *, seed: int) -> list[int]:
    """Draw positions before tokens at which the sampler had a choice, without replacement.

    Args:
        probability: pi_u, shape (n,).
        number: How many; fewer where fewer are open.
        seed: Decides them.
    """
    choices = np.flatnonzero(np.asarray(probability, np.float64) < 1)
    order = sorted(choices.tolist(), key=lambda position: fold_in(seed, "open", int(position)))
    return sorted(order[:number])


def assigned(tokens: float, *, length: int, positions: Sequence[int]) -> int:
    """Give the number of branches for a budget, from what is known before they are drawn.

    A branch is expected to be as long as what the original had left. Going by the lengths that
    come out would take short branches over long ones.

    Args:
        tokens: Tokens to be generated.
        length: Tokens of the original.
        positions: Where branches leave, one after the other; at least one.
    """
    left = np.mean([max(length - position, 1) for position in positions])
    return int(tokens / left + 1e-9)


def budget_votes(
    original: Mapping[str, Any],
    branches: pd.DataFrame,
    *,
    truth: str,
    budgets: Sequence[float],
    finding_tokens: int,
) -> list[dict[str, Any]]:
    """Let one original and its branches vote, at each budget and in each arm.

    An original without a certified window has nothing to branch at: there the arms `windows` and
    `open` branch at the start, with the same samples.

    Args:
        original: original_id, problem_id, label, surprisal, token_ids of the originals table.
        branches: Its rows of the branches table.
        truth: The right label.
        budgets: Tokens to be generated, in lengths of the original.
        finding_tokens: What finding its windows cost.

    Returns:
        Rows of the votes table.
    """
    own = Sample(original["label"], -float(np.sum(original["surprisal"])))
    length = len(original["token_ids"])
    ordered = branches.sort_values("replicate")
    by_arm = {arm: ordered[ordered["arm"] == arm] for arm in ARMS}
    window = len(by_arm["windows"]) > 0
    rows = []
    for budget in budgets:
        for arm in (*ARMS, "start paid"):
            drawn = by_arm["start"] if arm == "start paid" or not window else by_arm[arm]
            paid = finding_tokens if arm == "start paid" else 0
            positions = list(dict.fromkeys(drawn["position"]))
            number = assigned(budget * length + paid, length=length, positions=positions)
            taken = drawn.iloc[:number]
            samples = [
                Sample(label, score)
                for label, score in zip(taken["label"], taken["log_probability"], strict=True)
            ]
            rows.append(
                {
                    "original_id": original["original_id"],
                    "problem_id": original["problem_id"],
                    "window": window,
                    "arm": arm,
                    "budget": float(budget),
                    "branches": len(taken),
                    "tokens": int(taken["tokens_generated"].sum()),
                    "finding_tokens": finding_tokens if arm == "windows" else 0,
                    **vote([own, *samples], truth),
                }
            )
    return rows
