"""Curves from generations that begin alike: no resampling, many whole generations of one prompt.

After the first s characters of an original, the chance of its label is the share of those other
generations with the same first s characters that have it.

Source: Li, Karan, Chen (2025), arXiv:2502.00921, Section 6.1 and Figure 4 (10,000 generations).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from critwin.features.choosing import Choice, ChoosingFeature
from critwin.problem import shared_prefix
from critwin.statistics import clopper_pearson

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MatchedCurve:
    """Chance of an original's label by what is known of its text.

    Attributes:
        hits: Generations that begin like the first s characters and have the label, shape (n + 1,).
        trials: Generations that begin so, shape (n + 1,).
    """

    hits: Ints
    trials: Ints

    @property
    def agreement(self) -> Floats:
        """Share with the label, nan where nothing begins so, shape (n + 1,)."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.hits / self.trials, np.float64)

    def interval(self) -> tuple[Floats, Floats]:
        """Give exact 95 % intervals, pointwise; [0, 1] where nothing begins so."""
        return clopper_pearson(self.hits, self.trials)


@dataclass(frozen=True)
class ChoiceTimes:
    """When one choice of an original is made.

    Attributes:
        choice: The blank and what stands in it.
        before: Last number of characters after which nothing of the choice is seen.
        after: First number of characters after which all generations that begin so made the same
            choice; at most the end of what stands in the blank.
        alive: Values that the blank has in the original and in generations that begin like it up
            to `before`, the most frequent first.
    """

    choice: Choice
    before: int
    after: int
    alive: tuple[str, ...]


def matched_curve(
    text: str, label: str, generations: Sequence[str], labels: Sequence[str]
) -> MatchedCurve:
    """Give the curve of a label over the characters of a text.

    Args:
        text: The original, n characters.
        label: Its label.
        generations: Other generations of the same prompt; the original is not among them.
        labels: Their labels.
    """
    shared = _shared(text, generations)
    own = np.array([other == label for other in labels], dtype=bool)
    cuts = len(text) + 1
    # a generation that shares k characters matches after 0..k of them
    trials = np.bincount(shared, minlength=cuts)[::-1].cumsum()[::-1]
    hits = np.bincount(shared[own], minlength=cuts)[::-1].cumsum()[::-1]
    return MatchedCurve(hits, trials)


def choice_times(
    text: str, feature: ChoosingFeature, generations: Sequence[str]
) -> list[ChoiceTimes]:
    """Give when each choice of a text is made; empty where the text does not fill all blanks.

    Args:
        text: The original.
        feature: Says what the blanks are.
        generations: Other generations of the same prompt.
    """
    chosen = feature.choices(text)
    if chosen is None:
        return []
    filled = [(other, feature.choices(other)) for other in generations]
    known = [(other, own) for other, own in filled if own is not None]
    shared = _shared(text, [other for other, _ in known])
    times = []
    for k, choice in enumerate(chosen):
        values = np.array([own[k].value for _, own in known], dtype=object)
        differing = shared[values != choice.value]
        # the last position at which some generation that begins so chose otherwise, plus one
        after = int(min(max(choice.start, differing.max(initial=-1) + 1), choice.end))
        reached = [choice.value, *values[shared >= choice.start].astype(str)]
        names, counts = np.unique(reached, return_counts=True)
        alive = tuple(str(name) for name in names[np.argsort(-counts, kind="stable")])
        times.append(ChoiceTimes(choice, choice.start, after, alive))
    return times


def _shared(text: str, others: Sequence[str]) -> Ints:
    """Give the number of first characters that each shares with the text."""
    return np.array([shared_prefix(text, other) for other in others], dtype=np.int64)
