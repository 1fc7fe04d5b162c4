"""Finds out, by a few requests of some tokens, what a server takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from critwin.errors import ModelError
from critwin.samplers.server_client import Client
from critwin.samplers.server_protocol import Answer, Form, Wanted, body, read

LOOSE = 1.5
"""Temperature at which two draws with unlike seeds hardly give the same text."""

LENGTH = 16
"""Tokens drawn to see whether seeds are taken."""

ENOUGH = 1e-3
"""Difference of log-probabilities that rounding does not make."""

PLAIN = Wanted(temperature=1.0, top_k=None, top_p=1.0, min_p=0.0, repetition_penalty=1.0)


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a server is and how it is asked; see ServerSampler."""

    base_url: str
    served: str | None
    key_variable: str
    timeout: float
    patience: float
    logprobs: int | None


@dataclass(frozen=True)
class Server:
    """A server that has answered.

    Attributes:
        client: Talks with it.
        served: Name of the model there; None where it names none.
        form: What it takes.
        gives_ids: Whether it gives token ids back.
        logprobs: Log-probabilities that may be asked for; None for none.
        no_forks: Why forks through it would not be exact; None where they are.
        seeded: Whether the same seed gives the same text; None where that cannot be told.
        context: Tokens that prompt and sample may have together; None where it does not say.
        card: What it says of the model: the entry of `/v1/models`.
    """

    client: Client
    served: str | None
    form: Form
    gives_ids: bool
    logprobs: int | None
    no_forks: str | None
    seeded: bool | None
    context: int | None
    card: dict[str, Any]

    @property
    def one_by_one(self) -> bool:
        """Whether it computes one request at a time and has one seed for all of them."""
        return self.form == "generation_config"


@lru_cache(maxsize=4)
def connect(address: Address, ids: tuple[int, ...], text: str) -> Server:
    """Wait for a server and find out what it can.

    Args:
        address: Where it is.
        ids: Token ids of a short prompt to try it with.
        text: The same prompt as text.

    Raises:
        ModelError: It does not answer, or refuses all forms that are known.
    """
    client = Client(
        address.base_url, address.key_variable, timeout=address.timeout, patience=address.patience
    )
    card = _card(client, address.served)
    served = address.served or card.get("id")
    form, answer, logprobs, refused = _form(client, served, ids, text, address.logprobs)
    gives_ids = form == "tokens" and answer.token_ids is not None
    prompt = ids if form == "tokens" else text
    return Server(
        client=client,
        served=served,
        form=form,
        gives_ids=gives_ids,
        logprobs=logprobs if gives_ids and answer.surprisal is not None else None,
        no_forks=refused or _no_forks(client, served, ids, logprobs, answer),
        seeded=_seeded(client, served, form, prompt),
        context=card.get("max_model_len"),
        card={key: card[key] for key in ("id", "root", "parent", "owned_by") if card.get(key)},
    )


def _card(client: Client, served: str | None) -> dict[str, Any]:
    """Give what the server says of the model; nothing where it lists others or none."""
    listed = client.get("/models").content.get("data") or []
    cards = [card for card in listed if isinstance(card, dict)]
    if served is None:
        if len(cards) > 1:
            names = ", ".join(str(card.get("id")) for card in cards)
            raise ModelError(f"model.served is None; the server has several models: {names}")
        return dict(cards[0]) if cards else {}
    return next((dict(card) for card in cards if card.get("id") == served), {"id": served})


def _form(
    client: Client, served: str | None, ids: tuple[int, ...], text: str, logprobs: int | None
) -> tuple[Form, Answer, int | None, str | None]:
    """Try the forms; give that which is taken, its answer, the log-probabilities, and a refusal."""
    tries: list[tuple[Form, int | None]] = [("tokens", logprobs), ("tokens", None)]
    tries += [("generation_config", None), ("text", None)]
    refusals: list[str] = []
    for form, number in tries[logprobs is None :]:
        wanted = replace(PLAIN, logprobs=number)
        prompt = ids if form == "tokens" else text
        asked = body(form, served, prompt, wanted, room=1, seed=0)
        reply = client.try_completion(asked)
        if reply.status < 400 and reply.content:
            found = read(reply.content)
            reason = None
            if form == "tokens" and number is None and logprobs is not None:
                reason = f"the server refuses logprobs={logprobs} ({refusals[0]})"
            return form, found, number, reason
        if reply.status in (401, 403, 404):
            break
        refusals.append(f"HTTP {reply.status}: {reply.text}")
    else:
        raise ModelError(
            f"model.base_url is {client.base_url!r}; the server takes no completion; "
            f"{' | '.join(refusals)}"
        )
    _ask(client, [asked])  # says why it is refused
    raise ModelError(f"model.base_url is {client.base_url!r}; HTTP {reply.status}: {reply.text}")


def _no_forks(
    client: Client, served: str | None, ids: tuple[int, ...], logprobs: int | None, answer: Answer
) -> str | None:
    """Say why forks would not be exact: what log-probabilities are given, and of what."""
    if answer.token_ids is None:
        return "the server gives no token ids"
    if logprobs is None or answer.first is None:
        return "the server gives no log-probabilities by token id"
    colder = _first(client, served, ids, logprobs, temperature=1.0)
    hotter = _first(client, served, ids, logprobs, temperature=2.0)
    both = sorted(set(colder) & set(hotter), key=lambda i: colder[i])
    if len(both) < 2:
        return "the server's log-probabilities cannot be told apart"
    low, high = both[0], both[-1]
    gap, halved = colder[high] - colder[low], hotter[high] - hotter[low]
    if abs(halved - gap / 2) > ENOUGH + 0.01 * gap:
        return (
            "the server's log-probabilities are taken before the temperature (vLLM: start it with "
            "--logprobs-mode processed_logprobs)"
        )
    return None


def _first(
    client: Client, served: str | None, ids: tuple[int, ...], logprobs: int, *, temperature: float
) -> dict[int, float]:
    wanted = replace(PLAIN, temperature=temperature, logprobs=logprobs)
    asked = body("tokens", served, ids, wanted, room=1, seed=0)
    [answer] = _ask(client, [asked])
    return dict(answer.first or {})


def _seeded(
    client: Client, served: str | None, form: Form, prompt: str | tuple[int, ...]
) -> bool | None:
    """Tell whether the same seed gives the same text; None where unlike seeds do so too."""
    wanted = replace(PLAIN, temperature=LOOSE)
    bodies = [
        body(form, served, prompt, wanted, room=LENGTH, seed=seed) for seed in (11, 11, 12, 13)
    ]
    once, again, *others = (answer.text for answer in _ask(client, bodies))
    if once != again:
        return False
    return True if any(other != once for other in others) else None


def _ask(client: Client, bodies: Sequence[dict[str, Any]]) -> list[Answer]:
    return client.completions(len(bodies), bodies.__getitem__, read, concurrency=1)
