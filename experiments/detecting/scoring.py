"""How windows that were found stand to those that are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from critwin.errors import ParameterError
from critwin.window import Window
from experiments.detecting.sources import Source, shortest_pairs, true_stretches

CLEAR = 1.5
"""A rise of so many times the threshold is clear of it: one just above it cannot be told for
certain from one just below it, by any rule."""


@dataclass
class Tally:
    """Counts over the trajectories of one cell.

    Attributes:
        trajectories: How many were searched.
        true: Stretches that rise above the threshold over at most the width.
        found: Those of them that a window meets.
        within: Those that a window meets which is no wider than what was asked for.
        pinned: Those that a window meets whose place is no wider than what was asked for.
        clear: Stretches in which it rises by `CLEAR` times the threshold over at most the width.
        clear_within: Those of them that a window meets which is no wider than what was asked for.
        windows: Windows that were given; only rises are.
        false: Windows that meet no such stretch, or are shorter than any can be.
        alarmed: Trajectories with a false window.
        error: Sum over the other windows of the distance between the middles of window and stretch.
        placed: Windows, of those, whose place holds the whole of a shortest true rise.
        height: Windows whose interval holds the true change between their ends.
        tokens: Tokens generated.
    """

    trajectories: int = 0
    true: int = 0
    found: int = 0
    within: int = 0
    pinned: int = 0
    clear: int = 0
    clear_within: int = 0
    windows: int = 0
    false: int = 0
    alarmed: int = 0
    error: float = 0.0
    placed: int = 0
    height: int = 0
    tokens: int = 0

    def row(self) -> dict[str, float]:
        """Give the counts by name."""
        return asdict(self)


@dataclass(frozen=True)
class Truth:
    """What is there to be found in an original.

    Attributes:
        source: The original.
        stretches: Stretches that rise enough.
        pairs: The shortest pairs that do.
        clear: Whether each stretch rises by `CLEAR` times the threshold.
        max_width: Over at most so many tokens.
        least: A window of fewer tokens is false wherever it is.
    """

    source: Source
    stretches: Sequence[tuple[int, int]]
    pairs: Sequence[tuple[int, int]]
    clear: Sequence[bool]
    max_width: float
    least: int = 0

    @classmethod
    def of(cls, source: Source, *, threshold: float, max_width: float) -> Truth:
        """Look it up on the true curve.

        Raises:
            ParameterError: The width is below a token.
        """
        if max_width < 1:
            raise ParameterError("max_width", max_width, "a number of tokens >= 1")
        width = int(max_width)
        stretches = true_stretches(source.curve, threshold=threshold, width=width)
        # "over at least": what rises by exactly so much is clear, whatever floating point says
        large = shortest_pairs(source.curve, threshold=CLEAR * threshold - 1e-6, width=width)
        return cls(
            source,
            stretches,
            shortest_pairs(source.curve, threshold=threshold, width=width),
            [any(s < end and start < e for s, e in large) for start, end in stretches],
            max_width,
        )


def score(truth: Truth, windows: Sequence[Window], tokens: int, tally: Tally) -> None:
    """Add what a rule gave for one trajectory to a tally."""
    rises = [w for w in windows if w.direction == "rise"]
    met: set[int] = set()
    within: set[int] = set()
    pinned: set[int] = set()
    false = 0
    for w in rises:
        at = [i for i, one in enumerate(truth.stretches) if _share(w, one)]
        met |= set(at)
        within |= set(at) if w.position_end - w.position_start <= truth.max_width else set()
        pinned |= set(at) if w.place_upper - w.place_lower <= truth.max_width else set()
        change = truth.source.curve[w.position_end] - truth.source.curve[w.position_start]
        tally.height += bool(w.jump_lower - 1e-9 <= change <= w.jump_upper + 1e-9)
        if not at or w.position_end - w.position_start < truth.least:
            false += 1
            continue
        middle = (w.position_start + w.position_end) / 2
        tally.error += min(abs(middle - sum(truth.stretches[i]) / 2) for i in at)
        tally.placed += any(w.place_lower <= s and e <= w.place_upper for s, e in truth.pairs)
    tally.trajectories += 1
    tally.true += len(truth.stretches)
    tally.found += len(met)
    tally.within += len(within)
    tally.pinned += len(pinned)
    tally.clear += sum(truth.clear)
    tally.clear_within += sum(truth.clear[i] for i in within)
    tally.windows += len(rises)
    tally.false += false
    tally.alarmed += false > 0
    tally.tokens += tokens


def _share(window: Window, stretch: tuple[int, int]) -> bool:
    return window.position_start < stretch[1] and stretch[0] < window.position_end
