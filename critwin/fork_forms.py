"""Levels and differences as sums over blocks of leave values: a weight for each run of tokens.

With S(a, b) the chance to stay on the path from a tokens to b, the probability at s is

    p_s = sum over blocks (a, b] after s of S(s, a) (1 - S(a, b)) D_ab  +  S(s, m) p_m

where D_ab is the mean leave value of the run, each token weighed by its chance to be the first one
left at; the block that holds s enters with what of it lies after s. A difference p_e - p_s has the
runs after e with the weight they have in p_e times 1 - S(s, e), and those between s and e with the
negative of what they have in p_s.

Source: DESIGN.md, section 6, equations (1) and (3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from critwin.fork_blocks import Blocks, log_stay

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Forms:
    """Linear forms in leave values; a row is a form, a column a run of tokens, shape (R, C).

    Attributes:
        weights: Weight of the run's mean leave value.
        starts: The run owns the tokens starts + 1 .. ends, counted from 1; none where they are
            equal.
        ends: See above.
        constant: What is added: the chance to stay to the end for p_s, shape (R,), for a label that
            the end has.
    """

    weights: Floats
    starts: Ints
    ends: Ints
    constant: Floats

    def totals(self, per_token: npt.ArrayLike) -> Floats:
        """Add up over each run what is given for each token, shape (R, C)."""
        reached = np.concatenate([[0.0], np.cumsum(np.asarray(per_token, np.float64))])
        totals: Floats = reached[self.ends] - reached[self.starts]
        return totals


def level_forms(probability: npt.ArrayLike, blocks: Blocks, positions: npt.ArrayLike) -> Forms:
    """Give p_s at positions.

    Args:
        probability: pi_u, shape (m,).
        blocks: The blocks of its tokens.
        positions: s in [0, m], shape (R,).
    """
    stay, s = log_stay(probability), np.asarray(positions, np.int64)[:, None]
    starts, ends = np.maximum(blocks.bounds[:-1], s), np.maximum(blocks.bounds[1:], s)
    weights = np.exp(stay[starts] - stay[s]) * -np.expm1(stay[ends] - stay[starts])
    return Forms(weights, starts, ends, np.exp(stay[-1] - stay[s[:, 0]]))


def difference_forms(
    probability: npt.ArrayLike, blocks: Blocks, start: npt.ArrayLike, end: npt.ArrayLike
) -> Forms:
    """Give p_end - p_start for pairs of positions in either order.

    Args:
        probability: pi_u, shape (m,).
        blocks: The blocks of its tokens.
        start: Positions in [0, m], shape (R,).
        end: The same, shape (R,).
    """
    stay = log_stay(probability)
    one, other = np.asarray(start, np.int64), np.asarray(end, np.int64)
    s, e = np.minimum(one, other)[:, None], np.maximum(one, other)[:, None]
    # the block that holds e is two runs
    edges = np.broadcast_to(blocks.bounds, (len(one), len(blocks.bounds)))
    edges = np.maximum(np.sort(np.concatenate([edges, e], axis=1), axis=1), s)
    starts, ends = edges[:, :-1], edges[:, 1:]
    after = starts >= e
    base = np.where(after, stay[e], stay[s])
    left = np.exp(stay[starts] - base) * -np.expm1(stay[ends] - stay[starts])
    leave = -np.expm1(stay[e] - stay[s])
    weights = np.where(after, left * leave, -left)
    constant = np.exp(stay[-1] - stay[e[:, 0]]) * leave[:, 0]
    sign = np.where(one <= other, 1.0, -1.0)
    return Forms(weights * sign[:, None], starts, ends, constant * sign)
