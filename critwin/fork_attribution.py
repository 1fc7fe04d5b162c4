"""What each token did: the jump at it, whether there was a choice, where the others lead.

Source: DESIGN.md, section 6, equation (2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from critwin.forks import Forks, difference_intervals, fork_levels
from critwin.statistics import clopper_pearson

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


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
    """Attribute the change of a label's probability to the tokens of the original.

    A token at which forks stand has the leave value that they give, others that of their block.
    """
    n = forks.length
    p, tokens = fork_levels(forks, label), np.arange(n)
    lower, upper = difference_intervals(forks, label, tokens, tokens + 1, level=level, joint=joint)
    hits, trials = forks.hits(label)[:n], forks.trials[:n]
    low, high = clopper_pearson(hits, trials, level=level)
    own, shared = hits / np.maximum(trials, 1), forks.leave_values(label)[:n]
    leave, d = 1 - forks.probability[:n], np.where(trials > 0, own, shared)
    jump = leave * (p[1:] - d)
    lower, upper = np.minimum(lower, jump), np.maximum(upper, jump)
    return Attribution(label, jump, lower, upper, leave, p[1:], d, low, high, trials)
