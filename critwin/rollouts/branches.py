"""Curves from branches of known probability: the fork identity with a stratified leave value.

At position u - 1 the tokens other than the path's have known probabilities q_b (of those the file
holds, renormalised) and N_b rollouts each. The leave value is their mixture,

    d_u = sum_b q_b d_{u,b} / (1 - pi_u),        estimated by       sum_b q'_b k_b / N_b,

q'_b = q_b / (1 - pi_u): a stratified estimate, unbiased whatever the N_b. With M = min_b N_b / q'_b
its moment generating function is at most that of Binomial(M, d_u) / M. (For one branch: log E
exp(-c X) of a Bernoulli X, divided by c, grows with c, so that N_b draws of weight q'_b / N_b are
dominated by M q'_b draws of weight 1 / M. For their sum: Jensen, because log(1 - a d) is concave.)
So Chernoff's bound holds as for M forks (critwin/chernoff.py).

Source: DESIGN.md, section 6, equation (1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from critwin.feature import UNSCORED
from critwin.fork_blocks import Blocks
from critwin.forks import ForkCurve, Forks, curve_weights, fork_levels, stay_probability
from critwin.rollouts.mixture_intervals import form_interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_BLOCK = 48
"""Neighbouring choices whose intervals are computed together: few tokens bear on them."""

_NEGLECTED = 2e-4
"""Weight of far tokens that enters an interval with [0, 1] in place of what was drawn there."""


@dataclass(frozen=True)
class Branches:
    """The branches of one trajectory. Arrays have shape (n,), token u at entry u - 1.

    Attributes:
        original_id: The trajectory.
        own: Its label.
        probability: pi_u, renormalised over the branches; 1 where there are none.
        labels: The L labels seen, own label first, the others by name.
        leave: Estimated law of the labels where the path is left for a branch with rollouts, shape
            (n, L); rows without any are 0.
        trials: M, what the rollouts at u are worth; 0 without any.
        undrawn: Share of the leaving probability that went to branches without rollouts.
        rollouts: Rollouts of all branches that leave at u.
        path_counts: Rollouts that took the path's token at u, by label, shape (n, L).
        uncovered: Probability that the file's branches did not cover at u; nan where there are
            none.
        tokens: Text of each token; empty where there are no branches.
    """

    original_id: str
    own: str
    probability: Floats
    labels: tuple[str, ...]
    leave: Floats
    trials: Floats
    undrawn: Floats
    rollouts: Ints
    path_counts: Ints
    uncovered: Floats
    tokens: tuple[str, ...]

    @property
    def length(self) -> int:
        """Tokens of the trajectory, as far as the file goes."""
        return len(self.probability)

    @property
    def branched(self) -> npt.NDArray[np.bool_]:
        """Whether the file has branches at each token."""
        return ~np.isnan(self.uncovered)

    @property
    def forks(self) -> StratifiedForks:
        """What they are worth in forks."""
        counts = np.column_stack([self.leave * self.trials[:, None], self.undrawn])
        return StratifiedForks(
            self.original_id,
            self.own,
            self.probability,
            self.labels,
            counts,
            self.length,
            Blocks.single(self.length),
        )

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Branches:
        """Count the branches of one trajectory.

        Args:
            rows: Its rows, as `check_rows` leaves them.

        Raises:
            ValueError: There is neither a final label nor a rollout of the path.
        """
        own = final_label(rows)
        labels, counts, first = _branch_counts(rows, own)
        n = int(rows["position"].max()) + 1
        at = rows["position"].to_numpy(np.int64)[first]
        path = rows["is_path"].to_numpy(bool)[first]
        q = rows["probability"].to_numpy(np.float64)[first]
        covered = np.bincount(at, q, n)
        has = np.bincount(at, minlength=n) > 0
        q = q / covered[at]
        pi = np.ones(n)
        pi[at[path]] = q[path]
        # what is left over is added up, so that a branch of 1e-9 is not lost in 1 - pi
        leaving = np.bincount(at[~path], q[~path], n)
        drawn = counts.sum(axis=1)
        used = ~path & (drawn > 0) & (q > 0)
        mass = np.bincount(at[used], q[used], n)
        inner = q[used] / mass[at[used]]
        leave = np.zeros((n, len(labels)))
        np.add.at(leave, at[used], inner[:, None] * counts[used] / drawn[used, None])
        trials = np.full(n, np.inf)
        np.minimum.at(trials, at[used], drawn[used] / inner)
        path_counts = np.zeros((n, len(labels)), np.int64)
        path_counts[at[path]] = counts[path]
        tokens = np.full(n, "", object)
        tokens[at[path]] = rows["token"].to_numpy(object)[first[path]]
        return cls(
            original_id=str(rows["trajectory_id"].iloc[0]),
            own=own,
            probability=pi,
            labels=labels,
            leave=leave,
            trials=np.where(np.isinf(trials), 0.0, trials),
            undrawn=np.where(leaving > 0, 1 - mass / np.where(leaving > 0, leaving, 1), 0.0),
            rollouts=np.bincount(at[used], drawn[used], n).astype(np.int64),
            path_counts=path_counts,
            uncovered=np.where(has, np.maximum(1 - covered, 0.0), np.nan),
            tokens=tuple(tokens),
        )


@dataclass(frozen=True)
class StratifiedForks(Forks):
    """What branches are worth in forks; entries need not be whole.

    `counts` has one column more than labels: the share of the leaving probability that went to
    branches without rollouts. Where there is such a share, `trials` is 0: who takes only counts of
    draws has to take the leave value for anything there. A `BranchCurve` knows better.
    """

    @property
    def worth(self) -> Floats:
        """M, what the rollouts at each token are worth in forks, shape (n,)."""
        total: Floats = self.counts[:, :-1].sum(axis=1)
        return total

    @property
    def undrawn(self) -> Floats:
        """Share of the leaving probability without rollouts, shape (n,)."""
        share: Floats = self.counts[:, -1].astype(np.float64)
        return share

    @property
    def trials(self) -> Floats:  # type: ignore[override]
        """M where every branch has rollouts, else 0, shape (n,)."""
        return np.where(self.undrawn > 0, 0.0, self.worth)

    def leave_values(self, label: str) -> Floats:
        """Estimate d_u of branches with rollouts; their mean over tokens where there are none."""
        worth, hits = self.worth, self.hits(label)
        drawn = worth > 0
        if not drawn.any():
            return np.full(len(worth), float(label == self.own))
        values = np.minimum(hits / np.where(drawn, worth, 1.0), 1.0)
        mass = np.where(drawn, 1 - self.probability, 0.0)
        mean = np.average(values, weights=mass) if mass.sum() > 0 else values[drawn].mean()
        return np.where(drawn, values, mean)


def _branch_counts(rows: pd.DataFrame, own: str) -> tuple[tuple[str, ...], Ints, Ints]:
    """Count labels of each branch, branches in order of appearance.

    Returns:
        The labels, the own one first; counts, shape (B, L); the row at which each branch begins.
    """
    token, _ = pd.factorize(rows["token"])
    branch, _ = pd.factorize(rows["position"].to_numpy(np.int64) * (token.max() + 1) + token)
    first = np.flatnonzero(~pd.Series(branch).duplicated().to_numpy())
    count = rows["count"].to_numpy(np.int64)
    drawn = count > 0
    label, seen = pd.factorize(rows["label"].to_numpy(object)[drawn])
    labels = (own, *sorted({*map(str, seen)} - {own}))
    column = np.array([labels.index(str(name)) for name in seen], np.int64)
    counts = np.zeros((len(first), len(labels)), np.int64)
    np.add.at(counts, (branch[drawn], column[label]), count[drawn])
    return labels, counts, first


def final_label(rows: pd.DataFrame) -> str:
    """Give the label of a trajectory: what its rows say, else the path's most frequent last one.

    Raises:
        ValueError: There is neither.
    """
    said = rows["final_label"].dropna()
    if len(said):
        return str(said.iloc[0])
    position, count = rows["position"].to_numpy(np.int64), rows["count"].to_numpy(np.int64)
    path = np.flatnonzero(rows["is_path"].to_numpy(bool) & (count > 0))
    if not len(path):
        raise ValueError(
            f"trajectory {rows['trajectory_id'].iloc[0]} has no final_label and no count on its "
            "path; allowed: one of them"
        )
    last = path[position[path] == position[path].max()]
    labels = rows["label"].iloc[last].tolist()
    return str(min(zip((-count[last]).tolist(), labels, strict=True))[1])


@dataclass(frozen=True)
class BranchCurve(ForkCurve):
    """A curve by the fork identity from branches, at every position 0..n.

    Attributes:
        forks: What the branches are worth in forks.
        branches: The branches, of all labels.
    """

    forks: StratifiedForks
    branches: Branches

    def differences(
        self,
        start: npt.ArrayLike,
        end: npt.ArrayLike,
        *,
        level: float = 0.95,
        joint: bool = False,
    ) -> tuple[Floats, Floats]:
        """Give the interval of each difference, with rollouts that bear on both positions once."""
        choice, after = _choices(self.forks.probability)
        first, last = (after[np.asarray(at, np.int64)] for at in (start, end))
        # equal pairs are computed once
        pairs, back = np.unique(first * len(choice) + last, return_inverse=True)
        one, other = np.divmod(pairs, len(choice))
        comparisons = max(int((one != other).sum()), 1) if joint else 1
        weights = curve_weights(self.forks.probability)[choice]
        stay = stay_probability(self.forks.probability)[choice] * self.own
        left = _Left.of(self.forks, self.label)
        lower, upper = left.interval(weights[other] - weights[one], level, comparisons)
        constant = stay[other] - stay[one]
        return (
            np.clip(constant + lower, -1, 1)[back.reshape(-1)],
            np.clip(constant + upper, -1, 1)[back.reshape(-1)],
        )


def branch_curves(branches: Branches) -> list[BranchCurve]:
    """Give the curve of the own label, and of each other label seen, by name."""
    names = (branches.own, *sorted({*branches.labels} - {branches.own}))
    forks = branches.forks
    unscored = fork_levels(forks, UNSCORED)
    weights = curve_weights(branches.probability)
    bearing = np.append(np.cumsum(branches.rollouts[::-1])[::-1], 0)
    curves: list[BranchCurve] = []
    for label in names:
        if len(names) == 2 and curves:  # of two labels one is what the other is not
            lower, upper = 1 - curves[0].upper, 1 - curves[0].lower
        else:
            lower, upper = _levels(forks, label, weights)
        curves.append(
            BranchCurve(
                original_id=branches.original_id,
                label=label,
                own=label == branches.own,
                estimator="forks",
                length=branches.length,
                position=np.arange(branches.length + 1),
                agreement=fork_levels(forks, label),
                lower=lower,
                upper=upper,
                trials=bearing,
                unscored=unscored,
                forks=forks,
                branches=branches,
            )
        )
    return curves


def _choices(probability: Floats) -> tuple[Ints, Ints]:
    """Give the positions 0..n before which the next token had alternatives, and n itself.

    Returns:
        Those positions, and for each position 0..n the entry of the first at or after it: with no
        choice between them two positions have the same probability.
    """
    choice = np.append(np.flatnonzero(probability < 1), len(probability))
    return choice, np.searchsorted(choice, np.arange(len(probability) + 1))


def _levels(forks: StratifiedForks, label: str, weights: Floats) -> tuple[Floats, Floats]:
    """Give pointwise 95 % intervals at 0..n; far tokens of little weight may be anything."""
    choice, after = _choices(forks.probability)
    lower = (stay_probability(forks.probability) * (label == forks.own))[choice]
    upper = lower.copy()
    left = _Left.of(forks, label)
    for begin in range(0, len(choice), _BLOCK):
        rows = slice(begin, begin + _BLOCK)
        block = weights[choice[rows]]
        largest = block.max(axis=0, initial=0.0)
        order = np.argsort(largest, kind="stable")
        near = np.ones(len(largest), dtype=bool)
        near[order] = np.cumsum(largest[order]) > _NEGLECTED
        low, high = left.interval(block, 0.95, 1, near)
        lower[rows] += low
        upper[rows] += high + block[:, ~near].sum(axis=1)
    return np.clip(lower, 0, 1)[after], np.clip(upper, 0, 1)[after]


@dataclass(frozen=True)
class _Left:
    """What is known of leaving the path at each token, shape (n,).

    Attributes:
        value: Estimates of the leave values of branches with rollouts.
        worth: What their rollouts are worth in forks.
        undrawn: Share of the leaving probability without rollouts: that is free.
    """

    value: Floats
    worth: Floats
    undrawn: Floats

    @classmethod
    def of(cls, forks: StratifiedForks, label: str) -> _Left:
        return cls(forks.leave_values(label), forks.worth, forks.undrawn)

    def interval(
        self, weights: Floats, level: float, comparisons: int, near: Bools | None = None
    ) -> tuple[Floats, Floats]:
        """Give the intervals of forms in the leave values, shape (R,), of near tokens alone."""
        bears = (weights != 0).any(axis=0)
        at = np.flatnonzero(bears if near is None else bears & near)
        weights, worth, undrawn = weights[:, at], self.worth[at], self.undrawn[at]
        drawn = worth > 0
        lower, upper = form_interval(
            (weights * (1 - undrawn))[:, drawn],
            self.value[at][drawn],
            worth[drawn],
            level=level,
            comparisons=comparisons,
        )
        outer = weights * np.where(drawn, undrawn, 1.0)
        return lower + np.minimum(outer, 0).sum(axis=1), upper + np.maximum(outer, 0).sum(axis=1)
