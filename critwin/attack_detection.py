"""Telling attacks by likelihoods: scores, and what each finds at a fixed rate of false alarms.

Source: Li, Karan, Chen (2025), arXiv:2502.00921, Section 6.3, Table 2 and Appendix D.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from critwin.drawing import DOUBLE, drawing
from critwin.generations import BENIGN
from critwin.statistics import clopper_pearson

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

FLOOR = -10.0
"""Log-likelihood that stands for minus infinity. Source: the authors' code."""

FALSE_ALARMS = 0.01
"""Share of harmless generations that may be flagged."""

FOLDS = 5

PARTS = ("aligned_prompt", "aligned_text", "unaligned_prompt", "unaligned_text")
"""Mean log-likelihood per token, of prompt and generation under each model."""


@dataclass(frozen=True)
class Score:
    """One number per attempt.

    Attributes:
        name: As tables show it.
        values: Of each attempt, shape (N,).
        high: Whether the theory flags high values: a jailbroken generation is likelier under the
            unaligned model than under the aligned one, and unlikely under the aligned one.
    """

    name: str
    values: Floats
    high: bool


@dataclass(frozen=True)
class Recall:
    """How many attacks of one kind a score finds.

    Attributes:
        attack: The kind.
        score: Name of the score.
        sign: +1 where high values are flagged, -1 where low ones are.
        theory: Whether this is the sign of the theory.
        recall: Share of the attacks that is flagged, in [0, 1].
        lower: 95 %, of the share at a rate of exactly `FALSE_ALARMS`: what is not known of the
            threshold is in it.
        upper: The other end.
        hits: Attacks that are flagged.
        n: Attacks of the kind.
        false_alarms: Harmless attempts that are flagged.
        benign: Harmless attempts.
    """

    attack: str
    score: str
    sign: int
    theory: bool
    recall: float
    lower: float
    upper: float
    hits: int
    n: int
    false_alarms: int
    benign: int


def mean_likelihood(nats: npt.ArrayLike) -> float:
    """Give the mean log-likelihood per token, impossible tokens at `FLOOR`; nan without a token."""
    tokens = np.asarray(nats, np.float64)
    return float(np.where(np.isfinite(tokens), tokens, FLOOR).mean()) if tokens.size else math.nan


def likelihood_scores(parts: Mapping[str, Floats]) -> list[Score]:
    """Give the scores of the paper's Table 2 that need no training.

    Args:
        parts: Mean log-likelihoods by the names of `PARTS`, each of shape (N,).
    """
    return [
        Score(f"log ratio, {of}", parts[f"unaligned_{of}"] - parts[f"aligned_{of}"], high=True)
        for of in ("prompt", "text")
    ] + [
        Score(f"log p aligned, {of}", parts[f"aligned_{of}"], high=False)
        for of in ("prompt", "text")
    ]


