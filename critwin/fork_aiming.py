"""Forks that are aimed at windows: a pilot in rounds says where, and the main stage measures there.

Forks that make a whole curve precise seldom certify a window: they are everywhere, and a search
that may find it anywhere pays for everywhere. Where it may be is cheap to learn. So a pilot looks
at every run of the path, then again where a window is possible, and then the plan is fixed: a
short list of pairs, and the forks that each needs. The main stage's labels know nothing of how the
list was made, so the search pays for the pairs of the list only (critwin/fork_changes.py), and
every estimate is as unbiased as with any other numbers that were fixed beforehand.

Source: DESIGN.md, section 8: one half finds and the other measures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from critwin.changes import AIMED_SHARE, AimedPair, Sought
from critwin.fork_allocation import Wish, allocate
from critwin.fork_blocks import Blocks
from critwin.fork_expectation import Expectation
from critwin.fork_prospects import Prospects, Runs, prospects
from critwin.seeds import fold_in

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FIRST_SHARE = 0.2
"""Share of the tokens with which the pilot looks at every run."""

LATER_SHARES = (0.08, 0.08, 0.08)
"""Shares with which it looks again, at most."""

MOST_EACH = 4
"""Forks that a pair gets in a later round of the pilot, and a run in the first at most."""

ELSEWHERE_SHARE = 0.05
"""Share of the tokens of the main stage that goes to the whole path."""

LEAST_FORKS = 2.0
"""Neighbouring runs are forked as one where each would get fewer."""

MOST_PAIRS = 12
"""Length of the list at most."""

LEAST_CHANCE = 0.05
"""A pair enters the list where it is certified with this chance at least."""

_STEPS = np.geomspace(0.03, 1, 24)
"""Shares of the tokens that a pair may be given."""

_USUAL_PAIRS = 3
"""Pairs that the evidence needed is reckoned for."""


@dataclass(frozen=True)
class Task:
    """What forks of one original are to be aimed at.

    Attributes:
        probability: pi_u, shape (n,).
        cost: Expected tokens of a fork at u, shape (n,).
        end: Whether the original has the label.
        sought: What the window rule asks for.
        tokens: Expected tokens of all forks, the pilot's among them.
        seed: Seed of the original's forks.
    """

    probability: Floats
    cost: Floats
    end: bool
    sought: Sought
    tokens: float
    seed: int

    def runs(self) -> Runs:
        """Cut the path."""
        return Runs.of(self.probability, self.cost, self.sought)


@dataclass(frozen=True)
class Numbers:
    """Forks that are to be drawn.

    Attributes:
        blocks: Runs over which they are spread.
        forks: Number of each, shape (blocks,).
    """

    blocks: Blocks
    forks: Ints


@dataclass(frozen=True)
class Aimed:
    """The plan of the main stage.

    Attributes:
        numbers: Its forks.
        pairs: The list, by position; empty where no window seemed possible.
        windows: Windows that are expected to be certified.
    """

    numbers: Numbers
    pairs: tuple[AimedPair, ...]
    windows: float


def first_look(task: Task) -> Numbers:
    """Give the first round of the pilot: forks everywhere, more where more can be decided.

    Where the tokens do not pay for a fork of each run every other run gets one, or fewer.
    """
    if not (task.probability < 1).any():
        return Numbers(Blocks(np.array([0, len(task.probability)])), np.zeros(1, np.int64))
    runs = task.runs()
    numbers = _scaled(np.sqrt(runs.leave), runs.cost, FIRST_SHARE * task.tokens)
    begin = np.random.default_rng(fold_in(task.seed, "aim", "first")).random()
    reached = np.floor(np.cumsum(np.minimum(numbers, MOST_EACH)) + begin).astype(np.int64)
    return Numbers(runs.blocks, np.diff(reached, prepend=0))


def next_look(
    task: Task, hits: npt.ArrayLike, trials: npt.ArrayLike, *, spent: float, turn: int
) -> Numbers | None:
    """Give a later round of the pilot: forks where it matters most whether a window is there.

    Args:
        task: What is aimed at.
        hits: Forks so far at each token that ended in the label, shape (n,).
        trials: Forks so far.
        spent: Tokens so far.
        turn: Number of the round, from 0.

    Returns:
        The numbers; None where nothing is to be learnt, and after the last round.
    """
    if turn >= len(LATER_SHARES) or not (task.probability < 1).any():
        return None
    found = _prospects(task, hits, trials, turn)
    chance = found.chance(task.tokens - spent, needed_evidence())
    value = chance * (1 - chance) * found.doubt
    left, runs = LATER_SHARES[turn] * task.tokens, found.runs
    cuts, forks = {0, len(task.probability)}, []
    while len(value) and value.max() > 0:
        j = int(value.argmax())
        number = min(MOST_EACH, int(left // found.inside_cost[j]))
        if number < 1:
            break
        left -= number * found.inside_cost[j]
        forks.append((int(runs.blocks.bounds[found.first[j]]), number))
        cuts |= {forks[-1][0], int(runs.blocks.bounds[found.last[j] + 1])}
        value[(found.start < found.end[j]) & (found.start[j] < found.end)] = 0
    if not forks:
        return None
    bounds = np.array(sorted(cuts), np.int64)
    numbers = np.zeros(len(bounds) - 1, np.int64)
    for begin, number in forks:
        numbers[np.searchsorted(bounds, begin)] = number
    return Numbers(Blocks(bounds), numbers)


def plan_main(
    task: Task,
    hits: npt.ArrayLike,
    trials: npt.ArrayLike,
    spent: float,
    expected: Expectation,
    wish: Wish,
) -> Aimed:
    """Plan the main stage: aimed where a window seems possible, else for a precise curve.

    Args:
        task: What is aimed at.
        hits: Forks of the pilot at each token that ended in the label, shape (n,).
        trials: Forks of the pilot.
        spent: Its tokens.
        expected: What it lets expect of a curve.
        wish: What is wanted of a curve; no more tokens are spent than are left.
    """
    aimed = take_aim(task, hits, trials, spent=spent)
    if aimed is not None:
        return aimed
    (plan,) = allocate([expected], replace(wish, max_tokens=max(task.tokens - spent, 0.0)))
    return Aimed(Numbers(expected.blocks, plan.forks), (), 0.0)


def take_aim(
    task: Task, hits: npt.ArrayLike, trials: npt.ArrayLike, *, spent: float
) -> Aimed | None:
    """Plan the main stage: the pairs at which it pays to aim, and the forks that they need.

    Args:
        task: What is aimed at.
        hits: Forks of the pilot at each token that ended in the label, shape (n,).
        trials: Forks of the pilot.
        spent: Its tokens.

    Returns:
        The plan; None where no window seems possible, so that there is nothing to aim at.
    """
    if not (task.probability < 1).any():
        return None
    found = _prospects(task, hits, trials, len(LATER_SHARES))
    tokens = max(task.tokens - spent, 0.0)
    chosen = _chosen(found, (1 - ELSEWHERE_SHARE) * tokens)
    if not chosen:
        return None
    runs = found.runs
    needs = np.zeros(len(runs.start))
    for j, given, _ in chosen:
        inside, after = runs.weights(int(found.first[j]), int(found.last[j]))
        weight = found.share_inside(j, given, needed_evidence())
        needs_j = weight * given / found.inside_cost[j] * inside
        if found.after_cost[j] > 0:
            needs_j = needs_j + (1 - weight) * given / found.after_cost[j] * after
        needs = np.maximum(needs, needs_j)
    forks = _scaled(needs, runs.cost, (1 - ELSEWHERE_SHARE) * tokens)
    forks += _scaled(_everywhere(runs), runs.cost, ELSEWHERE_SHARE * tokens)
    pairs = sorted(
        (int(found.start[j]), int(found.end[j]), bool(found.rise[j])) for j, _, _ in chosen
    )
    cuts = {at for start, end, _ in pairs for at in (start, end)}
    return Aimed(
        _joined(runs, forks, cuts),
        tuple(AimedPair(*pair) for pair in pairs),
        float(sum(chance for _, _, chance in chosen)),
    )


def _prospects(task: Task, hits: npt.ArrayLike, trials: npt.ArrayLike, turn: int) -> Prospects:
    return prospects(
        task.runs(),
        hits,
        trials,
        end=task.end,
        sought=task.sought,
        seed=fold_in(task.seed, "aim", turn),
    )


def needed_evidence() -> float:
    """Give the nats of evidence that a certificate needs, about."""
    return math.log(_USUAL_PAIRS / (AIMED_SHARE * 0.05)) + 0.5


def _chosen(found: Prospects, tokens: float) -> list[tuple[int, float, float]]:
    """Choose disjoint pairs with the tokens of each and its chance: the best value first."""
    sizes = _STEPS * tokens
    chance = found.chance(sizes, needed_evidence()) if len(found) else np.zeros((0, len(sizes)))
    value = np.where(chance >= LEAST_CHANCE, chance / sizes if tokens > 0 else 0.0, 0.0)
    chosen: list[tuple[int, float, float]] = []
    left = tokens
    while len(chosen) < MOST_PAIRS and value.size:
        value[:, sizes > left * (1 + 1e-9)] = 0
        j, at = np.unravel_index(int(value.argmax()), value.shape)
        if value[j, at] <= 0:
            break
        chosen.append((int(j), float(sizes[at]), float(chance[j, at])))
        left -= float(sizes[at])
        value[(found.start < found.end[j]) & (found.start[j] < found.end)] = 0
    return chosen


def _everywhere(runs: Runs) -> Floats:
    """Give numbers of forks in the proportion that makes the whole curve precise (Neyman's)."""
    squares, before = np.empty(len(runs.start)), 0.0
    for b, leave in enumerate(runs.leave.tolist()):
        before += 1
        squares[b] = leave**2 * before
        before *= (1 - leave) ** 2
    numbers: Floats = np.sqrt(squares / np.maximum(runs.cost, 1.0))
    return numbers


def _scaled(numbers: Floats, cost: Floats, tokens: float) -> Floats:
    scaled: Floats = numbers * (tokens / max(float(numbers @ cost), 1e-300))
    return scaled


def _joined(runs: Runs, forks: Floats, cuts: set[int]) -> Numbers:
    """Join runs with few forks, never over the end of a pair, and round so that the sum stays."""
    bounds, numbers, held = [0], [], 0.0
    last = len(forks) - 1
    for b, own in enumerate(forks.tolist()):
        held += own
        edge = b == last or int(runs.end[b]) in cuts or int(runs.start[b + 1]) in cuts
        if held >= LEAST_FORKS or edge:
            bounds.append(int(runs.blocks.bounds[b + 1]))
            numbers.append(held)
            held = 0.0
    reached = np.floor(np.cumsum(numbers) + 0.5).astype(np.int64)
    return Numbers(Blocks(np.array(bounds, np.int64)), np.diff(reached, prepend=0))
