"""The variance budget as tables: forks in folds read back, and what each problem spends where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from critwin.fork_folds import FOLDS as NUMBER
from critwin.fork_folds import Folds
from critwin.planted import token_kinds
from critwin.problem import Problem
from critwin.problems.arithmetic_budget import Spent
from critwin.sampler import Path
from critwin.variance_budget import Squares, Stretches

Floats = npt.NDArray[np.float64]

FOLDS = pa.schema(
    [  # of runs whose forks are in folds; the fold of a fork is its replicate modulo 4
        ("original_id", pa.string()),
        ("probability", pa.list_(pa.float64())),  # of each token, as the sampler draws
        ("expected", pa.list_(pa.float64())),  # forks of one fold at each token, on average
    ]
)

SHARES = pa.schema(
    [  # one row per problem and what is counted
        ("source", pa.string()),  # model; generator: exact, of the student who wrote the problems
        ("problem_id", pa.string()),
        ("originals", pa.int32()),
        ("labels", pa.string()),  # all, right, wrong; right matched, wrong matched: as probable
        ("unit", pa.string()),  # tokens, nats: of the blocks whose changes are counted
        ("block", pa.float64()),  # their length
        ("kind", pa.string()),  # all, or the kind of planted branch that a token decides
        ("threshold", pa.float64()),  # only changes above it count; null: all of them
        ("first", pa.float64()),  # sum of squares, mean over originals: placed by one half of the
        ("second", pa.float64()),  # forks and squared by the other; the halves changed places
    ]
)

THRESHOLDS = (0.02, *(step / 20 for step in range(1, 20)))
TOKENS = (1, 2, 4, 8, 16, 32, 64)
NATS = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
AT = (0.2, 0.5)
"""Thresholds at which shares of blocks, and of kinds, are counted."""

MATCHED = 0.1
"""A wrong label is as probable as the right one where P differs by no more."""


@dataclass(frozen=True)
class Studied:
    """An unconditional original with its forks.

    Attributes:
        folds: Its forks.
        kinds: What each of its tokens is (`token_kinds`), length n; None where nothing was planted.
    """

    folds: Folds
    kinds: Sequence[str] | None = None


def read_folds(
    originals: pd.DataFrame, resamples: pd.DataFrame, folds: pd.DataFrame
) -> dict[str, Folds]:
    """Count the forks of each original again, fold by fold; by original_id."""
    own = {str(name): rows for name, rows in resamples.groupby("original_id", sort=False)}
    label = dict(zip(originals["original_id"], originals["label"], strict=True))
    found = {}
    columns = (folds["original_id"], folds["probability"], folds["expected"])
    for original_id, probability, expected in zip(*columns, strict=True):
        rows = own.get(original_id, resamples.iloc[:0])
        found[original_id] = Folds.of(
            original_id,
            label[original_id],
            Path(np.asarray(probability, np.float64)),
            expected=expected,
            fold=[int(replicate) % NUMBER for replicate in rows["replicate"]],
            token=[int(position) + 1 for position in rows["position"]],
            labels=[str(name) for name in rows["label"]],
        )
    return found


def studied(
    originals: pd.DataFrame, folds: Mapping[str, Folds], problems: Sequence[Problem]
) -> dict[str, list[Studied]]:
    """Put the originals of each problem together, with the kinds of their tokens."""
    by_id = {problem.problem_id: problem for problem in problems}
    found: dict[str, list[Studied]] = {problem.problem_id: [] for problem in problems}
    columns = (originals[name] for name in ("original_id", "problem_id", "text", "tokens"))
    for original_id, problem_id, text, tokens in zip(*columns, strict=True):
        problem = by_id[problem_id]
        kinds = token_kinds(problem, text, list(tokens)) if problem.branches else None
        found[problem_id].append(Studied(folds[original_id], kinds))
    return found


def shares_of(
    problem_id: str, originals: Sequence[Studied], *, truth: str | None = None
) -> list[dict[str, Any]]:
    """Count what one problem spends where; rows of the shares table.

    Args:
        problem_id: The problem.
        originals: Its originals, drawn without any condition; at least one.
        truth: The right label, where there is one.
    """
    levels = [own.folds.levels() for own in originals]
    groups = {"all": None} | _groups(originals, levels, truth)
    sums: defaultdict[tuple[Any, ...], Floats] = defaultdict(lambda: np.zeros(2))
    for own, known in zip(originals, levels, strict=True):
        for unit, block, stretches in _blocks(own.folds):
            squares = Squares.of(own.folds, stretches, known)
            single = unit == "tokens" and block == 1
            for threshold in (None, *(THRESHOLDS if single else AT)):
                counted = squares.above(threshold)
                for group, names in groups.items() if single else [("all", None)]:
                    weight = _weights(squares.labels, names)
                    key = (group, unit, block, "all", threshold)
                    sums[key] += np.einsum("hlj,l->h", counted, weight)
                if single and own.kinds is not None and threshold in (None, *AT):
                    for kind, value in _by_kind(counted, own.kinds):
                        sums["all", unit, block, kind, threshold] += value
    n = len(originals)
    return [
        _row("model", problem_id, n, *key, first=value[0] / n, second=value[1] / n)
        for key, value in sums.items()
    ]


def generator_shares(problem_id: str, spent: Sequence[Spent]) -> list[dict[str, Any]]:
    """Count what the generator of a problem spends where, exactly; rows of the shares table."""
    rows = []
    for threshold in (None, *THRESHOLDS):
        above = [s for s in spent if threshold is None or abs(s.jump) > threshold]
        kinds = ["all", *sorted({s.kind for s in spent})] if threshold in (None, *AT) else ["all"]
        for kind in kinds:
            mass = sum(s.mass for s in above if kind in ("all", s.kind))
            key = ("all", "tokens", 1.0, kind, threshold)
            rows.append(_row("generator", problem_id, 0, *key, first=mass, second=mass))
    return rows


def shares_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Put rows into the shares table, in their order."""
    return pa.Table.from_pylist([dict(row) for row in rows], schema=SHARES)


