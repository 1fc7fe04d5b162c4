"""Which noise levels of a diffusion model are visited: a protocol of the `sampler` group."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from critwin.errors import ParameterError
from critwin.protocol import check_whole
from critwin.sampler import Level


@dataclass(frozen=True, kw_only=True)
class Levels:
    """Noises each original to some levels and denoises it from there.

    Attributes:
        positions: Reverse steps that are taken as done, increasing, >= 0; null for `count` evenly
            spread ones, the first of which keeps nothing.
        count: How many are visited where positions is null, >= 2.
        n: Observations of each original at each level, with fresh noise each, >= 1.
        draws: Resamples of each observation, >= 1; of two or more, distances between noised
            populations can be measured.
    """

    positions: tuple[int, ...] | None = None
    count: int = 10
    n: int = 25
    draws: int = 1

    def __post_init__(self) -> None:
        check_whole("count", self.count, low=2)
        check_whole("n", self.n, low=1)
        check_whole("draws", self.draws, low=1)
        if self.positions is not None:
            whole = all(type(k) is int and k >= 0 for k in self.positions)
            if not self.positions or not whole or any(a >= b for a, b in pairwise(self.positions)):
                allowed = "null or increasing whole numbers >= 0, at least one"
                raise ParameterError("positions", list(self.positions), allowed)

    def levels(self, last: Level) -> list[Level]:
        """Give the levels visited of a sampler with so many reverse steps, all below the last.

        Raises:
            ParameterError: A position keeps everything, or lies beyond.
        """
        if self.positions is None:
            spread = np.linspace(0, last, min(self.count, last), endpoint=False)
            return sorted({int(level + 1e-9) for level in spread})
        if self.positions[-1] >= last:
            allowed = f"below model.steps = {last}, which keeps everything"
            raise ParameterError("positions", list(self.positions), allowed)
        return list(self.positions)
