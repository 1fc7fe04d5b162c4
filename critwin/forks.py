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

from critwin.changes import AimedPair
from critwin.curve import MeasuredCurve
from critwin.feature import UNSCORED
from critwin.fork_blocks import Blocks
from critwin.fork_forms import Forms, difference_forms, level_forms
from critwin.fork_intervals import linear_form_interval
from critwin.sampler import Path

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Forks:
    """What the forks of one original came to: a count per token and label.

    Token u of the path is entry u - 1 of the arrays. The numbers of forks may depend on
    probabilities and lengths, on a pilot that is not in them, and on which draws left where; never
    on labels in them.

    Attributes:
        original_id: The original that was forked.
        own: The original's own label.
        probability: pi_u, shape (m,); m is n, the tokens of the original, or n + 1 where the label
            itself is drawn (`with_drawn_label`).
        labels: The L labels seen, own label first, the others by name.
        counts: Forks at each token that ended in each label, shape (m, L).
        length: n.
        blocks: Runs of tokens whose forks stand where `Blocks.spread` or resampling put them; each
            token by itself is right for any numbers of forks.
        aimed: Pairs that were chosen before the first of these forks was drawn, by labels that are
            not in them: a search that may pay for them apart (critwin/fork_changes.py).
    """

    original_id: str
    own: str
    probability: Floats
    labels: tuple[str, ...]
    counts: Ints
    length: int
    blocks: Blocks
    aimed: tuple[AimedPair, ...] = ()

    @classmethod
    def of(
        cls,
        original_id: str,
        own: str,
        path: Path,
        *,
        position: Sequence[int],
        labels: Sequence[str],
        blocks: Blocks | None = None,
    ) -> Forks:
        """Count forks.

        Args:
            original_id: The original.
            own: Its label.
            path: Its path.
            position: Token at which each fork left it, counted from 1; length N.
            labels: Label of each fork, length N; `UNSCORED` is one like any other.
            blocks: Runs over which the forks were spread at random; without any the numbers at the
                tokens were chosen.

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
        blocks = Blocks.single(n) if blocks is None else blocks
        return cls(original_id, own, path.probability, names, counts, n, blocks)

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
            self,
            probability=np.append(self.probability, 0.0),
            labels=names,
            counts=counts,
            blocks=Blocks(np.append(self.blocks.bounds, self.length + 1)),
        )

    def pooled(self, other: Forks) -> Forks:
        """Count these and other forks of the same original as one.

        They must not have steered each other: departures of grid resamples may be pooled with forks
        whose numbers were fixed without the labels of either; a pilot may not be pooled with what
        its labels steered. Blocks are cut at the bounds of both: those of departures have to begin
        at the levels of their grid.

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
        blocks = self.blocks.refined(other.blocks.bounds)
        return replace(self, labels=names, counts=counts, blocks=blocks)

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
        """Estimate d_u of a label, shape (m,): the tokens of a block share one estimate.

        Where no fork was drawn it is the label's share of all forks (without any: 1 for the own
        label), so that labels add up to 1; intervals take it to be anything in [0, 1] there.
        """
        hits, trials = self.blocks.sums(self.hits(label)), self.blocks.sums(self.trials)
        total = trials.sum()
        elsewhere = hits.sum() / total if total else float(label == self.own)
        values: Floats = np.where(trials > 0, hits / np.maximum(trials, 1), elsewhere)
        return values[self.blocks.of_token]


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

    Estimates are exact in their weights, and unbiased at the bounds of blocks. Inside, the tokens
    of a block share one leave value (`Forks.leave_values`), which shifts an estimate by no more
    than the block's chance to be left. Intervals do not share: they count, at each position, the
    forks that stand after it. Where blocks were left out the estimate fills in and the interval
    takes any value.

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
    return _curves(forks, names, level=level, joint=joint)


def fork_curve(forks: Forks, label: str, *, level: float = 0.95, joint: bool = False) -> ForkCurve:
    """Give the curve of one label, which need not be one that was seen, as `fork_curves` does."""
    (curve,) = _curves(forks, [label], level=level, joint=joint)
    return curve


