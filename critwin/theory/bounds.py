"""Bounds on how far a forward-reverse experiment lands from its target: the paper's and sharper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from critwin.errors import ParameterError
from critwin.theory.posteriors import Posteriors, population, rest_of
from critwin.theory.total_variation import bhattacharyya, leak, overlap, total_variation


@dataclass(frozen=True)
class Bounds:
    """Bounds on TV(p^{init,T}, p^targ) at one time T, each >= the next of the same kind.

    Attributes:
        tv_init_targ: TV(p_T^init, p_T^targ), the first term of all bounds.
        tv_targ_rest: TV(p_T^targ, p_T^rest); None where the target is everything.
        bhattacharyya: Bhattacharyya coefficient of target and rest; 0 where there is no rest.
        leak: B_targ(T), the exact label leak.
        odds: W = w(rest) / w(targ).
        overlap: Integral of min(p^targ, W p^rest).
        by_leak: First term + leak, the sharpest.
        by_bhattacharyya: First term + sqrt(W) BC / 2.
        by_overlap: First term + overlap.
        linear: First term + max(1, W) (1 - TV); None where the target is everything.
        paper: First term + max(1, W) sqrt(1 - TV^2) / 2, the step of the paper's proof; None as
            above.
    """

    tv_init_targ: float
    tv_targ_rest: float | None
    bhattacharyya: float
    leak: float
    odds: float
    overlap: float
    by_leak: float
    by_bhattacharyya: float
    by_overlap: float
    linear: float | None
    paper: float | None


def bounds_at(at: Posteriors, *, init: Sequence[int], targ: Sequence[int]) -> Bounds:
    """Give all bounds at a time.

    Args:
        at: The law of the posterior at that time.
        init: Components that are noised; all of them among `targ`.
        targ: Components whose law is aimed at.

    Raises:
        ParameterError: `init` is not part of `targ`, or they are no components.

    Source:
        Li, Karan, Chen (2025), proof of Theorem 2 (Lemmas 1, 3, 4, 7); the others are derived for
        critwin from ab / (a + b) <= sqrt(ab) / 2 and <= min(a, b).
    """
    if not set(init) <= set(targ):
        raise ParameterError("init", list(init), f"components among targ, {list(targ)}")
    u, v = population(at.weights, init, name="init"), population(at.weights, targ, name="targ")
    first = total_variation(at, u, v).value
    rest = rest_of(at.weights, targ)
    if not rest:
        return Bounds(first, None, 0.0, 0.0, 0.0, 0.0, first, first, first, None, None)
    out = population(at.weights, rest)
    odds = float(at.weights[rest].sum() / at.weights[list(targ)].sum())
    apart = total_variation(at, v, out).value
    affinity = bhattacharyya(at, v, out).value
    lost, shared = leak(at, targ).value, overlap(at, targ).value
    return Bounds(
        tv_init_targ=first,
        tv_targ_rest=apart,
        bhattacharyya=affinity,
        leak=lost,
        odds=odds,
        overlap=shared,
        by_leak=first + lost,
        by_bhattacharyya=first + 0.5 * math.sqrt(odds) * affinity,
        by_overlap=first + shared,
        linear=first + max(1.0, odds) * (1 - apart),
        paper=first + 0.5 * max(1.0, odds) * math.sqrt(max(1 - apart * apart, 0.0)),
    )


def theorem_2(epsilon: float, odds: float) -> float:
    """Give the paper's bound, epsilon (1 + max(1, W) / sqrt 2), for T in [T_end, T_start].

    Source:
        Li, Karan, Chen (2025), Theorem 2.
    """
    return epsilon * (1 + max(1.0, odds) / math.sqrt(2))


def theorem_2_sharper(epsilon: float, odds: float) -> float:
    """Give epsilon + min(sqrt(W / 2) epsilon, max(1, W) epsilon^2), for the same T.

    Source:
        Derived for critwin: BC^2 <= 1 - TV^2 <= 2 epsilon^2 at TV >= 1 - epsilon^2.
    """
    return epsilon + min(math.sqrt(odds / 2) * epsilon, max(1.0, odds) * epsilon**2)


def sandwich(leaked: float, odds: float, eta: float) -> tuple[float, float]:
    """Give what TV(p^{S,T}, p^S) lies between, where an event tells S from the rest but for eta.

    Args:
        leaked: B_S(T).
        odds: W = w(rest) / w(S).
        eta: An event A has p^S(not A) <= eta and p^rest(A) <= eta.

    Source:
        Derived for critwin: P(X' in A^c) >= B - (the mistakes of A), at most (1 + W) eta of them.
    """
    return leaked - (1 + odds) * eta, leaked


def jump_budget(probability: float, jump: float) -> float:
    """Give the most jumps above `jump` that a fixed answer's probability can be expected to make.

    Args:
        probability: P(answer | question), in [0, 1].
        jump: In (0, 1].

    Source:
        P(answer | first k tokens) is a martingale: E sum of squared steps = p (1 - p) at most.
    """
    return probability * (1 - probability) / jump**2