def _row(
    source: str,
    problem_id: str,
    originals: int,
    *key: Any,
    first: float,
    second: float,
) -> dict[str, Any]:
    names = ("labels", "unit", "block", "kind", "threshold")
    return {
        "source": source,
        "problem_id": problem_id,
        "originals": originals,
        **dict(zip(names, key, strict=True)),
        "first": float(first),
        "second": float(second),
    }


def _blocks(folds: Folds) -> Iterator[tuple[str, float, Stretches]]:
    for tokens in TOKENS:
        yield "tokens", float(tokens), Stretches.tokens(folds.length, tokens)
    for nats in NATS:
        yield "nats", nats, Stretches.nats(folds.probability, nats)


def _groups(
    originals: Sequence[Studied], levels: Sequence[Floats], truth: str | None
) -> dict[str, dict[str, float]]:
    """Give the weights of labels in each group that there is.

    P(a) is the mean over originals of what forks give with nothing kept. It is unbiased given the
    original, so matching by it does not look at how the originals themselves ended.
    """
    if truth is None:
        return {}
    probability: defaultdict[str, float] = defaultdict(float)
    for own, known in zip(originals, levels, strict=True):
        for label, start in zip(own.folds.labels, known[:, :, 0].mean(axis=0), strict=True):
            probability[label] += float(start) / len(originals)
    wrong = [label for label in probability if label != truth]
    right = probability.get(truth, 0.0)
    # a label that neither was ever at a chance to come out is no match for another such label
    near = [a for a in wrong if abs(probability[a] - right) <= MATCHED and probability[a] > MATCHED]
    groups = {"right": {truth: 1.0}, "wrong": dict.fromkeys(wrong, 1.0)}
    if near and right > MATCHED:
        groups |= {
            "right matched": {truth: 1.0},
            "wrong matched": dict.fromkeys(near, 1 / len(near)),
        }
    return groups


def _weights(labels: Sequence[str], names: Mapping[str, float] | None) -> Floats:
    if names is None:
        return np.ones(len(labels))
    return np.array([names.get(label, 0.0) for label in labels])


def _by_kind(counted: Floats, kinds: Sequence[str]) -> Iterator[tuple[str, Floats]]:
    of = np.asarray(kinds)
    spent = counted.sum(axis=1)
    for kind in sorted(set(kinds)):
        yield kind, spent[:, of == kind].sum(axis=1)
