"""Originals of which everything is known, and data drawn from them, for tests of window rules."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from critwin.curve import GridCurve
from critwin.fork_blocks import Blocks
from critwin.forks import ForkCurve, Forks, fork_levels

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """A curve p_s with a path pi_u and leave values d_u that give it by equation (1)."""

    curve: Floats
    probability: Floats
    leave: Floats

    @classmethod
    def of(cls, curve: npt.ArrayLike, *, every: int = 3, stay: float = 0.7) -> Known:
        p = np.asarray(curve, np.float64)
        before, after = p[:-1], p[1:]
        leave = np.where(after > before, 0.0, np.where(after < before, 1.0, after))
        moved = before != after
        path = np.where(moved, (before - leave) / np.where(moved, after - leave, 1), 1.0)
        choice = ~moved & (np.arange(len(path)) % every == 0)
        return cls(p, np.where(choice, stay, path), leave)

    @property
    def n(self) -> int:
        return len(self.leave)

    def forks(self, count: int, rng: np.random.Generator) -> ForkCurve:
        trials = np.where(self.probability < 1, count, 0)
        hits = rng.binomial(trials, self.leave)
        own = "a" if self.curve[-1] == 1 else "b"
        counts = np.stack([hits, trials - hits], axis=1)
        counts = counts if own == "a" else counts[:, ::-1]
        labels = (own, "b" if own == "a" else "a")
        return bare(
            Forks("x", own, self.probability, labels, counts, self.n, Blocks.single(self.n)), "a"
        )

    @property
    def nats(self) -> Floats:
        """Surprisal of the path up to each position."""
        return np.append(0.0, np.cumsum(-np.log(self.probability)))

    def grid(self, count: int, rng: np.random.Generator, *, step: int = 1) -> GridCurve:
        position = np.append(np.arange(0, self.n, step), self.n)
        hits = rng.binomial(count, self.curve[position[:-1]])
        agreement = np.append(hits / count, self.curve[-1])
        return grid_of(position, agreement, count)


def bare(forks: Forks, label: str) -> ForkCurve:
    """A fork curve without intervals: rules take theirs from the forks."""
    values, n = fork_levels(forks, label), forks.length
    whole = np.arange(n + 1)
    own = label == forks.own
    zeros = np.zeros(n + 1)
    return ForkCurve(
        "x", label, own, "forks", n, whole, values, values, values, whole, zeros, forks
    )


def grid_of(
    position: npt.ArrayLike, agreement: npt.ArrayLike, count: int, *, label: str = "a"
) -> GridCurve:
    at, values = np.asarray(position), np.asarray(agreement, np.float64)
    trials = np.append(np.full(len(at) - 1, count), 0)
    none = np.zeros(len(at))
    return GridCurve(
        "x", label, label == "a", "grid", int(at[-1]), at, values, values, values, trials, none
    )


def uneven(known: Known, trials: npt.NDArray[np.int64], rng: np.random.Generator) -> GridCurve:
    """A curve with so many draws at each position, 0 at the last one, which is exact."""
    hits = rng.binomial(trials, known.curve)
    agreement = np.where(trials > 0, hits / np.maximum(trials, 1), known.curve)
    return replace(grid_of(np.arange(known.n + 1), agreement, 1), trials=trials)


def ramp(n: int, start: int, width: int) -> Floats:
    return np.clip((np.arange(n + 1) - start) / width, 0, 1)


def nothing(n: int = 60) -> dict[str, Floats]:
    """Curves without a rise or fall above .2 over 10 tokens."""
    dips = 1 - 0.15 * (ramp(n, 10, 3) - ramp(n, 20, 3) + ramp(n, 35, 5) - ramp(n, 45, 5))
    return {
        "flat": np.full(n + 1, 1.0) - 0.15 * (1 - ramp(n, n - 1, 1)),
        "drift": np.linspace(0, 1, n + 1) * 0.95 + 0.05,
        "steep": np.clip(0.0199 * (np.arange(n + 1) - 5), 0, 0.96) + 0.04,
        "dips": dips,
    }
