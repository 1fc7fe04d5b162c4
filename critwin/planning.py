"""What a measurement will cost and show, from a few originals: before anything expensive is done.

Plain values in, plain results out: experiments/planning.py draws the few originals and measures how
fast tokens come. The same expected tokens tell a run that works how much of it is left.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from critwin.changes import Sought, Width
from critwin.curve import GridCurve
from critwin.fork_aiming import LATER_SHARES, Task, first_look, needed_evidence
from critwin.fork_allocation import Allocation, Wish, allocate, expected_half_widths
from critwin.fork_expectation import Expectation, leave_mass
from critwin.fork_forms import difference_forms
from critwin.fork_intervals import linear_form_interval
from critwin.fork_measuring import pilot_forks
from critwin.forks import curve_weights, stay_probability
from critwin.grid_costs import expected_tokens
from critwin.pair_search import changes
from critwin.protocol import ForkProtocol, Fractions, Grid, Protocol, Sampling
from critwin.protocol_costs import compare_protocols
from critwin.statistics import clopper_pearson, newcombe_difference

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SPREAD = 2.7
"""Standard errors that a half-width of a fork interval is, about (docs/forks.md)."""

_STRETCHES = 20
"""Stretches of an original over which a window is looked for where a rule names no fractions."""


@dataclass(frozen=True)
class OriginalPlan:
    """What one original will cost and show.

    Attributes:
        tokens: Its own.
        leave_mass: H.
        draws: Forks, or resamples over all levels, the pilot's left out.
        drawn_tokens: Expected tokens of them and of the pilot.
        half_width: Expected; as the protocol asks for it with forks, else pointwise, mean over
            levels. Of aimed forks it is that where no window seems possible; elsewhere they leave
            most of the curve rough. So are the draws.
        smallest_rise: Smallest rise whose interval, joint over the stretches that the rule
            compares, is expected to lie above nothing: with forks on the stretch that is hardest to
            measure, with a grid a step about 1/2, where draws tell least. Above 1: none.
        smallest_window: The same above the rule's threshold. Aimed forks need not measure the
            stretch that is hardest: with them it is one that the pilot saw, whatever its height.
        met: Whether the wanted half-width is expected to be reached.
        cheaper: The protocol that needs fewer tokens for this precision; None without a choice.
    """

    tokens: int
    leave_mass: float
    draws: int
    drawn_tokens: float
    half_width: float
    smallest_rise: float
    smallest_window: float
    met: bool
    cheaper: Literal["forks", "grid"] | None


def plan_original(
    protocol: Protocol,
    expected: Expectation,
    *,
    compared: Sequence[float],
    threshold: float,
    sought: Sought | None = None,
) -> OriginalPlan:
    """Plan the measurement of one original.

    Args:
        protocol: Forks or a grid.
        expected: What its path, and a pilot where there was one, let expect.
        compared: Fractions kept whose neighbouring pairs the window rule compares; may be empty.
        threshold: Rise above which it calls one a window, in [0, 1).
        sought: What a rule that certifies windows asks for; needed for aimed forks.

    Raises:
        TypeError: The protocol is neither forks nor a grid.
        ValueError: Forks are to be aimed at nothing.
    """
    length = len(expected.probability)

    def snap(t: float) -> int:
        return int((1 - t) * length + 1e-9)

    stretches = _stretches(length, compared)
    mass, choice = leave_mass(expected.probability), bool((expected.probability < 1).any())
    if isinstance(protocol, ForkProtocol):
        if protocol.aim == "windows":
            plan, tokens, arm = _aimed(expected, protocol, sought, stretches)
        else:
            (plan,) = allocate([expected], Wish.of(protocol))
            (pilot,) = pilot_forks([Expectation.from_path(expected.probability)], protocol)
            tokens, arm = plan.tokens + float(pilot @ expected.block_cost), 1.0
        levels = Fractions().positions(length, snap)
        cheaper = _cheaper(expected, plan, levels) if choice else None
        rise = _fork_arm(expected, plan.forks, stretches)
        window = threshold + (rise if protocol.aim == "curve" else arm)
        draws, half, met = int(plan.forks.sum()), plan.half_width, plan.met
    elif isinstance(protocol, Grid):
        levels = protocol.positions(length, snap)
        low, high = clopper_pearson(protocol.n * _curve(expected)[levels], protocol.n)
        draws, half, met = protocol.n * len(levels), float((high - low).mean() / 2), True
        left = expected_tokens(expected.probability, expected.cost)
        tokens = protocol.n * float(left[levels].sum())
        rise, window = (
            _grid_rise(protocol.n, max(len(stretches[0]), 1), above)
            if sought is None or len(levels) < 2
            else _searched_rise(protocol.n, tuple(levels), length, sought.width, above)
            for above in (0.0, threshold)
        )
        cheaper = _grid_or_forks(expected, half, tokens) if choice else None
    else:
        raise TypeError(f"{type(protocol).__name__} is neither forks nor a grid")
    return OriginalPlan(length, mass, draws, tokens, half, rise, window, met, cheaper)


def quick_tokens(protocol: Sampling, probability: npt.ArrayLike) -> float:
    """Give about how many tokens the resamples of an original take, from its path alone.

    Quick (one pass over the path): what a run that works tells its remaining time by. A grid's are
    exact for resamples as long as what the original had left. Of forks it is Neyman's least cost
    for the wanted half-width with labels that come out either way, within the budgets.

    Args:
        protocol: Forks or a grid.
        probability: pi_u, shape (n,).
    """
    pi = np.asarray(probability, np.float64)
    n = len(pi)
    left = np.arange(n, 0, -1.0)
    if isinstance(protocol, Grid):
        levels = protocol.positions(n, lambda t: int((1 - t) * n + 1e-9))
        return protocol.n * float(left[levels].sum())
    if not isinstance(protocol, ForkProtocol) or n == 0:
        return float(n)
    # sum over s of w_su^2 = (1 - pi_u)^2 A_{u-1}, A_u = 1 + pi_u^2 A_{u-1}
    before, squares = 1.0, np.empty(n)
    for u in range(n):
        squares[u] = (1 - pi[u]) ** 2 * before
        before = 1 + pi[u] ** 2 * before
    shape = np.sqrt(squares / left) / 2
    mean = float((shape @ left) / max(shape.sum(), 1e-300))
    tokens = math.inf
    if protocol.half_width is not None:
        variance = (protocol.half_width / _SPREAD) ** 2
        tokens = float(np.sqrt(squares * left).sum() / 2) ** 2 / (n * variance)
    if protocol.max_forks is not None:
        tokens = min(tokens, protocol.max_forks * mean)
    if protocol.max_tokens is not None:
        tokens = min(tokens, float(protocol.max_tokens))
    pilot = protocol.pilot * mean if protocol.aim == "curve" else 0.0
    return tokens + pilot if (pi < 1).any() else 0.0


def _stretches(length: int, compared: Sequence[float]) -> tuple[Ints, Ints]:
    """Give the ends of the stretches over which a rise is looked for."""
    if compared:
        cuts = np.array([int(f * length + 1e-9) for f in compared], np.int64)
    else:
        cuts = np.linspace(0, length, min(_STRETCHES, length) + 1).astype(np.int64)
    cuts = np.unique(cuts)
    return cuts[:-1], cuts[1:]


def _curve(expected: Expectation) -> Floats:
    """Give the expected curve at positions 0..n."""
    weights, stay = curve_weights(expected.probability), stay_probability(expected.probability)
    curve: Floats = np.clip(weights @ expected.value + stay * expected.end, 0, 1)
    return curve


def _fork_arm(expected: Expectation, forks: Ints, stretches: tuple[Ints, Ints]) -> float:
    (start, end), curve = stretches, _curve(expected)
    forms = difference_forms(expected.probability, expected.blocks, start, end)
    some = (forms.weights != 0).any(axis=1)
    if not some.any():
        return 0.0
    trials = expected.trials(forks)
    n = forms.totals(trials)
    hits = np.minimum(forms.totals(trials * expected.value), n)
    lower, _ = linear_form_interval(forms.weights, hits, n, comparisons=int(some.sum()))
    below = curve[end] - curve[start] - (forms.constant * expected.end + lower)
    return float(below[some].max())


def _aimed(
    expected: Expectation,
    protocol: ForkProtocol,
    sought: Sought | None,
    stretches: tuple[Ints, Ints],
) -> tuple[Allocation, float, float]:
    """Plan aimed forks.

    Returns:
        The main stage where no window seems possible, after the first look of the pilot; the tokens
        of all stages where one does, and at most otherwise; how far above the threshold a window
        has to rise to be certified: by all that the pilot leaves, or by a curve made precise with
        it, of whose labels nothing is known.
    """
    if sought is None:
        raise ValueError("sought is None; allowed: what forks with aim=windows are aimed at")
    unseen, wish = Expectation.from_path(expected.probability), Wish.of(protocol)
    (asked,) = allocate([unseen], wish)
    task = Task(unseen.probability, expected.cost, True, sought, asked.tokens, seed=0)
    look = first_look(task)
    spent = float(look.forks @ replace(expected, blocks=look.blocks).block_cost)
    left = max(asked.tokens - spent, 0.0)
    (plan,) = allocate([expected], replace(wish, max_tokens=left))
    sure = max(left - sum(LATER_SHARES) * asked.tokens, 0.0)  # later looks where one is possible
    (blind,) = allocate([unseen], Wish(max_tokens=sure))
    arm = _fork_arm(unseen, blind.forks, stretches)
    return plan, asked.tokens, min(aimed_arm(int(blind.forks.sum())), arm)


def aimed_arm(forks: int) -> float:
    """Give about how far above the threshold a rise is that aimed forks certify; 1 at most.

    They stand inside and after one pair, half each, at probabilities of 1/2, where draws tell
    least: evidence grows by twice the square of half the gap for each of them.

    Args:
        forks: Forks of the main stage.
    """
    return min(math.sqrt(2 * needed_evidence() / max(forks, 1)), 1.0)


def _grid_rise(draws: int, comparisons: int, above: float) -> float:
    """Give the smallest rise about 1/2 whose joint interval lies above; 1 + 1/draws where none."""
    rises = np.linspace(0, 1, 501)
    lower, _ = newcombe_difference(
        draws * (1 + rises) / 2,
        draws,
        draws * (1 - rises) / 2,
        draws,
        level=1 - 0.05 / comparisons,
    )
    found = rises[lower > above]
    return float(found[0]) if len(found) else 1 + 1 / draws


@lru_cache(maxsize=256)
def _searched_rise(
    draws: int, levels: tuple[int, ...], length: int, width: Width, above: float
) -> float:
    """Give the smallest step that a search within a width certifies; 1 + 1/draws where none is.

    It rises from below 1/2 to as much above it in the middle of the levels, and counts come out as
    expected.
    """
    position = np.unique(levels)
    before = np.arange(len(position)) < len(position) // 2
    trials = np.full(len(position), draws)

    def certified(missed: int) -> bool:
        hits = np.where(before, missed, draws - missed)
        found = changes(GridCurve.counted(hits, trials, position, length=length), width=width)
        over = (found.change > above) & (found.end < length)
        found.sharpen(np.flatnonzero(over))
        return bool((found.lower[over] > above).any())

    fewer = range(draws // 2, -1, -1)  # the fewer miss, the larger the step
    first = bisect_left(fewer, True, key=certified)
    return 1 - 2 * fewer[first] / draws if first < len(fewer) else 1 + 1 / draws


def _cheaper(
    expected: Expectation, plan: Allocation, levels: Sequence[int]
) -> Literal["forks", "grid"] | None:
    (half,) = expected_half_widths([expected], [plan.forks], Wish(max_forks=0))
    if half <= 0:
        return None
    costs = compare_protocols(expected, levels, tokens=plan.tokens, half_width=float(half))
    return costs.cheaper


def _grid_or_forks(
    expected: Expectation, half_width: float, tokens: float
) -> Literal["forks", "grid"] | None:
    if not 0 < half_width < 1:
        return None
    (forks,) = allocate([expected], Wish(half_width=half_width))
    return "forks" if forks.met and forks.tokens <= tokens else "grid"


@dataclass(frozen=True)
class Total:
    """What a whole run will take.

    Attributes:
        estimate: The expected number.
        lower: Lower end of its 95 % interval over the originals that were looked at; null with one.
        upper: Upper end of it.
    """

    estimate: float
    lower: float | None
    upper: float | None

    @classmethod
    def of(cls, values: Sequence[float], times: int) -> Total:
        """Extrapolate a mean over a few originals to so many.

        Source: Student (1908), Biometrika 6, 1-25.
        """
        from scipy.special import stdtrit

        each = np.asarray(values, np.float64)
        mean = float(each.mean())
        if len(each) < 2:
            return cls(times * mean, None, None)
        arm = float(stdtrit(len(each) - 1, 0.975) * each.std(ddof=1) / math.sqrt(len(each)))
        return cls(times * mean, times * max(mean - arm, 0.0), times * (mean + arm))

    def over(self, rate: float) -> Total:
        """Divide by a rate, as tokens by tokens per second."""
        low = None if self.lower is None else self.lower / rate
        high = None if self.upper is None else self.upper / rate
        return Total(self.estimate / rate, low, high)

    def plus(self, fixed: float) -> Total:
        """Add what is known for certain, as the seconds until the first token."""
        low = None if self.lower is None else self.lower + fixed
        high = None if self.upper is None else self.upper + fixed
        return Total(self.estimate + fixed, low, high)

    def joined(self, other: Total) -> Total:
        """Add another total; the interval is as wide as if both erred to the same side."""
        ends = [
            None if one is None or two is None else one + two
            for one, two in ((self.lower, other.lower), (self.upper, other.upper))
        ]
        return Total(self.estimate + other.estimate, *ends)
