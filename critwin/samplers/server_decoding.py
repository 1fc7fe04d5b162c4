"""Draws continuations of many prefixes through a server: what `Engine` is for a model in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from critwin.errors import ModelError
from critwin.generation import FinishReason
from critwin.samplers.following import endings
from critwin.samplers.server_probe import Server
from critwin.samplers.server_protocol import Answer, Wanted, body, read
from critwin.samplers.server_text import ServedText
from critwin.samplers.token_draws import GOING, REASONS
from critwin.samplers.token_law import Drawn, Request, TokenLaw
from critwin.seeds import uniforms

AT_ONCE = 64
"""Requests under way at once where no number is set: a server's batch is full with them."""

UNCOVERED = 1e-4
"""Probability that log-probabilities may leave out by rounding: they are float32."""


@dataclass(frozen=True)
class Ask:
    """One draw.

    Attributes:
        prompt_ids: Token ids of the prompt.
        sample_ids: Token ids of the sample that stand before what is drawn.
        room: Tokens at most, >= 1.
        seed: Its seed.
        family: Those with the same one begin alike; they are sent side by side.
    """

    prompt_ids: tuple[int, ...]
    sample_ids: tuple[int, ...]
    room: int
    seed: int
    family: int

    @property
    def ids(self) -> tuple[int, ...]:
        """Prompt and sample."""
        return self.prompt_ids + self.sample_ids