def _curves(forks: Forks, labels: Sequence[str], *, level: float, joint: bool) -> list[ForkCurve]:
    bearing = np.append(np.cumsum(forks.trials[::-1])[::-1], 0)[: forks.length + 1]
    ends = _level_intervals(forks, labels, level=level, joint=joint)
    unscored = fork_levels(forks, UNSCORED)
    return [
        ForkCurve(
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
            unscored=unscored,
            forks=forks,
        )
        for label, lower, upper in zip(labels, *ends, strict=True)
    ]


def fork_levels(forks: Forks, label: str) -> Floats:
    """Estimate the probability of a label at positions 0..n by the backward recursion (1)."""
    pi = forks.probability
    stay, left = pi.tolist(), ((1 - pi) * forks.leave_values(label)).tolist()
    p = [float(label == forks.own)]
    for u in range(len(stay) - 1, -1, -1):
        # the sum of two rounded shares may leave [0, 1] by a rounding error
        p.append(min(stay[u] * p[-1] + left[u], 1.0))
    return np.array(p[::-1][: forks.length + 1])


def level_intervals(
    forks: Forks, label: str, *, level: float = 0.95, joint: bool = False
) -> tuple[Floats, Floats]:
    """Give the interval of the probability of a label at positions 0..n, pointwise or joint."""
    (lower,), (upper,) = _level_intervals(forks, [label], level=level, joint=joint)
    return lower, upper


def _level_intervals(
    forks: Forks, labels: Sequence[str], *, level: float, joint: bool
) -> tuple[Floats, Floats]:
    """Give the intervals of labels, shape (labels, n + 1)."""
    # positions with no choice between them have one probability: that before the next choice
    choice = np.append(np.flatnonzero(forks.probability < 1), len(forks.probability))
    after = np.searchsorted(choice, np.arange(forks.length + 1))
    forms = level_forms(forks.probability, forks.blocks, choice)
    comparisons = max(len(choice) - 1, 1) if joint else 1
    lower, upper = _intervals(forks, labels, forms, level, comparisons)
    estimate = np.array([fork_levels(forks, label) for label in labels])
    lower = np.minimum(lower.clip(0, 1)[:, after], estimate)
    return lower, np.maximum(upper.clip(0, 1)[:, after], estimate)


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
    choice = np.append(np.flatnonzero(forks.probability < 1), len(forks.probability))
    first, last = (np.searchsorted(choice, np.asarray(at, np.int64)) for at in (start, end))
    # pairs with no choice between them differ by nothing; equal pairs are computed once
    pairs, back = np.unique(first * len(choice) + last, return_inverse=True)
    one, other = np.divmod(pairs, len(choice))
    forms = difference_forms(forks.probability, forks.blocks, choice[one], choice[other])
    comparisons = max(int((one != other).sum()), 1) if joint else 1
    (lower,), (upper,) = _intervals(forks, [label], forms, level, comparisons)
    levels = fork_levels(forks, label)
    estimate = levels[np.asarray(end, np.int64)] - levels[np.asarray(start, np.int64)]
    lower = np.minimum(lower.clip(-1, 1)[back], estimate)
    return lower, np.maximum(upper.clip(-1, 1)[back], estimate)


def _intervals(
    forks: Forks, labels: Sequence[str], forms: Forms, level: float, comparisons: int
) -> tuple[Floats, Floats]:
    """Give the intervals of forms for labels, shape (labels, R)."""
    trials = forms.totals(forks.trials)
    hits = np.concatenate([forms.totals(forks.hits(label)) for label in labels])
    lower, upper = linear_form_interval(
        np.tile(forms.weights, (len(labels), 1)),
        hits,
        np.tile(trials, (len(labels), 1)),
        level=level,
        comparisons=comparisons,
    )
    has = np.array([label == forks.own for label in labels])
    constant = np.outer(has, forms.constant)
    shape = constant.shape
    return constant + lower.reshape(shape), constant + upper.reshape(shape)
