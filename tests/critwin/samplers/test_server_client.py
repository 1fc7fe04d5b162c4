"""What is asked again and what is not: answers that do not come, and refusals."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from critwin.errors import ModelError
from critwin.generation import Generation
from critwin.prompt import Prompt
from critwin.samplers import server_client
from critwin.samplers.server import ServerSampler
from critwin.samplers.server_client import retry_after
from tests.critwin.samplers.protocol_server import Behaviour, Refusal, serving

LAW: dict[str, Any] = {"top_k": 5, "max_new_tokens": 2}

PROBES = 7
"""Requests by which a server is tried."""


def drawn_with(
    folder: Path, faults: Callable[[int], Refusal | None], *, patience: float = 20.0
) -> tuple[list[Generation], Behaviour, ServerSampler]:
    behaviour = Behaviour(folder, faults=faults)
    with serving(behaviour) as address:
        sampler = ServerSampler(path=str(folder), base_url=address, patience_s=patience, **LAW)
        return draw(sampler), behaviour, sampler


def draw(sampler: ServerSampler) -> list[Generation]:
    start = sampler.start([Prompt("abca")])
    return sampler.resample(start, seeds=[[*range(30)]])[0]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less between tries."""
    monkeypatch.setattr(server_client, "FIRST_WAIT", 0.01)


@pytest.fixture(scope="module")
def undisturbed(tiny_letters: Path) -> list[Generation]:
    drawn, behaviour, _ = drawn_with(tiny_letters, lambda _: None)
    assert len(behaviour.bodies) == PROBES + 30
    return drawn


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_busy_servers_are_asked_again(
    tiny_letters: Path, undisturbed: list[Generation], status: int
) -> None:
    """Every third answer is a refusal; what is drawn is what would have been drawn."""

    def fault(number: int) -> Refusal | None:
        return (status, {}, "busy") if number >= PROBES and number % 3 == 0 else None

    drawn, behaviour, sampler = drawn_with(tiny_letters, fault)
    assert drawn == undisturbed
    again = len(behaviour.bodies) - PROBES - 30
    assert again >= 10
    assert sampler.facts()["server"]["retries"] == again  # type: ignore[index]


def test_the_wait_that_a_server_asks_for_is_kept(
    tiny_letters: Path, undisturbed: list[Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_client, "FIRST_WAIT", 0.0)
    times: list[float] = []

    def fault(number: int) -> Refusal | None:
        times.append(time.monotonic())
        return (429, {"Retry-After": "1"}, "slow down") if number == PROBES else None

    drawn, _, _ = drawn_with(tiny_letters, fault)
    assert drawn == undisturbed
    assert times[-1] - times[PROBES] >= 1.0


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after(None) == retry_after("soon") == retry_after("-3") == 0
    assert retry_after("7") == 7
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 80 < retry_after(later) <= 90
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("status", "said", "message"),
    [
        (400, "prompt is too long", r"the server refuses a request \(HTTP 400: .*too long"),
        (401, "who are you?", r"refuses the key .* OPENAI_API_KEY, which is not set"),
        (404, "no such model", r"HTTP 404: .*no such model"),
    ],
)
def test_other_refusals_end_the_work_at_once(
    tiny_letters: Path, monkeypatch: pytest.MonkeyPatch, status: int, said: str, message: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for first in (0, PROBES + 5):
        if status == 400 and first == 0:
            continue  # a form that is refused is followed by the next one

        def fault(number: int, first: int = first) -> Refusal | None:
            return (status, {}, said) if number >= first else None

        with pytest.raises(ModelError, match=message):
            drawn_with(tiny_letters, fault)


@pytest.mark.usefixtures("quick")
def test_a_server_that_does_not_come_back_ends_the_work(
    tiny_letters: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(number: int) -> Refusal | None:
        return (503, {}, "loading") if number > PROBES + 3 else None

    message = r"no answer for 2 s \(model.patience_s\), at last HTTP 503.*goes on from there"
    with pytest.raises(ModelError, match=message):
        drawn_with(tiny_letters, fault, patience=2.0)
    (told,) = caplog.messages
    assert "loading" in told
    assert told.endswith("it is asked again for up to 2 s")
    nowhere = ServerSampler(
        path=str(tiny_letters), base_url="http://127.0.0.1:9/v1", patience_s=0.5, **LAW
    )
    with pytest.raises(ModelError, match=r"127.0.0.1:9.*at last ConnectError"):
        draw(nowhere)


def test_the_key_is_sent_and_stands_nowhere_else(
    tiny_letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_KEY", "sesame-open-12345")
    behaviour = Behaviour(tiny_letters)
    with serving(behaviour) as address:
        sampler = ServerSampler(
            path=str(tiny_letters), base_url=address, api_key_variable="TINY_KEY", **LAW
        )
        draw(sampler)
        assert "sesame" not in f"{sampler} {sampler.facts()} {sampler.device_used()}"
        monkeypatch.delenv("TINY_KEY")
        draw(replace(sampler, concurrency=1))
    keys = [headers.get("Authorization") for headers in behaviour.headers]
    assert keys == ["Bearer sesame-open-12345"] * (PROBES + 30) + [None] * 30
