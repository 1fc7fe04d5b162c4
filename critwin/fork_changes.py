"""Changes of a curve that was estimated from forks: which pairs can change, and by how much."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from critwin.changes import CELLS, CHEAP_SHARE, Changes, Column, Width, near_enough
from critwin.forks import ForkCurve, Forks

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def fork_changes(curve: ForkCurve, width: Width, above: float, error: float) -> Changes:
    """Bound every change that may be above a size; `error` is that of all at once."""
    choices, reduced = _choices(curve.forks)
    blocks = _Blocks.of(reduced, curve.label, choices)
    pairs, left_out, left_out_change = blocks.pairs(curve.length, width, above)
    j = max(len(pairs["start"]), 1)
    half = np.sqrt(math.log(2 * j / (CHEAP_SHARE * error)) / 2 * pairs.pop("squares"))
    pairs["lower"] = np.maximum(pairs["least"] - half, -1)
    pairs["upper"] = np.minimum(pairs["most"] + half, 1)
    small = replace(curve, forks=reduced)

    def sharp(start: Ints, end: Ints, level: float) -> tuple[Floats, Floats]:
        # tokens without a choice change nothing: positions are counted in choices
        at = np.searchsorted(choices, start), np.searchsorted(choices, end)
        return small.differences(*at, level=level)

    return Changes(
        pairs=pairs,
        length=curve.length,
        left_out=left_out,
        left_out_change=left_out_change,
        everywhere=True,
        error=error,
        sharp=sharp,
        batch=max(CELLS // max(len(choices), 1), 8),
    )


def fork_variance(curve: ForkCurve) -> Floats:
    """Give a rough variance of the curve at each position."""
    choices, reduced = _choices(curve.forks)
    variance = _Blocks.of(reduced, curve.label, choices).after[3]
    at: Floats = variance[np.searchsorted(choices, curve.position)]
    return at


def _choices(forks: Forks) -> tuple[Ints, Forks]:
    """Give the tokens with a choice, from 0, and the forks with nothing but them."""
    choices = np.flatnonzero(forks.probability < 1)
    reduced = replace(
        forks,
        probability=forks.probability[choices],
        counts=forks.counts[choices],
        length=int((choices < forks.length).sum()),
    )
    return choices, reduced


@dataclass(frozen=True)
class _Blocks:
    """What blocks of tokens with a choice add up to.

    A change is (1 - P) p_e less the leave values inside the block. Arrays have shape (K,) for the
    tokens, and (K + 1,) for what lies after the first k of them.

    Attributes:
        token: Number of the token, from 0.
        stay: Its probability.
        inside: What the token itself adds to a block's sums, one row per name in `_SUMS`.
        after: The same sums over all later tokens, and the path's own end.
    """

    token: Ints
    stay: Floats
    inside: Floats
    after: Floats

    @classmethod
    def of(cls, forks: Forks, label: str, token: Ints) -> _Blocks:
        pi, n = forks.probability, forks.trials
        hits, seen = forks.hits(label), n > 0
        d, leave = forks.leave_values(label), 1 - pi
        per = leave**2 / np.maximum(n, 1)
        smoothed = (hits + 1) / (n + 2)
        inside = np.stack(
            [
                np.where(seen, leave * d, 0.0),  # known leave values
                np.where(seen, 0.0, leave),  # weight of tokens that were not forked
                np.where(seen, per, 0.0),  # sum of squared weights of single draws
                np.where(seen, per * smoothed * (1 - smoothed), leave**2 / 12),  # rough variance
            ]
        )
        after = np.zeros((4, len(pi) + 1))
        after[0, -1] = float(label == forks.own)
        scale = np.stack([pi, pi, pi**2, pi**2])
        rest = after[:, -1].copy()
        for k in range(len(pi) - 1, -1, -1):
            rest = scale[:, k] * rest + inside[:, k]
            after[:, k] = rest
        own = forks.length
        return cls(token[:own], pi[:own], inside[:, :own], after[:, : own + 1])

    def pairs(
        self, length: int, width: Width, above: float
    ) -> tuple[dict[str, Column], int, float]:
        """Give the pairs that are near enough and may change enough; how many others may not."""
        count = len(self.token)
        path, sums = np.ones(count), np.zeros_like(self.inside)
        nats = np.zeros(count)
        surprisal = -np.log(np.maximum(self.stay, 1e-300))
        found: list[dict[str, Column]] = []
        left_out, largest = 0, 0.0
        for step in range(count):
            size = count - step
            path, sums, nats = path[:size], sums[:, :size], nats[:size]
            here = self.inside[:, step:]
            sums = sums + np.stack([path, path, path**2, path**2]) * here
            path, nats = path * self.stay[step:], nats + surprisal[step:]
            tokens = self.token[step:] + 1 - self.token[:size]
            near = near_enough(tokens, nats, length, width) | (step == 0)
            if not near.any():
                break
            change = 1 - path
            # sums of rounded numbers: a block on the threshold is looked at rather than left out
            enough = near & (change > above * (1 - 1e-12))
            left = near & ~enough
            left_out += int(left.sum())
            largest = max(largest, float(change[left].max(initial=0.0)))
            i = np.flatnonzero(enough)
            found.append(self._described(i, step, change[i], sums[:, i], nats[i]))
        names = ("start", "end", "nats", "change", "error", "least", "most", "squares")
        none = [np.zeros(0)]
        made = {name: np.concatenate([one[name] for one in found] or none) for name in names}
        return made, left_out, largest

    def _described(
        self, i: Ints, step: int, leave: Floats, sums: Floats, nats: Floats
    ) -> dict[str, Column]:
        known, unknown, squares, variance = self.after[:, i + step + 1]
        least = leave * known - sums[0] - sums[1]
        most = leave * (known + unknown) - sums[0]
        return {
            "start": self.token[i],
            "end": self.token[i + step] + 1,
            "nats": nats,
            "change": (least + most) / 2,
            "error": np.sqrt(leave**2 * variance + sums[3]),
            "least": least,
            "most": most,
            "squares": leave**2 * squares + sums[2],
        }
