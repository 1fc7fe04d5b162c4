"""Known values of the theory, with where they come from, and how critwin computes each of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from critwin.samplers.gaussian_mixture import GaussianMixture
from critwin.samplers.random_walk import RandomWalk
from critwin.theory import examples
from critwin.theory.bounds import bounds_at, jump_budget, sandwich
from critwin.theory.posteriors import Posteriors, population
from critwin.theory.random_hierarchy import Annealed
from critwin.theory.times import cached, t_end, t_start, window_times
from critwin.theory.total_variation import (
    bhattacharyya,
    forward_reverse_distance,
    leak,
    stay,
    total_variation,
)

Value = float | None


def line(*means: float, weights: tuple[float, ...] | None = None) -> GaussianMixture:
    return GaussianMixture(means=tuple((m,) for m in means), weights=weights)


PAIR = line(-4.0, 4.0)
SKEWED = line(-4.0, 4.0, weights=(0.2, 0.8))
FOUR = line(-15.0, -9.0, 9.0, 15.0)


def pair_tv(mu: float, t: float) -> float:
    at = line(-mu, mu).posteriors(t)
    return total_variation(at, np.array([1.0, 0.0]), np.array([0.0, 1.0])).value


def stays_at(m: float) -> float:
    return stay(line(-m, m).posteriors(0.0), [1]).value if m else examples.gaussian_pair_stay(0.0)


@cache
def at_time(which: str, t: float) -> Posteriors:
    return {"pair": PAIR, "skewed": SKEWED, "four": FOUR}[which].posteriors(t)


def bounds_of(
    which: str, init: tuple[int, ...], targ: tuple[int, ...], t: float
) -> dict[str, Value]:
    mixture = {"pair": PAIR, "skewed": SKEWED, "four": FOUR}[which]
    b = bounds_at(at_time(which, t), init=init, targ=targ)
    laws, kernel = mixture.channel(t)
    w = mixture.mixture_weights
    true = forward_reverse_distance(
        laws, kernel, w, init=population(w, init), targ=population(w, targ)
    )
    return {
        "TV_init_targ": b.tv_init_targ,
        "TV_targ_out": b.tv_targ_rest,
        "BC": b.bhattacharyya,
        "leak_B": b.leak,
        "W": b.odds,
        "bound_exactB": b.by_leak,
        "bound_paper": b.paper,
        "bound_sqrtW_BC": b.by_bhattacharyya,
        "bound_lin": b.linear,
        "true_TV": true,
    }


def four_times() -> dict[str, float | bool | None]:
    mixture = cached(FOUR)
    return {
        "Tafter_leaf": t_start(mixture, [0], epsilon=0.2).value,
        "Tbefore_leaf": t_end(mixture, [0], [0, 1], epsilon=0.2).value,
        "Tafter_pair": t_start(mixture, [0, 1], epsilon=0.2).value,
        "Tbefore_pair": t_end(mixture, [0, 1], [0, 1, 2, 3], epsilon=0.2).value,
        "nonempty_plateau": window_times(mixture, [0], [0, 1], epsilon=0.2).plateau,
    }


def walk(drift: float) -> dict[str, object]:
    length = max(2000, int(2 / drift**2))
    model = RandomWalk(drift=drift, length=length, barrier=None)
    found = window_times(cached(model), [0], [0, 1], epsilon=0.1)
    paper = examples.random_walk(length, drift, None, 0.1)
    assert found.time_after is not None
    assert found.time_before is not None

    def leaks(n: int) -> float:
        return leak(model.posteriors(length - n), [0]).value

    n_after, n_paper = length - found.time_after, paper.extra["steps_before_paper"]
    assert n_paper is not None
    one, other = np.eye(2)
    at = model.posteriors(length - max(round(n_paper), 1))
    return {
        "n_after_exact": n_after,
        "n_after_paper": paper.extra["steps_after_paper"],
        "n_before_exact": length - found.time_before,
        "n_before_paper": n_paper,
        "TV_at_n_before_paper": total_variation(at, one, other).value,
        "leak_at_n_after": leaks(round(n_after)),
        "leak_n": [[n, leaks(n)] for n in (1, 10, 100, 1000)],
    }


def hierarchy_model(v: int, m: int, s: int) -> dict[str, Value]:
    f = Annealed(v, m, s)
    return {
        "Fprime1": f.slope_at_one,
        "Fprime_1_over_v": f.slope_at_chance,
        "p_star": f.unstable_point,
        "eps_star": f.transition,
    }


def gaussian_affinity(delta: float) -> float:
    at = line(0.0, delta).posteriors(0.0)
    return bhattacharyya(at, np.array([1.0, 0.0]), np.array([0.0, 1.0])).value


def masked(d: int) -> dict[str, float]:
    from critwin.samplers.masked_strings import MaskedStrings

    before, after = examples.masked_diracs_exact(d, 0.1)
    paper = examples.masked_diracs(d, 0.1)
    assert paper.before is not None
    model = MaskedStrings(strings=("0" * d, "1" * d))
    return {
        "Tafter": after,
        "Tbefore_paper": paper.before,
        "Tbefore_exact": before,
        "width_paper": paper.before - after,
        "switch_prob_at_half": leak(model.posteriors(0.5), [0]).value,
    }


def balance() -> dict[str, float]:
    at = SKEWED.posteriors(1.0)
    return {"B_small_to_big": leak(at, [0]).value, "B_big_to_small": leak(at, [1]).value}


def between() -> dict[str, float]:
    eta = 0.5 * math.erfc(4 / math.sqrt(2))
    low, high = sandwich(leak(PAIR.posteriors(1.0), [1]).value, 1.0, eta)
    return {"lower": low, "upper": high}


EXACT = examples.gaussian_pair_exact
PAPER = examples.gaussian_pair(4.0, 0.1)

COMPUTED: dict[str, Callable[[], object]] = {
    **{
        f"O1_TV(N(+mu),N(-mu)) mu=4.0 t={t}": (lambda t=t: pair_tv(4.0, t)) for t in (0.0, 1.0, 2.0)
    },
    "O2_Tbefore_exact mu=4.0 eps=0.1": lambda: (
        window_times(cached(PAIR), [1], [0, 1], epsilon=0.1).time_before
    ),
    "O3_Tafter_exact mu=4.0 eps=0.1": lambda: (
        window_times(cached(PAIR), [1], [0, 1], epsilon=0.1).time_after
    ),
    "O2b_Tbefore_paper mu=4.0 eps=0.1": lambda: PAPER.before,
    "O3b_Tafter_paper_printed mu=4.0 eps=0.1": lambda: PAPER.after_printed,
    "O3c_Tafter_proof mu=4.0 eps=0.1": lambda: PAPER.after_corrected,
    **{
        f"O3d_width_exact eps={e} (indep of mu)": (
            lambda e=e: EXACT(10.0, e)[0] - EXACT(10.0, e)[1]
        )
        for e in (0.1, 0.05)
    },
    **{f"O4_stay m={m}": (lambda m=m: stays_at(m)) for m in (0.0, 0.25, 0.5, 1.0, 3.0)},
    "O5d_stay at t_S (m=1)": lambda: examples.gaussian_pair_stay(1.0),
    **{
        f"O6_sym mu=4 init={{+}} targ={{+}} t={t}": (lambda t=t: bounds_of("pair", (1,), (1,), t))
        for t in (0.3, 0.7, 1.0, 1.5)
    },
    **{
        f"O6_sym mu=4 init={{+}} targ=all t={t}": (lambda t=t: bounds_of("pair", (1,), (0, 1), t))
        for t in (1.5, 3.0, 4.0)
    },
    **{
        f"O6_w=(.2,.8) mu=4 init={{0}} targ={{0}} t={t}": (
            lambda t=t: bounds_of("skewed", (0,), (0,), t)
        )
        for t in (0.3, 0.7, 1.0)
    },
    **{
        f"O6_hier(-15,-9,9,15) init={{0}} targ={{0,1}} t={t}": (
            lambda t=t: bounds_of("four", (0,), (0, 1), t)
        )
        for t in (0.5, 1.0, 1.5, 1.8, 2.2, 3.0)
    },
    **{
        f"O6_hier(-15,-9,9,15) init={{0}} targ={{0}} t={t}": (
            lambda t=t: bounds_of("four", (0,), (0,), t)
        )
        for t in (0.05, 0.2, 0.5, 1.0)
    },
    "O7_hier(-15,-9,9,15) eps=0.2": four_times,
    **{f"O8_masked2dirac d={d} eps=0.1": (lambda d=d: masked(d)) for d in (1, 10)},
    **{
        f"O9_walk Delta={delta} eps=0.1": (lambda delta=delta: walk(delta))
        for delta in (0.05, 0.005, 0.1)
    },
    **{
        f"O9b_gambler_ruin Delta={delta} A=20": (
            lambda delta=delta: RandomWalk(drift=delta, barrier=20).hits_upper_end()
        )
        for delta in (0.05, 0.005, 0.1)
    },
    "O9c_posterior strong | position k=5, Delta=.1": lambda: RandomWalk(drift=0.1).posterior_at(
        np.array([5])
    )[0, 0],
    "O10_ICL delta=0.1 eps=0.01": lambda: {
        "T_correct": examples.in_context(100, 0.1, 0.01).extra["examples_corrected"],
        "T_printed": examples.in_context(100, 0.1, 0.01).extra["examples_printed"],
    },
    "O11_Nstar s=10000 k=10 sigma2=0.1": lambda: examples.all_or_nothing_examples(10000, 10, 0.1),
    **{
        f"O12_RHM v={v} m={m} s={s}": (lambda v=v, m=m, s=s: hierarchy_model(v, m, s))
        for v, m, s in ((32, 8, 2), (16, 4, 2), (8, 2, 3))
    },
    "O15_hellinger two Gaussians N(0,I)vsN(delta,I) delta=3": lambda: gaussian_affinity(3.0),
    "O17_detailed_balance w=(.2,.8) mu=4 t=1": balance,
    "O17b_sandwich sym mu=4 t=1": between,
    "O18_E[#jumps>c] <= p(1-p)/c^2": lambda: {
        "p=.5,c=.5": jump_budget(0.5, 0.5),
        "p=.9,c=.5": jump_budget(0.9, 0.5),
        "p=.5,c=.3": jump_budget(0.5, 0.3),
    },
}
"""How each known value is computed here."""
