"""The fork estimator: the curve of every label at every token from one pool of forks.

Let pi_u be the probability that the sampler gave token u of an original, p_s the probability of a
label when s tokens are kept, and d_u the probability of the label when token u is made another:

    p_{u-1} = pi_u p_u + (1 - pi_u) d_u                                                          (1)
    p_u - p_{u-1} = (1 - pi_u) (p_u - d_u)                                                       (2)

The path's probabilities are known exactly and p_n is 0 or 1, so every p_s is a linear function of
the leave values d_u, each of which forks estimate without bias. docs/forks.md derives it.

Source: DESIGN.md, section 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from critwin.curve import MeasuredCurve
from critwin.feature import UNSCORED
from critwin.fork_intervals import linear_form_interval
from critwin.sampler import Path
from critwin.statistics import clopper_pearson

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Forks:
    """What the forks of one original came to: a count per token and label.

    Token u of the path is entry u - 1 of the arrays. The counts may depend on probabilities and
    lengths, on a pilot that is not in them, and on which draws left where; never on labels in them.

    Attributes:
        original_id: The original that was forked.
        own: The original's own label.
        probability: pi_u, shape (m,); m is n, the tokens of the original, or n + 1 where the label
            itself is drawn (`with_drawn_label`).
        labels: The L labels seen, own label first, the others by name.
        counts: Forks at each token that ended in each label, shape (m, L).
        length: n.
    """

    original_id: str
    own: str
    probability: Floats
    labels: tuple[str, ...]
    counts: Ints
    length: int

    @classmethod
    def of(
        cls,
        original_id: str,
        own: str,
        path: Path,
        *,
        position: Sequence[int],
        labels: Sequence[str],
    ) -> Forks:
        """Count forks.

        Args:
            original_id: The original.
            own: Its label.
            path: Its path.
            position: Token at which each fork left it, counted from 1; length N.
            labels: Label of each fork, length N; `UNSCORED` is one like any other.

        Raises:
            ValueError: A fork stands outside the path, or at a token that had probability 1.
        """
        n = len(path.probability)
        names = (own, *sorted({*labels} - {own}))
        column = {name: i for i, name in enumerate(names)}
        counts = np.zeros((n, len(names)), dtype=np.int64)
        for u, label in zip(position, labels, strict=True):
            if not 1 <= u <= n:
                raise ValueError(f"a fork stands at token {u} of {original_id}; allowed: 1 to {n}")
            counts[u - 1, column[label]] += 1
        impossible = np.flatnonzero((counts.sum(axis=1) > 0) & (path.probability == 1))
        if len(impossible):
            raise ValueError(
                f"forks stand at token {impossible[0] + 1} of {original_id}, where the sampler had "
                "no choice; allowed: tokens of probability below 1"
            )
        return cls(original_id, own, path.probability, names, counts, n)

    def with_drawn_label(self, labels: Sequence[str]) -> Forks:
        """Say that the label of a text is drawn, for example by a question at temperature > 0.

        The text does not fix the label then. It is drawn as a last token would be, so it is added
        to the path as one: of probability 0, because the draw that defined the own label says
        nothing about the others, with other draws of the label as its forks. That the same label
        comes out again needs no estimate of its own, and its error is in the interval.

        Args:
            labels: Further labels drawn for the original's own text, without the one that defined
                `own`; at least one.
        """
        if not len(labels) or len(self.probability) > self.length:
            raise ValueError("a label is drawn again once or more, and said to be drawn once")
        names = (self.own, *sorted({*self.labels, *labels} - {self.own}))
        counts = np.zeros((self.length + 1, len(names)), dtype=np.int64)
        for i, name in enumerate(names):
            if name in self.labels:
                counts[:-1, i] = self.counts[:, self.labels.index(name)]
            counts[-1, i] = sum(label == name for label in labels)
        return replace(
            self, probability=np.append(self.probability, 0.0), labels=names, counts=counts
        )

    def pooled(self, other: Forks) -> Forks:
        """Count these and other forks of the same original as one.

        They must not have steered each other: departures of grid resamples may be pooled with forks
        whose numbers were fixed without the labels of either; a pilot may not be pooled with what
        its labels steered.

        Raises:
            ValueError: They are forks of different paths.
        """
        if self.original_id != other.original_id or not np.array_equal(
            self.probability, other.probability
        ):
            raise ValueError(
                f"forks of {self.original_id} and {other.original_id}; allowed: of the same "
                "original, on the same path"
            )
        names = (self.own, *sorted({*self.labels, *other.labels} - {self.own}))
        counts = np.stack([self.hits(name) + other.hits(name) for name in names], axis=1)
        return replace(self, labels=names, counts=counts)

    @property
    def trials(self) -> Ints:
        """Forks at each token, shape (m,)."""
        total: Ints = self.counts.sum(axis=1)
        return total

    def hits(self, label: str) -> Ints:
        """Forks at each token that ended in a label, which need not be one that was seen; (m,)."""
        if label not in self.labels:
            return np.zeros(len(self.probability), dtype=np.int64)
        return self.counts[:, self.labels.index(label)]

    def leave_values(self, label: str) -> Floats:
        """Estimate d_u of a label, shape (m,).

        Where no fork was drawn it is the label's share of all forks (without any: 1 for the own
        label), so that labels add up to 1; intervals take it to be anything in [0, 1] there.
        """
        hits, trials = self.hits(label), self.trials
        total = trials.sum()
        elsewhere = hits.sum() / total if total else float(label == self.own)
        return np.where(trials > 0, hits / np.maximum(trials, 1), elsewhere)


def curve_weights(probability: npt.ArrayLike) -> Floats:
    """Give the weight of each leave value in each position's probability.

    w_{s,u} = (1 - pi_u) prod_{s<v<u} pi_v for u > s: the chance to leave first at u after s tokens.

    Args:
        probability: pi_u, shape (m,).

    Returns:
        Row s, column u - 1, shape (m + 1, m). Row s adds up to 1 - prod_{v>s} pi_v; what is left
        is the weight of the path itself.
    """
    pi = np.asarray(probability, np.float64)
    weights = np.zeros((len(pi) + 1, len(pi)))
    for u in range(len(pi), 0, -1):
        weights[u - 1] = pi[u - 1] * weights[u]
        weights[u - 1, u - 1] = 1 - pi[u - 1]
    return weights


def stay_probability(probability: npt.ArrayLike) -> Floats:
    """Give the chance to follow the path to its end from each position, shape (m + 1,)."""
    pi = np.asarray(probability, np.float64)
    return np.append(np.cumprod(pi[::-1])[::-1], 1.0)


@dataclass(frozen=True)
class ForkCurve(MeasuredCurve):
    """A curve that was estimated from forks, at every position 0..n.

    Attributes:
        forks: The forks, of all labels.
    """

    forks: Forks

    def differences(
        self,
        start: npt.ArrayLike,
        end: npt.ArrayLike,
        *,
        level: float = 0.95,
        joint: bool = False,
    ) -> tuple[Floats, Floats]:
        """Give the interval of each difference, with forks that bear on both positions once."""
        return difference_intervals(self.forks, self.label, start, end, level=level, joint=joint)


def fork_curves(forks: Forks, *, level: float = 0.95, joint: bool = False) -> list[ForkCurve]:
    """Give the curve of every label at every position from one pool of forks.

    Estimates are exact in their weights and unbiased in the forks; where tokens were left out the
    estimate fills in (`Forks.leave_values`) and the interval takes any value there.

    Args:
        forks: The counts of one original.
        level: Coverage of the intervals, in (0, 1); pointwise 95 % is what the curves table holds.
        joint: Whether the intervals of a label cover at all positions at once.

    Returns:
        A curve for the own label, for each other label seen and for `UNSCORED`, own label first,
        the others by name. `trials` counts the forks that bear on a position: those at all later
        tokens. It is 0 where the value is exact, and where only tokens that were left out bear on
        it, which the interval shows.
    """
    names = (forks.own, *sorted({*forks.labels, UNSCORED} - {forks.own}))
    return [fork_curve(forks, label, level=level, joint=joint) for label in names]


def fork_curve(forks: Forks, label: str, *, level: float = 0.95, joint: bool = False) -> ForkCurve:
    """Give the curve of one label, which need not be one that was seen, as `fork_curves` does."""
    bearing = np.append(np.cumsum(forks.trials[::-1])[::-1], 0)[: forks.length + 1]
    lower, upper = level_intervals(forks, label, level=level, joint=joint)
    return ForkCurve(
        original_id=forks.original_id,
        label=label,
        own=label == forks.own,
        estimator="forks",
        length=forks.length,
        position=np.arange(forks.length + 1),
        agreement=fork_levels(forks, label),
        lower=lower,
        upper=upper,
        trials=bearing,
        unscored=fork_levels(forks, UNSCORED),
        forks=forks,
    )


def fork_levels(forks: Forks, label: str) -> Floats:
    """Estimate the probability of a label at positions 0..n by the backward recursion (1)."""
    d, pi = forks.leave_values(label), forks.probability
    p = np.empty(len(pi) + 1)
    p[-1] = float(label == forks.own)
    for u in range(len(pi), 0, -1):
        # the sum of two rounded shares may leave [0, 1] by a rounding error
        p[u - 1] = min(pi[u - 1] * p[u] + (1 - pi[u - 1]) * d[u - 1], 1.0)
    return p[: forks.length + 1]


def level_intervals(
    forks: Forks, label: str, *, level: float = 0.95, joint: bool = False
) -> tuple[Floats, Floats]:
    """Give the interval of the probability of a label at positions 0..n, pointwise or joint."""
    weights = curve_weights(forks.probability)[: forks.length + 1]
    constant = stay_probability(forks.probability)[: forks.length + 1] * (label == forks.own)
    lower, upper = _forms(forks, label, weights, level, joint)
    return np.clip(constant + lower, 0, 1), np.clip(constant + upper, 0, 1)


def difference_intervals(
    forks: Forks,
    label: str,
    start: npt.ArrayLike,
    end: npt.ArrayLike,
    *,
    level: float = 0.95,
    joint: bool = False,
) -> tuple[Floats, Floats]:
    """Give the interval of p_end - p_start for pairs of positions.

    Leave values that bear on both positions enter once, with the difference of their weights, so
    the interval is narrower than that of two separate probabilities.

    Args:
        forks: The counts of one original.
        label: The label.
        start: Positions in [0, n], shape (J,).
        end: Positions in [0, n], shape (J,).
        level: Coverage, in (0, 1).
        joint: Whether all J differences are covered at once. A search that compares all pairs has
            to be given all pairs.

    Returns:
        Lower and upper ends in [-1, 1], shape (J,).
    """
    first, last = np.asarray(start, np.int64), np.asarray(end, np.int64)
    weights = curve_weights(forks.probability)
    stay = stay_probability(forks.probability) * (label == forks.own)
    lower, upper = _forms(forks, label, weights[last] - weights[first], level, joint)
    constant = stay[last] - stay[first]
    return np.clip(constant + lower, -1, 1), np.clip(constant + upper, -1, 1)


@dataclass(frozen=True)
class Attribution:
    """What each token of an original did to the probability of one label, by equation (2).

    All arrays have shape (n,), token u at entry u - 1.

    Attributes:
        label: The label.
        jump: p_u - p_{u-1} = (1 - pi_u) (p_u - d_u), in [-1, 1].
        lower: Lower end of its interval.
        upper: Upper end of it.
        leave: 1 - pi_u: whether there was a choice.
        value: p_u: where the token taken leads.
        elsewhere: d_u: where the other tokens lead.
        elsewhere_lower: Lower end of its Clopper-Pearson interval, pointwise.
        elsewhere_upper: Upper end of it.
        trials: Forks at the token.
    """

    label: str
    jump: Floats
    lower: Floats
    upper: Floats
    leave: Floats
    value: Floats
    elsewhere: Floats
    elsewhere_lower: Floats
    elsewhere_upper: Floats
    trials: Ints


def attribution(
    forks: Forks, label: str, *, level: float = 0.95, joint: bool = False
) -> Attribution:
    """Attribute the change of a label's probability to the tokens of the original."""
    n = forks.length
    p, tokens = fork_levels(forks, label), np.arange(n)
    lower, upper = difference_intervals(forks, label, tokens, tokens + 1, level=level, joint=joint)
    low, high = clopper_pearson(forks.hits(label)[:n], forks.trials[:n], level=level)
    leave, d = 1 - forks.probability[:n], forks.leave_values(label)[:n]
    return Attribution(
        label, leave * (p[1:] - d), lower, upper, leave, p[1:], d, low, high, forks.trials[:n]
    )


def _forms(
    forks: Forks, label: str, weights: Floats, level: float, joint: bool
) -> tuple[Floats, Floats]:
    """Give the intervals of forms in the leave values; rows that are alike are computed once."""
    bears = np.flatnonzero((weights != 0).any(axis=0))
    distinct, back = np.unique(weights[:, bears], axis=0, return_inverse=True)
    certain = int((distinct == 0).all(axis=1).sum())
    comparisons = max(len(distinct) - certain, 1) if joint else 1
    lower, upper = linear_form_interval(
        distinct,
        forks.hits(label)[bears],
        forks.trials[bears],
        level=level,
        comparisons=comparisons,
    )
    back = back.reshape(-1)
    return lower[back], upper[back]
