"""Where a grader and the labels disagree in a run: answers held equal that have two labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from critwin.feature import Conflict, Feature
from critwin.problem import Problem

EXAMPLES = 20
"""Conflicts that are written out."""


def summarise_conflicts(
    originals: pd.DataFrame,
    resamples: pd.DataFrame,
    problems: Sequence[Problem],
    feature: Feature,
) -> dict[str, Any] | None:
    """Count the conflicts among the answers of a run, fit for JSON.

    Args:
        originals: The originals table.
        resamples: The resamples table, resamples of every kind.
        problems: The problems that the originals answer.
        feature: Gave the labels.

    Returns:
        pairs of answers in conflict, problems that have any, and examples; None for a feature whose
        labels no grader compares.
    """
    if type(feature).conflicts is Feature.conflicts:
        return None
    texts = _texts_by_problem(originals, resamples)
    found: list[Conflict] = []
    for problem in problems:
        if problem.problem_id in texts:
            found += feature.conflicts(texts[problem.problem_id], problem)
    return {
        "pairs": len(found),
        "problems": len({conflict.problem_id for conflict in found}),
        "examples": [asdict(conflict) for conflict in found[:EXAMPLES]],
    }


def _texts_by_problem(originals: pd.DataFrame, resamples: pd.DataFrame) -> dict[str, list[str]]:
    """Give what was labelled, each text once: replies where answers were asked for."""
    own = originals.set_index("original_id")
    starts = zip(resamples["original_id"].map(own["text"]), resamples["text_start"], strict=True)
    whole = pd.Series([text[:start] for text, start in starts], dtype=object).to_numpy()
    drawn = pd.DataFrame(
        {
            "problem_id": resamples["original_id"].map(own["problem_id"]).to_numpy(),
            "text": whole + resamples["text"].to_numpy(dtype=object),
            "reply": resamples["reply"].to_numpy(dtype=object),
        }
    )
    rows = pd.concat([originals[["problem_id", "text", "reply"]], drawn], ignore_index=True)
    rows["said"] = rows["reply"].where(rows["reply"].notna(), rows["text"])
    return {str(name): [*dict.fromkeys(said)] for name, said in rows.groupby("problem_id")["said"]}