@dataclass(frozen=True, kw_only=True)
class ServerDecoder:
    """Decodes through one server.

    Attributes:
        server: The server.
        local: Its checkpoint's tokenizer.
        law: What tokens are drawn from.
        concurrency: Requests under way at once; None finds what fits the server.
    """

    server: Server
    local: ServedText
    law: TokenLaw
    concurrency: int | None

    def decode(self, requests: Sequence[Request]) -> list[list[Drawn]]:
        """Draw continuations; see `Engine.decode`.

        Raises:
            ModelError: The server refuses, does not answer, or cannot do what was asked.
            ValueError: A request excludes a token that had probability 1.
        """
        families: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
        begun = [
            [Drawn((), (), "length") for _ in request.seeds]
            if request.excluded is None
            else self._leave(request, first)
            for request, first in zip(requests, self._first_laws(requests), strict=True)
        ]
        asks: dict[tuple[int, int], Ask] = {}
        for number, (request, heads) in enumerate(zip(requests, begun, strict=True)):
            family = families.setdefault((request.prompt_ids, request.sample_ids), len(families))
            for draw, (head, seed) in enumerate(zip(heads, request.seeds, strict=True)):
                kept = request.sample_ids[: request.kept] + head.token_ids
                room = request.limit - len(kept)
                if not head.token_ids or (room > 0 and self._end(kept) is None):
                    asks[number, draw] = Ask(request.prompt_ids, kept, room, seed, family)
        drawn = dict(zip(asks, self._draw([*asks.values()]), strict=True))
        return [
            [
                self._behind(head, drawn.get((number, draw)), request)
                for draw, head in enumerate(begun[number])
            ]
            for number, request in enumerate(requests)
        ]

    def _behind(self, head: Drawn, tail: Drawn | None, request: Request) -> Drawn:
        """Put what the server drew behind the token that was drawn here."""
        if tail is None:
            kept = request.sample_ids[: request.kept] + head.token_ids
            return replace(head, finish_reason=self._end(kept) or "length")
        ids, nats = head.token_ids + tail.token_ids, head.surprisal + tail.surprisal
        return Drawn(ids, nats, tail.finish_reason)

    def _first_laws(self, requests: Sequence[Request]) -> list[dict[int, float]]:
        """Ask for the distribution of the next token of requests that exclude one.

        Raises:
            ModelError: The server does not tell all of it.
        """
        leaving = [i for i, request in enumerate(requests) if request.excluded is not None]
        asks = [
            Ask(requests[i].prompt_ids, requests[i].sample_ids[: requests[i].kept], 1, 0, 0)
            for i in leaving
        ]
        laws: list[dict[int, float]] = [{} for _ in requests]
        for i, answer in zip(leaving, self._answers(asks, law=True), strict=True):
            laws[i] = dict(answer.first or {})
            left = 1 - sum(math.exp(value) for value in laws[i].values())
            if left > UNCOVERED and self.law.temperature > 0:
                raise ModelError(
                    f"the server's {self.server.logprobs} log-probabilities (model.logprobs) leave "
                    f"out {left:.3f} of what token {requests[i].kept + 1} is drawn from, as where "
                    f"several tokens share rank top_k={self.law.top_k}: forks through it would not "
                    "be exact; set model.logprobs higher, with vLLM's --max-logprobs, or write "
                    "sampler=fractions"
                )
        return laws

    def _leave(self, request: Request, law: dict[int, float]) -> list[Drawn]:
        """Draw, for each seed, a first token that is not the excluded one.

        Raises:
            ValueError: There is none.
        """
        others = sorted(token for token in law if token != request.excluded)
        mass = np.cumsum([math.exp(law[token]) for token in others])
        certain = self.law.temperature == 0 or law.get(request.excluded or 0, -math.inf) >= 0
        if certain or not others or mass[-1] <= 0:
            place = request.kept + 1
            raise ValueError(f"token {place} had probability 1: there is nothing to fork to")
        numbers = uniforms(np.array(request.seeds, np.uint64), np.uint64(request.kept))
        at = np.searchsorted(mass, numbers * mass[-1], "right").clip(max=len(others) - 1)
        return [Drawn((others[i],), (max(-law[others[i]], 0.0),), "length") for i in at.tolist()]

    def _draw(self, asks: Sequence[Ask]) -> list[Drawn]:
        """Draw, those of one original side by side, the longest prefix first.

        So the server's cache of prefixes holds what the next ones begin with.
        """
        order = sorted(range(len(asks)), key=lambda i: (asks[i].family, -len(asks[i].ids), i))
        found: dict[int, Drawn] = {}
        for i, answer in zip(order, self._answers([asks[i] for i in order]), strict=True):
            found[i] = self._read(asks[i], answer)
        return [found[i] for i in range(len(asks))]

    def _answers(self, asks: Sequence[Ask], *, law: bool = False) -> list[Answer]:
        """Ask; with the law of the first token, or with the probabilities of what is drawn."""
        if not asks:
            return []
        wanted, server = self._wanted(law=law), self.server

        def write(i: int) -> dict[str, Any]:
            sent, ask = self._sent(asks[i]), asks[i]
            form, served = server.form, server.served
            return body(form, served, sent, wanted, room=ask.room, seed=ask.seed)

        at_once = self.concurrency or (1 if server.one_by_one else AT_ONCE)
        return server.client.completions(len(asks), write, read, concurrency=at_once)

    def _wanted(self, *, law: bool) -> Wanted:
        own, server = self.law, self.server
        wanted = Wanted(
            temperature=own.temperature,
            top_k=own.top_k,
            top_p=own.top_p,
            min_p=own.min_p,
            repetition_penalty=own.repetition_penalty,
            stop=own.stop if server.gives_ids else (),  # they are looked for here in any case
            logprobs=server.logprobs if law or server.logprobs is None else 1,
        )
        if server.form == "text" and not wanted.plain:
            raise ModelError(
                f"model.base_url is {server.client.base_url!r}; the server takes OpenAI's own "
                "fields alone; allowed there: top_k null, min_p 0, repetition_penalty 1"
            )
        return wanted

    def _sent(self, ask: Ask) -> str | tuple[int, ...]:
        """Give a prefix as the server takes it."""
        if self.server.form == "tokens":
            return ask.ids
        text = self.local.sent(ask.ids)
        if text is None:
            raise ModelError(
                f"model.base_url is {self.server.client.base_url!r}; the server takes text alone, "
                f"and would read prompt and the first {len(ask.sample_ids)} tokens of a sample as "
                "other tokens: the cut would move; allowed there: sampler=fractions, which cuts "
                "where it does not"
            )
        return text

    def _read(self, ask: Ask, answer: Answer) -> Drawn:
        """Put an answer into token ids, and find what ended it."""
        if answer.read is not None and answer.read != len(ask.ids):
            raise ModelError(
                f"model.base_url is {self.server.client.base_url!r}; the server reads "
                f"{answer.read} tokens where {len(ask.ids)} are meant: its tokenizer is not that "
                "of model.path"
            )
        new = self._ids(ask, answer)
        nats = self._nats(answer, len(new))
        whole = ask.sample_ids + new
        reasons = endings(whole, self.law)[len(ask.sample_ids) :] if new else np.zeros(0, np.int64)
        ended = np.flatnonzero(reasons != GOING)
        if len(ended):
            until = int(ended[0])
            return Drawn(new[: until + 1], nats[: until + 1], REASONS[int(reasons[until])])
        return Drawn(new, nats, "length" if answer.finished == "length" else "end")

    def _ids(self, ask: Ask, answer: Answer) -> tuple[int, ...]:
        """Give the token ids of an answer, an end token that has no text among them."""
        end = self.local.end_ids[0]
        if answer.token_ids is not None:
            new = answer.token_ids
            lacks_end = answer.finished == "stop" and answer.drawn == len(new) + 1
            return (*new, end) if lacks_end else new
        new = self.local.continuation(ask.ids, answer.text)
        more = 0 if answer.drawn is None else answer.drawn - len(new)
        self.local.counts["answers as text"] += 1
        self.local.counts["of another length"] += more not in (0, 1)
        ended = more == 1 or answer.finished != "length"
        return (*new, end) if ended and new[-1:] != (end,) else new

    def _nats(self, answer: Answer, count: int) -> tuple[float, ...]:
        """Give surprisals where they are those of what was drawn from; not a number elsewhere."""
        if self.law.temperature == 0:
            return (0.0,) * count
        if answer.surprisal is None or self.server.no_forks is not None:
            return (math.nan,) * count
        return (*answer.surprisal, *[math.nan] * (count - len(answer.surprisal)))

    def _end(self, ids: tuple[int, ...]) -> FinishReason | None:
        """Say what the last token of a sample ends it by; None for nothing."""
        reason = int(endings(ids, self.law)[-1])
        return None if reason == GOING else REASONS[reason]
