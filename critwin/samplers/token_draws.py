"""Rows of a batch that draw their next tokens together, each with its own random numbers."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from critwin.generation import FinishReason
from critwin.samplers.token_law import NO_TOKEN, Drawn, Row, TokenLaw, surprisals_of
from critwin.seeds import uniforms

if TYPE_CHECKING:
    import torch

GOING, END, STOP, LENGTH = range(4)
"""What has become of a row."""

REASONS: dict[int, FinishReason] = {END: "end", STOP: "stop", LENGTH: "length"}


class TokenDraws:
    """What the rows of a batch have drawn so far.

    A row is a slot: it is given a draw of a request, draws a token per step, and is given another
    one when it has finished. Which numbers a draw uses depends on its seed and its tokens alone.
    Nothing in a step waits for the device: random numbers are brought there for several steps at
    once. `admit`, `select`, `finished` and `take` wait.

    Attributes:
        slots: Number of rows, B.
        next: Tokens drawn last, shape (B, 1).
    """

    def __init__(
        self,
        slots: int,
        width: int,
        law: TokenLaw,
        *,
        vocabulary: int,
        device: torch.device,
        ahead: int = 8,
    ) -> None:
        """Make empty rows.

        Args:
            slots: B.
            width: Tokens that a row may draw before it is given back.
            law: What is drawn from.
            vocabulary: V.
            device: Where the logits are.
            ahead: Steps for which random numbers are brought there at once, >= 1.
        """
        import torch

        self.slots, self.law, self.device, self.ahead = slots, law, device, ahead
        self.numbers: deque[torch.Tensor] = deque()
        self.seeds = np.zeros(slots, dtype=np.uint64)
        self.step_of = np.zeros(slots, dtype=np.uint64)
        self.fresh: list[int] = []
        self.tokens = torch.zeros((slots, width), dtype=torch.int64, device=device)
        self.surprisal = torch.zeros((slots, width), device=device, dtype=torch.float64)
        self.age = torch.zeros(slots, dtype=torch.int64, device=device)
        self.length = torch.zeros(slots, dtype=torch.int64, device=device)
        self.budget = torch.ones(slots, dtype=torch.int64, device=device)
        self.reason = torch.full((slots,), LENGTH, device=device)
        self.certain = torch.zeros(slots, dtype=torch.bool, device=device)
        self.excluded = torch.full((slots,), -1, device=device)
        self.end_ids = torch.tensor(law.end_ids, device=device)
        self.tail = torch.full((slots, law.reach), NO_TOKEN, device=device)
        shape = (slots, vocabulary) if law.remembers else (0, 0)
        self.seen = torch.zeros(shape, dtype=torch.bool, device=device)
        self.next = torch.zeros((slots, 1), dtype=torch.int64, device=device)

    def admit(self, slots: Sequence[int], rows: Sequence[Row]) -> None:
        """Give slots new rows."""
        import torch

        at = torch.tensor(slots, dtype=torch.int64, device=self.device)
        self.numbers.clear()
        self.seeds[slots] = [row.request.seeds[row.draw] for row in rows]
        self.step_of[slots] = [row.kept for row in rows]
        budget = [row.left for row in rows]
        excluded = [-1 if (token := row.request.excluded) is None else token for row in rows]
        given = torch.tensor([budget, excluded], device=self.device)
        self.budget[at], self.excluded[at] = given[0], given[1]
        self.age[at] = self.length[at] = self.reason[at] = 0
        self.certain[at] = False
        if self.law.stop:
            reach = self.law.reach
            ids = [row.request.sample_ids[max(row.kept - reach, 0) : row.kept] for row in rows]
            tails = [[NO_TOKEN] * (reach - len(own)) + list(own) for own in ids]
            self.tail[at] = torch.tensor(tails, device=self.device)
        if self.law.remembers:
            self.seen[at] = False
            for slot, row in zip(slots, rows, strict=True):
                self.seen[slot, torch.tensor(row.request.ids[: row.start], device=self.device)] = (
                    True
                )
        self.fresh += [slot for slot, token in zip(slots, excluded, strict=True) if token >= 0]

    def step(self, logits: torch.Tensor) -> None:
        """Draw the next token of every row, by inversion of its distribution.

        Args:
            logits: Shape (B, V).
        """
        import torch

        number = self._numbers()
        log_probabilities = self.law.log_probabilities(
            logits, self.seen if self.law.remembers else None
        )
        probabilities = log_probabilities.to(torch.float64, copy=True).exp_()
        if self.fresh:
            self._exclude(probabilities)
        cumulative = probabilities.cumsum_(dim=1)
        target = number[:, None] * cumulative[:, -1:]
        token = torch.searchsorted(cumulative, target, right=True)
        token.clamp_(max=cumulative.shape[1] - 1)
        column = self.age[:, None].clamp(max=self.tokens.shape[1] - 1)
        self.tokens.scatter_(1, column, token)
        self.surprisal.scatter_(1, column, surprisals_of(log_probabilities, token))
        self.next = token
        self._note_ends()

    def _numbers(self) -> torch.Tensor:
        """Give the random numbers of the next step, shape (B,)."""
        import torch

        if not self.numbers:
            steps = self.step_of + np.arange(self.ahead, dtype=np.uint64)[:, None]
            made = torch.from_numpy(uniforms(self.seeds, steps)).to(self.device)
            self.numbers.extend(made.unbind())
        self.step_of += np.uint64(1)
        return self.numbers.popleft()

    def _exclude(self, probabilities: torch.Tensor) -> None:
        """Take away the token that forks have to leave, at their first draw."""
        import torch

        rows = torch.tensor(self.fresh, device=self.device)
        probabilities[rows, self.excluded[rows]] = 0.0
        self.certain[rows] = probabilities[rows].sum(dim=1) == 0
        self.fresh = []

    def _note_ends(self) -> None:
        """Note which rows have ended with the token just drawn, and why."""
        import torch

        token = self.next
        self.age += 1
        reason = torch.where(self.age >= self.budget, LENGTH, GOING)
        if self.law.stop:
            self.tail = torch.cat([self.tail[:, 1:], token], dim=1)
            reason = torch.where(self.law.stops(self.tail, None), STOP, reason)
        reason = torch.where(torch.isin(token[:, 0], self.end_ids), END, reason)
        going = self.reason == GOING
        self.length = torch.where(going, self.age, self.length)
        self.reason = torch.where(going, reason, self.reason)
        if self.law.remembers:
            self.seen.scatter_(1, token, True)

    def finished(self) -> list[int]:
        """Give the slots that are not drawing; those never used are among them."""
        slots: list[int] = (self.reason != GOING).nonzero()[:, 0].tolist()
        return slots

    def take(self, slots: Sequence[int]) -> list[Drawn]:
        """Give what finished rows have drawn.

        Raises:
            ValueError: A row was to leave a token that the sampler was sure to give.
        """
        import torch

        at = torch.tensor(slots, dtype=torch.int64, device=self.device)
        facts = torch.stack([self.length[at], self.reason[at], self.certain[at].long()]).tolist()
        longest = max(facts[0], default=0)
        tokens = self.tokens[at, :longest].tolist()
        surprisal = self.surprisal[at, :longest].tolist()
        found = []
        for i, (n, reason, certain) in enumerate(zip(*facts, strict=True)):
            if certain:
                place = int(self.step_of[slots[i]]) - int(self.age[slots[i]]) + 1
                raise ValueError(f"token {place} had probability 1: there is nothing to fork to")
            found.append(Drawn(tuple(tokens[i][:n]), tuple(surprisal[i][:n]), REASONS[reason]))
        return found

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order."""
        import torch

        at = torch.tensor(rows, device=self.device)
        self.numbers.clear()
        self.slots = len(rows)
        self.seeds, self.step_of = self.seeds[list(rows)], self.step_of[list(rows)]
        for name in ("tokens", "surprisal", "age", "length", "budget", "reason", "certain"):
            setattr(self, name, getattr(self, name)[at])
        self.excluded, self.tail, self.next = self.excluded[at], self.tail[at], self.next[at]
        if self.law.remembers:
            self.seen = self.seen[at]
