"""Labels of resamples as counts, for what is known of distances from labels alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pandas as pd

from critwin.feature import UNSCORED
from critwin.picture import PictureSampler
from experiments.exact.comparison import JOINT
from experiments.exact.measuring import Measured
from experiments.exact.verdicts import Row, balanced, falls


def count_labels(
    originals: pd.DataFrame,
    resamples: pd.DataFrame,
    names: Sequence[str],
    sampler: PictureSampler,
) -> Measured:
    """Count the labels of resamples, one observation per original and level.

    Args:
        originals: With the labels of one feature, `feature_frames` gives them.
        resamples: The same; even and odd replicates are the halves.
        names: The labels that are components of the theory. UNSCORED comes after them, a group
            of its own that belongs to no set.
        sampler: Gives the times.

    Returns:
        Counts by group, each label one; the weights are the shares of labels among the originals
        and the resamples from the lowest level, where next to nothing is kept.
    """
    every = [*names, UNSCORED]
    number = {name: i for i, name in enumerate(every)}
    own = originals.sort_values("original_id")
    levels = np.sort(resamples["position"].unique())
    shape = (len(levels), len(own), len(every))
    first, second = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    at = np.searchsorted(levels, resamples["position"])
    who = np.searchsorted(own["original_id"].to_numpy(), resamples["original_id"].to_numpy())
    label = resamples["label"].map(number).fillna(number[UNSCORED]).to_numpy(np.int64)
    even = (resamples["replicate"] % 2 == 0).to_numpy()
    np.add.at(first, (at[even], who[even], label[even]), 1)
    np.add.at(second, (at[~even], who[~even], label[~even]), 1)
    of = np.asarray(own["label"].map(number).fillna(number[UNSCORED]), np.int64)
    seen = np.bincount(of, minlength=len(every)) + (first + second)[0].sum(axis=0)
    # a label that was never seen weighs as if it had been seen once: no weight is 0
    weights = np.maximum(seen, 1) / np.maximum(seen, 1).sum()
    return Measured(
        groups=[[i] for i in range(len(every))],
        weights=weights,
        levels=levels.astype(np.int64),
        times=np.array([sampler.time(int(level)) for level in levels]),
        own=of,
        first=first,
        second=second,
    )


def any_sampler_rows(measured: Measured) -> list[Row]:
    """Compare what holds for every sampler that reverses its own forward process.

    The set S is that of the most frequent labels that half of the originals have.

    Args:
        measured: Counts of labels, UNSCORED last.
    """
    seen = np.bincount(measured.own, minlength=len(measured.groups))[:-1]
    order = np.argsort(-seen, kind="stable")
    half = int(np.searchsorted(seen[order].cumsum(), len(measured.own) / 2)) + 1
    members = sorted(map(int, order[:half]))
    rest = [i for i in range(len(measured.groups)) if i not in members]
    rows = [law_row(measured)]
    if all(np.isin(measured.own, some).any() for some in (members, rest)):
        odds = float(measured.weights[rest].sum() / measured.weights[members].sum())
        place = len(measured.levels) // 2
        rows.append(balanced(measured, members, rest, odds=odds, place=place, level=JOINT))
        rows.append(falls(measured, members, level=JOINT))
    return rows


def law_row(measured: Measured) -> Row:
    """Compare the law of labels after noising and denoising with that of the originals."""
    counts = measured.counts.sum(axis=1)
    share = counts / counts.sum(axis=1, keepdims=True)
    own = np.bincount(measured.own, minlength=counts.shape[1]) / len(measured.own)
    gaps = np.abs(share - own)
    # originals are shared by both: a difference of two dependent means, its error over originals
    mine = np.eye(counts.shape[1])[measured.own]
    drawn = measured.counts / measured.draws
    error = (drawn - mine).std(axis=1, ddof=1) / math.sqrt(len(measured.own))
    # joint over levels, labels and the rows of the table, at 95 %
    k = NormalDist().inv_cdf(1 - 0.025 / gaps.size / 20)
    against = np.divide(gaps, error, out=np.zeros_like(gaps), where=error > 0)
    place, label = np.unravel_index(int(against.argmax()), gaps.shape)
    gap, margin = float(gaps[place, label]), float(k * error[place, label])
    quantity = "share of a label, resamples less originals: largest over levels and labels"
    verdict = "agrees" if gap <= margin else "differs"
    return Row(quantity, 0.0, gap, max(gap - margin, 0.0), gap + margin, verdict)
