"""Labels of resamples as counts, for what is known of distances from labels alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from critwin.feature import UNSCORED
from critwin.picture import PictureSampler
from experiments.exact.measuring import Measured


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
    of = own["label"].map(number).fillna(number[UNSCORED]).to_numpy(np.int64)
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
