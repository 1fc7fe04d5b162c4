"""How often the paper's rule fires at finite numbers of resamples, given a curve.

The rule compares shares counted from n resamples at each cut, so it fires by chance too. Given the
probabilities at the cuts the counts are independent binomials, and the chance follows exactly by a
recursion over the cuts that carries the count at the last cut and whether a jump was seen.

Source: the rule as in critwin/windows/paper_jump.py; the recursion is Chapman and Kolmogorov's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from critwin.curve import Curve
from critwin.protocol import PAPER_FRACTIONS

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

RESAMPLES = (25, 100)
"""Resamples per cut: of the authors' code, and of the paper."""

SHIFTS = tuple(float(s) for s in np.linspace(-0.1, 0.1, 21))
"""Shifts of the fractions: over the width .2 of a cell of the paper's grid."""


def firing_chance(values: npt.ArrayLike, resamples: int, *, threshold: float, dip: float) -> Floats:
    """Give the chance that some step rises above the threshold and none falls below the dip.

    Args:
        values: Probabilities at the cuts, shape (..., F), F >= 2.
        resamples: Resamples at each cut, >= 1.
        threshold: A rise must be strictly above it.
        dip: A step below it forbids every window.

    Returns:
        Chances in [0, 1], shape (...).
    """
    from scipy.stats import binom

    p = np.clip(np.asarray(values, np.float64), 0, 1)
    allowed, jumps = _steps(resamples, threshold, dip)
    mass = binom.pmf(np.arange(resamples + 1), resamples, p[..., None])
    quiet, fired = mass[..., 0, :], np.zeros_like(mass[..., 0, :])
    for cut in range(1, p.shape[-1]):
        fired = (fired @ allowed + quiet @ jumps) * mass[..., cut, :]
        quiet = (quiet @ (allowed - jumps)) * mass[..., cut, :]
    chance: Floats = np.clip(fired.sum(axis=-1), 0, 1)
    return chance


def paper_chances(curve: Curve, *, threshold: float = 0.5, dip: float = -0.3) -> dict[str, float]:
    """Give the chance that the paper's rule fires on a curve, by name of the column.

    Args:
        curve: A curve; where it has no value at every position only the paper's own fractions are
            looked at, and only if all of them were visited.
        threshold: As in `firing_chance`.
        dip: Likewise.
    """
    chances: dict[str, float] = {}
    if not curve.everywhere and not _visits(curve, PAPER_FRACTIONS):
        return chances
    here = _values(curve, PAPER_FRACTIONS)
    shifted = [_values(curve, np.clip(np.array(PAPER_FRACTIONS) + shift, 0, 1)) for shift in SHIFTS]
    for n in RESAMPLES:
        one = firing_chance(here, n, threshold=threshold, dip=dip)
        chances[f"paper_{n}"] = float(one)
        if curve.everywhere:
            all_ = firing_chance(np.stack(shifted), n, threshold=threshold, dip=dip)
            chances[f"paper_shifted_{n}"] = float(all_.mean())
    return chances


def _values(curve: Curve, fractions: npt.ArrayLike) -> Floats:
    at = np.searchsorted(curve.kept, np.asarray(fractions) + 1e-9, side="right") - 1
    return curve.agreement[np.maximum(at, 0)]


def _visits(curve: Curve, fractions: Sequence[float]) -> bool:
    cuts = {int(fraction * curve.length + 1e-9) for fraction in fractions}
    return cuts <= set(curve.position.tolist())


@lru_cache(maxsize=16)
def _steps(resamples: int, threshold: float, dip: float) -> tuple[Floats, Floats]:
    """Give which counts may follow which, and where that is a jump; in floats, as the rule is."""
    share = np.arange(resamples + 1) / resamples
    step = share[None, :] - share[:, None]
    allowed = step >= dip
    return allowed.astype(np.float64), (allowed & (step > threshold)).astype(np.float64)
