"""A batch through which draws go: a row that has finished leaves, a waiting one enters."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from critwin.samplers.token_draws import TokenDraws
from critwin.samplers.token_law import Drawn, Row, TokenLaw

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from critwin.samplers.shared_attention import SharedRows
    from critwin.samplers.teacher_forcing import Sequenced, SequenceStore

PER_GROUP = 32
"""Rows that share one sequence's keys and values in a product."""

STRIDE = {"cpu": 2}
"""Steps between two looks at who has finished; looking makes a GPU wait."""

STRIDE_ELSEWHERE = 8

PACK_BELOW = 0.75
"""Rows are packed together when no draws wait and no more than this share of them is drawing."""


class Decoding(Protocol):
    """What a stream needs of the engine: the model's steps, and sequences that were run."""

    store: SequenceStore

    def forward(self, ids: Tensor, rows: SharedRows) -> Tensor:
        """Feed one token to each row; give the logits after it."""


@dataclass
class Family:
    """Draws that wait, all of them beginning inside of one sequence."""

    ids: tuple[int, ...]
    waiting: deque[Row] = field(default_factory=deque)


class Stream:
    """One batch through which all waiting draws go."""

    def __init__(
        self,
        engine: Decoding,
        device: torch.device,
        families: Sequence[Family],
        law: TokenLaw,
        limit: int,
    ) -> None:
        from critwin.samplers.shared_attention import SharedRows

        self.engine, self.law = engine, law
        self.families = list(families)
        self.device = device
        self.stride = STRIDE.get(self.device.type, STRIDE_ELSEWHERE)
        per_group = min(PER_GROUP, limit, max(len(f.waiting) for f in families))
        needed = sum(-(-len(f.waiting) // per_group) for f in families)
        groups = max(1, min(limit // per_group, needed))
        self.shared = SharedRows(groups, per_group, self.device)
        self.owner: list[Family | None] = [None] * groups
        self.work: list[Row | None] = [None] * (groups * per_group)
        self.states: dict[tuple[int, ...], Sequenced] = {}

    def finish(self) -> Iterator[tuple[Row, Drawn]]:
        """Decode to the end and give each row as it finishes."""
        width = max(row.left for family in self.families for row in family.waiting) + self.stride
        first = self._state(self.families[0])
        self.draws = TokenDraws(
            len(self.work),
            width,
            self.law,
            vocabulary=first.logits.shape[1],
            device=self.device,
            ahead=self.stride,
        )
        self.logits = first.logits.new_zeros((len(self.work), first.logits.shape[1]))
        while True:
            ended = [slot for slot in self.draws.finished() if self.work[slot] is not None]
            for slot, drawn in zip(ended, self.draws.take(ended), strict=True):
                row = self.work[slot]
                assert row is not None
                self.work[slot] = None
                yield row, drawn
            self._arrange()
            if not any(self.work):
                return
            self.shared.look(self._going())
            for _ in range(self.stride):
                self.draws.step(self.logits)
                self.logits = self.engine.forward(self.draws.next, self.shared)

    def _arrange(self) -> None:
        """Let waiting draws enter if it is time, or put the remaining rows close together."""
        self.families = [family for family in self.families if family.waiting]
        if self.families:
            self._admit()
            return
        by_group = Counter(slot // self.shared.per_group for slot in self._going())
        most = max(by_group.values(), default=0)
        if 0 < len(by_group) * most <= PACK_BELOW * len(self.work):
            self._lay_out(most)

    def _going(self) -> list[int]:
        return [slot for slot, row in enumerate(self.work) if row is not None]

    def _lay_out(self, per_group: int) -> None:
        """Bring the rows that are drawing into groups of so many rows."""
        size = self.shared.per_group
        by_group: dict[int, list[int]] = {}
        for slot in self._going():
            by_group.setdefault(slot // size, []).append(slot)
        rows: list[int] = []
        for group, own in by_group.items():
            idle = [slot for slot in range(group * size, (group + 1) * size) if slot not in own]
            rows += (own + idle)[:per_group]
        self.owner = [self.owner[group] for group in by_group]
        self.work = [self.work[row] for row in rows]
        self.shared.select(list(by_group), rows, per_group)
        self.draws.select(rows)
        self.logits = self.logits[rows]

    def _admit(self) -> None:
        """Give free slots waiting draws: of their group's sequence, or of the next one."""
        slots: list[int] = []
        size = self.shared.per_group
        for group in range(self.shared.groups):
            own = range(group * size, (group + 1) * size)
            free = deque(slot for slot in own if self.work[slot] is None)
            family = self.owner[group]
            if len(free) == size and (family is None or not family.waiting):
                family = self._next(group)
            while free and family is not None and family.waiting:
                slots.append(free.popleft())
                self.work[slots[-1]] = family.waiting.popleft()
        if slots:
            self._begin(slots)

    def _next(self, group: int) -> Family | None:
        """Load a sequence that draws wait for into a group: the one with most draws per group.

        So all sequences are worked through together, from their early cuts to their late ones, and
        the rows of a batch have similar ages: the columns between them are few.
        """
        waiting = [f for f in self.families if f.waiting][: len(self.owner)]
        busy = Counter(id(f) for f in self.owner)
        family = max(waiting, key=lambda f: len(f.waiting) / (1 + busy[id(f)]), default=None)
        if family is not None:
            state = self._state(family)
            self.shared.load(group, state.keys, state.values)
        self.owner[group] = family
        return family

    def _state(self, family: Family) -> Sequenced:
        """Give a family's sequence; those of the next ones are run beside it."""
        if family.ids not in self.states:
            coming = [f.ids for f in self.families if f.waiting][: len(self.owner)]
            in_use = {f.ids for f in self.owner if f is not None}
            self.states = {ids: state for ids, state in self.states.items() if ids in in_use}
            wanted = [ids for ids in dict.fromkeys([family.ids, *coming]) if ids not in in_use]
            self.states |= zip(wanted, self.engine.store.of(wanted), strict=True)
        return self.states[family.ids]

    def _begin(self, slots: list[int]) -> None:
        """Let slots begin where their requests were cut: the first logits are known there."""
        import torch

        rows, logits = [], []
        for slot in slots:
            family, row = self.owner[slot // self.shared.per_group], self.work[slot]
            assert family is not None
            assert row is not None
            rows.append(row)
            logits.append(self._state(family).logits[row.start - 1])
        self.logits[torch.tensor(slots, device=self.device)] = torch.stack(logits)
        self.draws.admit(slots, rows)
        self.shared.admit(
            slots,
            starts=[row.start for row in rows],
            ends=[row.start + row.left for row in rows],
        )


def families_of(rows: Sequence[Row]) -> list[Family]:
    """Put rows that begin inside of one sequence together; the longest sequences come first.

    A sequence stands right before those that it begins when they are sorted.
    """
    found: list[Family] = []
    at: dict[tuple[int, ...], Family] = {}
    ids_of = {row.number: row.request.ids for row in rows}
    for ids in sorted(set(ids_of.values()), reverse=True):
        if not found or found[-1].ids[: len(ids)] != ids:
            found.append(Family(ids))
        at[ids] = found[-1]
    # those that have most to draw begin first
    for row in sorted(rows, key=lambda row: row.start):
        at[ids_of[row.number]].waiting.append(row)
    return sorted(found, key=lambda family: len(family.ids), reverse=True)


def shares(families: Sequence[Family], count: int) -> list[list[Family]]:
    """Deal the rows of every family out, so that all shares are worked off in the same time."""
    parts: list[list[Family]] = [[] for _ in range(count)]
    dealt = 0
    for family in families:
        own = [Family(family.ids) for _ in parts]
        for row in family.waiting:
            own[dealt % count].waiting.append(row)
            dealt += 1
        for part, mine in zip(parts, own, strict=True):
            if mine.waiting:
                part.append(mine)
    return parts
