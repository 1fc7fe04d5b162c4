"""What truncating an original at every token and resampling each cut anew costs.

Source: Li, Karan, Chen (2025), arXiv:2502.00921, Section 6.2, with every token as a level.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from critwin.statistics import clopper_pearson

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def smallest_draws(probability: npt.ArrayLike, half_width: float, *, level: float = 0.95) -> Ints:
    """Give the smallest number of draws at which a Clopper-Pearson interval is narrow enough.

    The interval is taken at the expected hits. Its mean over the binomial is a little narrower: by
    it up to 6 % fewer draws would do where a probability is within .01 of 0 or 1, and 1 % elsewhere
    (half-widths .02 and .05).

    Args:
        probability: Probabilities, in [0, 1], any shape.
        half_width: Half-width at most, in (0, .5).
        level: Coverage of the interval, in (0, 1).

    Returns:
        Draws, >= 1, of the shape of `probability`.
    """
    p = np.asarray(probability, np.float64)

    def narrow(draws: Ints) -> npt.NDArray[np.bool_]:
        lower, upper = clopper_pearson(draws * p, draws, level=level)
        return (upper - lower) / 2 <= half_width

    low, high = np.zeros(p.shape, np.int64), np.ones(p.shape, np.int64)
    while not narrow(high).all():
        wide = ~narrow(high)
        low, high = np.where(wide, high, low), np.where(wide, 2 * high, high)
    while (high - low > 1).any():
        middle = (low + high + 1) // 2
        enough = narrow(middle)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high


def expected_tokens(probability: npt.ArrayLike, fork_tokens: npt.ArrayLike) -> Floats:
    """Give the expected tokens of a resample from each position.

    A resample from u - 1 takes token u of the path with probability pi_u and is then as long as one
    from u, or it is a fork at u: L_{u-1} = pi_u (1 + L_u) + (1 - pi_u) c_u, and L_n = 0.

    Args:
        probability: pi_u, shape (n,).
        fork_tokens: c_u, expected tokens of a fork at u, the one with which it leaves included,
            shape (n,).

    Returns:
        L_s at the positions 0..n-1 that can be cut at, in tokens, shape (n,).
    """
    pi, c = np.asarray(probability, np.float64), np.asarray(fork_tokens, np.float64)
    tokens = np.zeros(len(pi) + 1)
    for u in range(len(pi), 0, -1):
        tokens[u - 1] = pi[u - 1] * (1 + tokens[u]) + (1 - pi[u - 1]) * c[u - 1]
    return tokens[:-1]
