"""The annealed theory of the random hierarchy model: one map, its fixed points and their stability.

Source: Sclocchi, Favero, Wyart, arXiv:2402.16991 (PNAS 2025); the condition for an interior
transition is derived for critwin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Annealed:
    """The belief in the true symbol, passed up the tree, averaged over rules.

    Attributes:
        symbols: v.
        rules: m.
        branching: s.
    """

    symbols: int
    rules: int
    branching: int

    def __call__(self, p: float) -> float:
        """Give the belief in a parent whose children are believed in with p, in [1 / v, 1]."""
        v, m, s = self.symbols, self.rules, self.branching
        other = (m * v - 1) / (v**s - 1)
        joint = p**s
        right = joint + other * (m - 1) / (m * v - 1) * (1 - joint)
        return float(right / (joint + other * (1 - joint)))

    @property
    def slope_at_one(self) -> float:
        """F'(1) = s m (v - 1) / (v^s - 1)."""
        v, m, s = self.symbols, self.rules, self.branching
        return float(s * m * (v - 1) / (v**s - 1))

    @property
    def slope_at_chance(self) -> float:
        """F'(1 / v) = s v^{s-1} (v - 1) / (m (v^s - 1))."""
        v, m, s = self.symbols, self.rules, self.branching
        return float(s * v ** (s - 1) * (v - 1) / (m * (v**s - 1)))

    @property
    def unstable_point(self) -> float | None:
        """The fixed point between 1 / v and 1; None unless both ends are stable."""
        from scipy.optimize import brentq

        if self.slope_at_one >= 1 or self.slope_at_chance >= 1:
            return None
        low = 1 / self.symbols
        grid = np.linspace(low, 1, 2003)[1:-1]
        above = np.array([self(p) - p for p in grid])
        at = int(np.flatnonzero(above > 0)[0])
        start = grid[at - 1] if at else low + 1e-9
        return float(brentq(lambda p: self(p) - p, start, grid[at], xtol=1e-14))

    @property
    def transition(self) -> float | None:
        """The share of masked leaves at which the root is lost as depth grows; None for no such."""
        point = self.unstable_point
        return None if point is None else (1 - point) / (1 - 1 / self.symbols)

    def root_belief(self, masked: float, depth: int) -> float:
        """Give the belief in the root when a share of the leaves is masked, in [1 / v, 1]."""
        p = 1 - masked + masked / self.symbols
        for _ in range(depth):
            p = self(p)
        return p
