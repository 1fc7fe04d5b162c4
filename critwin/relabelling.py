"""A new feature from the records of a run alone: every text that was drawn gets another label."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import pyarrow as pa

from critwin.asking import thought_opening
from critwin.feature import UNSCORED, Feature
from critwin.fork_measuring import reached_half_width
from critwin.fork_tables import read_forks
from critwin.problem import Problem


def relabel(
    originals: pa.Table,
    resamples: pa.Table,
    *,
    problems: Sequence[Problem],
    feature: Feature,
    done: Callable[[int], None] = lambda _: None,
    replies: bool = False,
) -> tuple[pa.Table, pa.Table]:
    """Label originals and resamples of every kind by another feature.

    Args:
        originals: The originals table.
        resamples: The resamples table; forks and pilot are labelled like resamples of a grid.
        problems: The problems that the originals answer, others may be among them.
        feature: Gives the labels.
        done: Told after each problem how many texts were labelled.
        replies: Whether the replies are labelled that were given when answers were asked for, not
            the texts; the feature asks the same.

    Returns:
        Both tables with label and unscored, truth and correct of originals, and agrees of
        resamples, as if the run had asked for this feature; all else is as it was.
    """
    keys, drawn = _texts(originals, resamples, replies=replies)
    own = {str(name): rows for name, rows in keys.groupby("problem_id", sort=False)}
    others = {str(name): rows for name, rows in drawn.groupby("problem_id", sort=False)}
    labels, drawn_labels = [UNSCORED] * len(keys), [UNSCORED] * len(drawn)
    truths: dict[str, str | None] = {}
    for problem in problems:
        name = problem.problem_id
        if name not in own:
            continue
        first, rest = own[name], others.get(name, drawn.iloc[:0])
        found = feature.labels([*first["text"], *rest["text"]], problem)
        for at, label in zip(first.index, found, strict=False):
            labels[at] = label
        for at, label in zip(rest.index, found[len(first) :], strict=True):
            drawn_labels[at] = label
        truths[name] = feature.truth(problem)
        done(len(found))
    own_label = drawn["original_id"].map(dict(zip(keys["original_id"], labels, strict=True)))
    truth = [truths[name] for name in keys["problem_id"]]
    return (
        _replaced(
            originals,
            label=labels,
            truth=truth,
            correct=[_same(a, b) for a, b in zip(labels, truth, strict=True)],
            unscored=[label == UNSCORED for label in labels],
        ),
        _replaced(
            resamples,
            label=drawn_labels,
            agrees=[_same(a, b) for a, b in zip(drawn_labels, own_label, strict=True)],
            unscored=[label == UNSCORED for label in drawn_labels],
        ),
    )


def _texts(
    originals: pa.Table, resamples: pa.Table, *, replies: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give what is labelled of each row, whole texts or replies, with the problem it is about."""
    keys = originals.select(["original_id", "problem_id", "text", "prompt"]).to_pandas()
    drawn = resamples.select(["original_id", "text_start", "text"]).to_pandas()
    own_text = keys.set_index("original_id")["text"]
    kept = zip(drawn["original_id"].map(own_text), drawn["text_start"], strict=True)
    drawn["text"] = [text[:start] for text, start in kept] + drawn["text"]
    begun = {prompt: thought_opening(prompt) for prompt in set(keys["prompt"])}
    of = keys.set_index("original_id")["prompt"].map(begun)
    keys["text"] = keys["prompt"].map(begun) + keys["text"]
    drawn["text"] = drawn["original_id"].map(of) + drawn["text"]
    if replies:
        keys["text"] = originals["reply"].to_pylist()
        pairs = zip(resamples["reply"].to_pylist(), drawn["text"], strict=True)
        # a direct answer is a reply itself
        drawn["text"] = [text if reply is None else reply for reply, text in pairs]
    drawn["problem_id"] = drawn["original_id"].map(keys.set_index("original_id")["problem_id"])
    return keys, drawn


def remeasured_plans(plans: pa.Table, originals: pa.Table, resamples: pa.Table) -> pa.Table:
    """Give the plans of a relabelled run: as they were made, with the half-width reached now.

    How many forks stand at each token was fixed before the first of them was labelled, from
    probabilities and a pilot that is counted nowhere. Whatever steered the numbers, they do not
    depend on the labels that are counted, so the estimates of every feature are unbiased and their
    intervals hold. The numbers were best for the feature that the pilot was labelled by: for
    another one the intervals may be wider than planned.

    Args:
        plans: The plans table.
        originals: The originals table, relabelled.
        resamples: The resamples table, relabelled.
    """
    made = plans.select(["original_id", "over", "joint"]).to_pylist()
    forks = read_forks(originals.to_pandas(), resamples.to_pandas(), plans.to_pandas())
    counted = {counts.original_id: counts for counts in forks}
    reached = [
        reached_half_width(
            counted[row["original_id"]],
            counted[row["original_id"]].own,
            over=row["over"],
            joint=row["joint"],
        )
        for row in made
    ]
    return _replaced(plans, half_width=reached)


def _same(label: str, other: str | None) -> bool | None:
    """Compare two labels; None where either says nothing."""
    return None if other is None or UNSCORED in (label, other) else label == other


def _replaced(table: pa.Table, **columns: Sequence[object]) -> pa.Table:
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        field = table.schema.field(at)
        table = table.set_column(at, field, pa.array(values, field.type))
    return table