def classifier_score(parts: Mapping[str, Floats], attacks: Sequence[str], *, seed: int) -> Score:
    """Give the score of a small classifier on the four log-likelihoods, cross-fitted.

    Each attempt is scored by a classifier that was trained on other attempts, of all attacks.

    Args:
        parts: Mean log-likelihoods by the names of `PARTS`, each of shape (N,).
        attacks: Kind of each attempt; `BENIGN` for harmless ones.
        seed: Decides folds and initial weights.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    values = np.column_stack([parts[name] for name in PARTS])
    kinds = np.array(attacks)
    network = MLPClassifier(
        hidden_layer_sizes=(16,), alpha=1e-3, solver="lbfgs", max_iter=2000, random_state=seed
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    found = cross_val_predict(
        make_pipeline(StandardScaler(), network),
        values,
        kinds != BENIGN,
        cv=[*folds.split(values, kinds)],
        method="predict_proba",
    )
    return Score("classifier", np.asarray(found[:, 1], np.float64), high=True)


def recalls(score: Score, attacks: Sequence[str], *, rate: float = FALSE_ALARMS) -> list[Recall]:
    """Give the share of each attack that a score finds, with both signs.

    The threshold is the least at which no more than `rate` of the harmless attempts are flagged.
    The interval holds for the share at a rate of exactly `rate`: the threshold with that rate lies
    between two order statistics of the harmless scores, and the exact binomial interval is taken at
    both. Each of the three statements has its part of the 5 %.

    Args:
        score: A value per attempt.
        attacks: Kind of each attempt; `BENIGN` for harmless ones.
        rate: In (0, 1).
    """
    kinds = np.array(attacks)
    found = []
    for sign in (1, -1):
        flagged = sign * score.values
        benign = np.sort(flagged[kinds == BENIGN])[::-1]
        threshold = benign[int(rate * len(benign) + 1e-9)]
        strict, loose = _threshold_bounds(benign, rate)
        for attack in sorted(set(attacks) - {BENIGN}):
            own = flagged[kinds == attack]
            hits, n = int((own > threshold).sum()), len(own)
            lower, _ = clopper_pearson((own > strict).sum(), n, level=0.975)
            _, upper = clopper_pearson((own >= loose).sum(), n, level=0.975)
            found.append(
                Recall(
                    attack=attack,
                    score=score.name,
                    sign=sign,
                    theory=(sign > 0) == score.high,
                    recall=hits / n,
                    lower=float(lower),
                    upper=float(upper),
                    hits=hits,
                    n=n,
                    false_alarms=int((benign > threshold).sum()),
                    benign=len(benign),
                )
            )
    return found


def _threshold_bounds(benign: Floats, rate: float) -> tuple[float, float]:
    """Bound the threshold whose true false alarm rate is `rate`; each end at 98.75 %.

    The true rate above the k-th largest of n scores has the distribution Beta(k, n - k + 1).

    Args:
        benign: Harmless scores, decreasing.
        rate: In (0, 1).

    Returns:
        A threshold that flags too few for certain, infinite where there are too few scores to name
        one, and one that flags too many.
    """
    from scipy.stats import beta

    n = len(benign)
    k = np.arange(1, n + 1)
    below = beta.cdf(rate, k, n - k + 1)  # chance that the k-th largest flags at most `rate`
    few, many = np.flatnonzero(below >= 0.9875), np.flatnonzero(below <= 0.0125)
    strict = float(benign[few[-1]]) if few.size else math.inf
    loose = float(benign[many[0]]) if many.size else -math.inf
    return strict, loose


def roc_figure(scores: Sequence[Score], attacks: Sequence[str]) -> Figure:
    """Draw, for each score with the theory's sign, attacks found over harmless ones flagged.

    Returns:
        Double-column figure, a panel per kind of attack; false alarms on a logarithmic axis.
    """
    kinds = np.array(attacks)
    names = sorted(set(attacks) - {BENIGN})
    with drawing(DOUBLE, 2.3) as figure:
        panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
        for axes, attack in zip(panels, names, strict=True):
            for score, style in zip(scores, ("-", "--", "-.", ":", "-"), strict=False):
                flagged = score.values if score.high else -score.values
                x, y = _roc(flagged[kinds == BENIGN], flagged[kinds == attack])
                axes.step(x, y, style, where="post", label=score.name)
            axes.axvline(FALSE_ALARMS, color="0.6", linewidth=0.6)
            axes.set(title=attack.replace("_", " "), xscale="symlog", xlim=(0, 1), ylim=(0, 1.02))
            axes.set_xscale("symlog", linthresh=0.01)
            axes.set_xlabel("false alarms")
        panels[0].set_ylabel("attacks found")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def _roc(benign: Floats, own: Floats) -> tuple[Floats, Floats]:
    cuts = np.unique(np.concatenate([benign, own]))[::-1]
    cuts = np.concatenate([[math.inf], cuts])
    shares = [
        (np.sort(values).size - np.searchsorted(np.sort(values), cuts)) / values.size
        for values in (benign, own)
    ]
    return np.asarray(shares[0]), np.asarray(shares[1])
