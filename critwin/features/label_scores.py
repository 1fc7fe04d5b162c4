"""From the probabilities that a judge gives to labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from critwin.errors import ParameterError
from critwin.feature import UNSCORED

BATCH = 64
"""Pictures that a judge looks at together."""


def confident_labels(
    probabilities: npt.ArrayLike, names: Sequence[str], *, min_confidence: float
) -> list[str]:
    """Give the most probable label of each row, `UNSCORED` where it is not probable enough.

    Args:
        probabilities: Shape (N, K), rows sum to 1.
        names: Of the K labels.
        min_confidence: Least probability of a label that counts, in [0, 1].
    """
    shares = np.asarray(probabilities, np.float64)
    best = shares.argmax(axis=1)
    # a judge that gives no number has read nothing
    sure = np.nan_to_num(shares[np.arange(len(shares)), best], nan=-1.0) >= min_confidence
    return [names[i] if ok else UNSCORED for i, ok in zip(best, sure, strict=True)]


def check_confidence(value: float) -> None:
    """Refuse a least confidence outside [0, 1]."""
    if isinstance(value, bool) or not 0 <= value <= 1:
        raise ParameterError("min_confidence", value, "a number in [0, 1]")


def check_names(name: str, names: Sequence[str], *, least: int) -> None:
    """Refuse label names that are too few, empty or the same."""
    good = all(isinstance(label, str) and label and label != UNSCORED for label in names)
    if len(names) < least or not good or len(set(names)) != len(names):
        allowed = f"at least {least} different texts, none of them {UNSCORED}"
        raise ParameterError(name, list(names), allowed)
