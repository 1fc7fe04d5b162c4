"""All changes of a curve over short stretches at once: which of them are certain, and how large.

A rule that picks the largest of many noisy differences is misled by the largest error, unless its
interval covers all the differences that could have been picked. How many those are has to be known
from probabilities and numbers of draws alone, before any label is looked at. So a search has three
steps:

1. Pairs that cannot change by more than is asked for are left out with a proof: over a block of
   surprisal -log P no probability changes by more than 1 - P (critwin/fork_bounds.py). The J that
   remain are the family; those that differ only by tokens without a choice are one.
2. Cheap bounds of all J, by Hoeffding's inequality or from a joint band: a part of the error.
3. Sharp intervals, each at (the rest of the error) / J, of the few that can matter. Which those are
   may depend on anything: all J are paid for.

Source: Hoeffding (1963), Journal of the American Statistical Association 58, 13-30; DESIGN.md,
sections 6 and 8.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from critwin.changes import ANY, Changes, Width
from critwin.curve import GridCurve, MeasuredCurve
from critwin.fork_changes import fork_changes, fork_variance
from critwin.forks import ForkCurve
from critwin.grid_changes import grid_changes, grid_variance

Floats = npt.NDArray[np.float64]


def changes(
    curve: MeasuredCurve,
    *,
    width: Width = ANY,
    above: float = 0.0,
    level: float = 0.95,
) -> Changes:
    """Bound every change of a curve over a stretch of at most some width, jointly.

    Of a grid, means of changes over neighbouring stretches are among them.

    Args:
        curve: A curve counted on a grid, or estimated from forks.
        width: How long a stretch may be. Nats are known of forks only.
        above: Only changes above it, up or down, are asked for, in [0, 1): others may be left out.
        level: Coverage of all the intervals at once, in (0, 1).

    Raises:
        TypeError: The curve is of another kind, or nats are asked of a grid.
    """
    if isinstance(curve, ForkCurve):
        return fork_changes(curve, width, above, 1 - level)
    if isinstance(curve, GridCurve) and width.unit != "nats":
        return grid_changes(curve, width, above, 1 - level)
    raise TypeError(f"changes of a {type(curve).__name__} in {width.unit}")


def rough_errors(curve: MeasuredCurve) -> Floats:
    """Give a rough standard error of each value of a curve, shape (L,); 0 where it is exact.

    Raises:
        TypeError: The curve is of another kind than grid and forks.
    """
    if isinstance(curve, ForkCurve):
        variance = fork_variance(curve)
    elif isinstance(curve, GridCurve):
        variance = grid_variance(curve)
    else:
        raise TypeError(f"errors of a {type(curve).__name__}")
    errors: Floats = np.sqrt(variance)
    return errors
