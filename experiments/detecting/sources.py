"""Originals whose curve is known: planted windows on Markov strings, and references of a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from critwin.forks import Forks, fork_levels
from critwin.samplers.markov_string import MarkovString

Floats = npt.NDArray[np.float64]

LENGTH = 120
"""Tokens of a planted original."""

WIDTHS, HEIGHTS = (1, 3, 10, 30), (0.25, 0.5, 0.9)
BELOW, TOOTH = 0.15, 0.19
"""Heights that are none: as far below .2 as the least planted window is above it, and just below.
What keeps a level on every curve keeps it where rises stay just below the threshold."""

START = 45
"""Tokens kept where the one planted window begins."""

TOP, END = 0.95, 30
"""Agreement after the windows, and the tokens over which it rises from there to 1."""

OWN, OTHER = "own", "other"
"""Labels: that of the original, and any other one."""

EVERY, STAY = 3, 0.7
"""Where nothing is decided every third token is a choice, which the original makes with this
probability; the others are certain. H is 12 for a curve that is flat."""


@dataclass(frozen=True)
class Source:
    """One original of which everything is known.

    Attributes:
        name: Its name.
        kind: `none`, `one`, `several` or `embedded`.
        probability: pi_u of its tokens, shape (n,).
        leave: d_u, the probability of its label where token u is left, shape (n,).
        curve: p_s, shape (n + 1,).
    """

    name: str
    kind: str
    probability: Floats
    leave: Floats
    curve: Floats

    @property
    def length(self) -> int:
        """Tokens, n."""
        return len(self.probability)

    def chain(self) -> MarkovString:
        """Give the Markov string with this original: its path, one symbol per token.

        Whoever leaves the path at token u says `left u`, then `own` with probability d_u, else
        `other`, and ends.
        """
        n = self.length
        path = [f"on{u}" for u in range(1, n + 1)]
        left = [f"left{u}" for u in range(1, n + 1)]
        symbols = (*path, *left, "own", "other")
        k = len(symbols)
        rows = np.zeros((k, k + 1))
        for u in range(1, n):  # after token u
            rows[u - 1, u] = self.probability[u]
            rows[u - 1, n + u] = 1 - self.probability[u]
        rows[n - 1, 2 * n] = 1
        rows[n : 2 * n, 2 * n] = self.leave
        rows[n : 2 * n, 2 * n + 1] = 1 - self.leave
        rows[2 * n :, k] = 1
        initial = np.zeros(k)
        initial[0], initial[n] = self.probability[0], 1 - self.probability[0]
        return MarkovString(
            symbols=symbols,
            initial=tuple(initial.tolist()),
            transitions=tuple(tuple(row) for row in rows.tolist()),
            max_new_tokens=n + 2,
        )


def planted() -> list[Source]:
    """Give the planted originals: without any window, with one, with several."""
    flat = np.full(LENGTH + 1, TOP)
    made = [
        _source("level", "none", np.full(LENGTH + 1, 0.9)),
        _source("drift", "none", np.linspace(0.1, 1, LENGTH + 1), end=0),
        _source("dips", "none", _dips(flat - 0.1, depth=0.15)),
        _source("teeth", "none", _teeth(flat - 0.25, height=TOOTH)),
        *(
            _source(f"{BELOW:g} over {w}", "none", flat - BELOW + _ramp(START, w) * BELOW)
            for w in WIDTHS[:3]
        ),
    ]
    for width in WIDTHS:
        for height in HEIGHTS:
            curve = flat - height + _ramp(START, width) * height
            made.append(_source(f"{height:g} over {width}", "one", curve))
    two = 0.15 + 0.4 * _ramp(25, 1) + 0.4 * _ramp(70, 5)
    made.append(_source("two rises", "several", two))
    again = 0.25 + 0.6 * _ramp(20, 1) - 0.6 * _ramp(45, 3) + 0.7 * _ramp(75, 3)
    made.append(_source("rise, fall, rise", "several", again))
    return made


def reference(forks: Forks) -> Source:
    """Take what very many forks gave as an original of which everything is known.

    Tokens that were not forked, because they weigh next to nothing, lead where the others do.
    """
    own = forks.own
    leave = forks.leave_values(own)
    return Source(forks.original_id, "embedded", forks.probability, leave, fork_levels(forks, own))


def true_stretches(curve: Floats, *, threshold: float, width: int) -> list[tuple[int, int]]:
    """Give the stretches in which a curve rises by more than a threshold over at most a width.

    Pairs that rise enough and hold no shorter one that does are put together where they overlap
    or touch.

    Returns:
        Disjoint (start, end), by position.
    """
    shortest: list[tuple[int, int]] = []
    for start, end in shortest_pairs(curve, threshold=threshold, width=width):
        if shortest and start <= shortest[-1][1]:
            shortest[-1] = shortest[-1][0], max(end, shortest[-1][1])
        else:
            shortest.append((start, end))
    return shortest


def shortest_pairs(curve: Floats, *, threshold: float, width: int) -> list[tuple[int, int]]:
    """Give the pairs (start, end) that rise enough and hold no other one, by position."""
    found: list[tuple[int, int]] = []
    for start in range(len(curve) - 1):
        # 1 less .8 is .2, whatever floating point says
        least = threshold + 1e-9
        rises = np.flatnonzero(curve[start + 1 : start + 1 + width] - curve[start] > least)
        if len(rises):
            end = start + 1 + int(rises[0])
            if found and found[-1][1] >= end:
                found.pop()
            found.append((start, end))
    return found


def _ramp(start: int, width: int) -> Floats:
    return np.clip((np.arange(LENGTH + 1) - start) / width, 0, 1)


def _dips(curve: Floats, *, depth: float) -> Floats:
    for start in (15, 45, 75):
        curve = curve - depth * (_ramp(start, 4) - _ramp(start + 6, 4))
    return curve


def _teeth(curve: Floats, *, height: float) -> Floats:
    for start in (12, 32, 52, 72):
        curve = curve + height * (_ramp(start, 1) - _ramp(start + 10, 1))
    return curve


def _source(name: str, kind: str, curve: Floats, *, end: int = END) -> Source:
    """Find a path with a curve: what is left leads nowhere where it rises, home where it falls."""
    if end:
        last = len(curve) - 1
        rise = np.clip((np.arange(len(curve)) - (last - end)) / end, 0, 1)
        curve = curve + rise * (1 - curve)
    before, after = curve[:-1], curve[1:]
    leave = np.where(after > before, 0.0, np.where(after < before, 1.0, after))
    gap = after - leave
    moved = np.abs(after - before) > 1e-12
    path = np.where(moved, (before - leave) / np.where(moved, gap, 1.0), 1.0)
    choice = ~moved & (np.arange(len(path)) % EVERY == 0)
    probability = np.where(choice, STAY, path)
    return Source(name, kind, probability, np.where(moved, leave, after), curve)
