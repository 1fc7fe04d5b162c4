"""The paper's formulas for its examples: as printed, as corrected, and exact where there is a form.

A formula that is a misprint is kept as it stands in print, beside the correct one, with a note that
says what is wrong. Source of all: Li, Karan, Chen (2025), arXiv:2502.00921 (June 2025 version).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from critwin.theory.posteriors import Floats
from critwin.theory.times import check_epsilon

Value = float | None


@dataclass(frozen=True)
class PaperTimes:
    """Times of an example as the paper has them.

    Attributes:
        before: T_before; None where the paper gives none.
        after_printed: T_after as printed; None likewise, or where the formula is undefined.
        after_corrected: T_after without the misprint; the same where there is none.
        notes: What a reader has to know.
        extra: Other numbers of the example, by name.
    """

    before: Value
    after_printed: Value
    after_corrected: Value
    notes: tuple[str, ...] = ()
    extra: dict[str, Value] = field(default_factory=dict)


def gaussian_pair(mu: float, epsilon: float) -> PaperTimes:
    """Give the times of N(-mu, I) and N(mu, I) under OU noise, mu > 0 a length.

    Source:
        Example 1.
    """
    before = math.log(mu) + math.log(2) + math.log(1 / check_epsilon(epsilon))
    inner = 1 / (2 * epsilon**2)
    notes = [
        "T_after as printed lacks the factor 1/2 before ln ln(1/(2 epsilon^2)) of its own proof",
        "the proof bounds the leak, not Definition 4's TV, so its time is later than the exact one",
    ]
    if inner <= 1:
        notes.append("epsilon >= 1/sqrt 2: the printed T_after is undefined")
        return PaperTimes(before, None, None, tuple(notes))
    step = math.log(math.log(inner))
    if epsilon > math.exp(-0.5) / math.sqrt(2):
        notes.append("epsilon > .4289: the printed T_after is later than the proof allows, invalid")
    return PaperTimes(before, math.log(mu) - step, math.log(mu) - step / 2, tuple(notes))


def gaussian_pair_exact(mu: float, epsilon: float) -> tuple[Value, Value]:
    """Give T_before and T_after of the pair in closed form; None where the set is empty.

    Source:
        Derived for critwin: TV(+, -) = 2 Phi(m) - 1 and TV(+, mixture) = Phi(m) - 1/2 at
        m = mu e^{-t}.
    """
    from scipy.special import ndtri

    check_epsilon(epsilon)
    before = 0.0 if epsilon >= 0.5 else max(math.log(mu / ndtri(0.5 + epsilon)), 0.0)
    after = math.log(mu / ndtri(1 - epsilon**2 / 2))
    return before, after if after >= 0 else None


def gaussian_pair_stay(m: float) -> float:
    """Give the probability that a label stays, E sigmoid(2 m^2 + 2 m z), m = mu e^{-t}.

    Source:
        Biroli et al. (2024), arXiv:2402.18491, the cloning probability phi(t).
    """
    z = np.linspace(-12, 12, 24_001)
    density = np.exp(-0.5 * z**2)
    return float((density / (1 + np.exp(-2 * m * (m + z)))).sum() / density.sum())


def gaussians(means: Floats, after: int, epsilon: float) -> PaperTimes:
    """Give the times of one of K unit Gaussians within all of them, means of shape (K, d).

    Source:
        Example 2.
    """
    check_epsilon(epsilon)
    apart = np.delete(np.linalg.norm(means - means[after], axis=1), after)
    count = len(means)
    near, far = float(apart.min()), float(apart.max())
    if near == 0:
        return PaperTimes(None, None, None, ("two components coincide: Example 2 says nothing",))
    ratio = math.log(count / epsilon)
    return PaperTimes(
        math.log(far) + math.log(1 / epsilon),
        math.log(near) - 0.5 * math.log(8) * ratio,
        math.log(near) - 0.5 * math.log(8 * ratio),
        ("T_after as printed lacks the brackets of (1/2) ln(8 ln(K / epsilon))",),
    )


def masked_diracs(distance: int, epsilon: float) -> PaperTimes:
    """Give the times of two strings that differ at `distance` indices, under random masking.

    Source:
        Example 3.
    """
    check_epsilon(epsilon)
    after = epsilon ** (2 / distance)
    notes = ("the exact T_before is earlier, (1 - 2 epsilon)^(1/d): half of the pair's TV counts",)
    return PaperTimes((1 - epsilon) ** (1 / distance), after, after, notes)


def masked_diracs_exact(distance: int, epsilon: float) -> tuple[float, float]:
    """Give T_before and T_after of two equally likely strings in closed form.

    Source:
        Derived for critwin: TV of the pair is 1 - t^d, against the mixture half of it.
    """
    return max(1 - 2 * check_epsilon(epsilon), 0.0) ** (1 / distance), epsilon ** (2 / distance)


def two_modes(length: int, branch: int, alike: float, epsilon: float) -> PaperTimes:
    """Give the times of two modes that are identical for `branch` tokens.

    Source:
        Example 4: k tokens past the branch the other mode is in the support of the first one with
        probability alike^k <= epsilon.
    """
    check_epsilon(epsilon)

    def tokens(goal: float) -> int:
        return max(math.ceil(math.log(goal) / math.log(alike) - 1e-12), 1) if alike > 0 else 1

    notes = (
        "k is the least number of tokens with overlap <= epsilon; Definition 4's 1 - epsilon^2 "
        "needs overlap <= epsilon^2, which 'corrected' takes",
    )
    return PaperTimes(
        float(length - branch),
        float(length - branch - tokens(epsilon)),
        float(length - branch - tokens(epsilon**2)),
        notes,
    )


def random_walk(length: int, drift: float, barrier: int | None, epsilon: float) -> PaperTimes:
    """Give the times of a walk with drift +drift or -drift.

    Source:
        Example 5 (Hoeffding for T_after, Roos for T_before).
    """
    check_epsilon(epsilon)
    steps_after = math.log(2 / epsilon**2) / (2 * drift**2)
    steps_before = epsilon**2 / drift**2 - 2
    notes = [
        "the proof bounds the TV of the two modes by about 3 epsilon (1.6 epsilon at drift .005); "
        "Definition 4 needs mode against mixture, half of that"
    ]
    if not (epsilon**2 < 1e-3 * (0.25 - drift**2) and 2 * drift < 0.01):
        notes.append(
            "outside the example's assumptions epsilon^2 < .001 (1/4 - drift^2), drift < .005"
        )
    if barrier is not None and steps_after >= barrier:
        notes.append(
            "the example assumes ln(2 / epsilon^2) / (2 drift^2) < barrier, which is not so"
        )
    after = length - steps_after
    extra: dict[str, Value] = {"steps_after_paper": steps_after, "steps_before_paper": steps_before}
    return PaperTimes(length - steps_before, after, after, tuple(notes), extra)


def in_context(examples: int, delta: float, epsilon: float) -> PaperTimes:
    """Give the times of a task read off worked examples whose squared Hellinger distance is delta.

    Source:
        Examples 6 and 11: (1 - delta / 2)^T <= epsilon.
    """
    check_epsilon(epsilon)
    correct = math.log(1 / epsilon) / math.log(1 / (1 - delta / 2))
    printed = math.log((1 - delta / 2) / epsilon)
    notes = (
        "the printed number of examples ln((1 - delta/2) / epsilon) is a misprint of "
        "ln(1/epsilon) / ln(1/(1 - delta/2)); T_after holds up to O_epsilon(1)",
        "the paper tensorises over a mixture of tasks, which is no product; for the correct bound "
        "the affinities of pairs of tasks are added up",
    )
    end = 3 * examples + 3
    return PaperTimes(
        None,
        float(end - 3 * math.ceil(printed)),
        float(end - 3 * math.ceil(correct)),
        notes,
        {"examples_printed": printed, "examples_corrected": correct},
    )


def in_context_affinity(weights: Sequence[float], own: int, delta: float, examples: int) -> float:
    """Bound the Bhattacharyya coefficient of a task and the mixture of the others.

    Source:
        Derived for critwin: sqrt of a sum is at most the sum of square roots, and pairs tensorise:
        BC <= sum_theta sqrt(w_theta) (1 - delta / 2)^T over the other tasks, weights renormalised.
    """
    others = np.delete(np.asarray(weights, np.float64), own)
    return float(np.sqrt(others / others.sum()).sum() * (1 - delta / 2) ** examples)


def all_or_nothing_examples(features: int, sparsity: int, sigma2: float) -> float:
    """Give N* = 2 k log(s / k) / log(1 + k / sigma^2), where sparse regression becomes possible.

    Source:
        Theorem 5, after Reeves, Xu, Zadik (2019).
    """
    return 2 * sparsity * math.log(features / sparsity) / math.log(1 + sparsity / sigma2)


def all_or_nothing(
    length: int, features: int, sparsity: int, sigma2: float, delta: float
) -> PaperTimes:
    """Give the window [N + 2 - (1 + delta) N*, N + 2 - (1 - delta) N*], `length` being N + 2.

    Source:
        Theorem 6; asymptotic in s.
    """
    star = all_or_nothing_examples(features, sparsity, sigma2)
    notes = (
        "the printed theorem swaps the labels before and after; its proof is that of Definition 4, "
        "which is used here: S_after is the signal, S_before signal and NULL",
        "the theorem is asymptotic (sigma^2 << k <= s^.499): at finite s the window is wider",
    )
    after = length - (1 + delta) * star
    return PaperTimes(length - (1 - delta) * star, after, after, notes, {"n_star": star})


def discourse_vector(alpha: float, inner: float, epsilon: float) -> PaperTimes:
    """Give the times of two discourse vectors of strength alpha with inner product `inner`.

    Source:
        Theorem 9, appendix C.2.3: phi(x) = (2 + x) / ((2 + x(1+c)/2) (2 + x(1-c)/2)). Constants are
        hidden in it.
    """
    from scipy.optimize import brentq

    def phi(x: float) -> float:
        return (2 + x) / ((2 + x * (1 + inner) / 2) * (2 + x * (1 - inner) / 2))

    check_epsilon(epsilon)
    notes = ["the theorem hides constants: its times hold up to an additive constant"]
    after = None
    if epsilon**2 < 0.5:
        after = 0.5 * math.log(alpha / brentq(lambda x: phi(x) - epsilon**2, 0.0, 1e12))
    else:
        notes.append("epsilon^2 >= 1/2: phi^-1 is undefined")
    before = 0.5 * math.log(alpha * math.sqrt(1 + alpha**2) * math.sqrt(1 - inner**2) / epsilon)
    if math.exp(-before) * math.sqrt(max(alpha - math.log(1 + alpha), 0.0)) > epsilon:
        notes.append("the theorem's condition e^-T sqrt(alpha - log(1 + alpha)) <= epsilon fails")
    return PaperTimes(before, after, after, tuple(notes))


def speciation_time(variance: float) -> float:
    """Give 1/2 ln Lambda, Lambda the largest eigenvalue of the data's covariance.

    Source:
        Biroli et al. (2024), arXiv:2402.18491: Lambda e^{-2t} = 1.
    """
    return 0.5 * math.log(variance)
