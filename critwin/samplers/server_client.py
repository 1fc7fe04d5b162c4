"""Asks a server many things at once, and asks again where it did not answer.

What is asked again: where no answer came (no connection, a broken one, none in time), and 429 and
5xx, which say that another time may be better. Other refusals end the work with one message.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
import ssl
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx

from critwin.errors import ModelError

log = logging.getLogger(__name__)

FIRST_WAIT = 0.5
"""Seconds before an answer is asked for again, at most; doubled each time."""

LONGEST_WAIT = 30.0
"""Seconds between two tries, at most, where the server does not ask for more."""

TOO_MANY, SERVER_ERROR = 429, 500

T = TypeVar("T")


@dataclass(frozen=True)
class Reply:
    """What a server said.

    Attributes:
        status: HTTP status.
        content: The body as JSON; empty where it is none.
        text: The body as text, for messages.
    """

    status: int
    content: dict[str, Any]
    text: str


@dataclass
class Client:
    """Talks with one server.

    Attributes:
        base_url: Address, up to and with `/v1`.
        key_variable: Environment variable that holds the key; none is sent where it is not set.
        timeout: Seconds that one answer may take, > 0.
        patience: Seconds for which a server that does not answer is asked again, >= 0.
        asked: Requests that were answered.
        retries: Times that something was asked again.
    """

    base_url: str
    key_variable: str
    timeout: float
    patience: float
    asked: int = 0
    retries: int = 0
    _jitter: random.Random = field(default_factory=random.Random, repr=False)
    _told: float = field(default=-math.inf, repr=False)

    def get(self, path: str) -> Reply:
        """Ask for something once there is a server."""
        return self.run(self._one("GET", path, None))

    def try_completion(self, body: dict[str, Any]) -> Reply:
        """Ask for one completion; a refusal is an answer."""
        return self.run(self._one("POST", "/completions", body))

    def completions(
        self,
        count: int,
        write: Callable[[int], dict[str, Any]],
        read: Callable[[dict[str, Any]], T],
        *,
        concurrency: int,
    ) -> list[T]:
        """Ask for many completions; no more than are under way stand in memory as they are sent.

        Args:
            count: How many.
            write: Gives what is asked, by its number; neighbours are under way together.
            read: Takes from an answer what is needed of it.
            concurrency: Requests under way at once at most, >= 1.

        Returns:
            What was read, in the order of the numbers.

        Raises:
            ModelError: One was refused, or the server did not answer for too long.
        """
        return self.run(self._all(count, write, read, concurrency))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, in a notebook too."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(work)
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, work).result()

    async def _all(
        self,
        count: int,
        write: Callable[[int], dict[str, Any]],
        read: Callable[[dict[str, Any]], T],
        concurrency: int,
    ) -> list[T]:
        found: dict[int, T] = {}
        waiting = iter(range(count))

        async def work() -> None:
            # one connection each: a pool of many looks through all of them at every request
            async with self._http() as http:
                for i in waiting:
                    reply = await self._ask(http, "POST", "/completions", write(i))
                    found[i] = read(reply.content)

        workers = [asyncio.create_task(work()) for _ in range(min(concurrency, count))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return [found[i] for i in range(count)]

    async def _one(self, method: str, path: str, body: dict[str, Any] | None) -> Reply:
        async with self._http() as http:
            return await self._ask(http, method, path, body, refused=True)

    def _http(self) -> httpx.AsyncClient:
        key = os.environ.get(self.key_variable)
        # reading certificates takes longer than a short answer, and http has none
        verify = self.base_url.startswith("https") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return httpx.AsyncClient(
            base_url=self.base_url,
            verify=verify,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(self.timeout, connect=min(self.timeout, 10.0)),
        )

    async def _ask(
        self,
        http: httpx.AsyncClient,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        *,
        refused: bool = False,
    ) -> Reply:
        """Ask until there is an answer.

        Args:
            http: The connections.
            method: GET or POST.
            path: Behind the address.
            body: What is sent, as JSON.
            refused: Whether a refusal is an answer; errors of the server are none, busy or not,
                but for 500 and 501, which say that it cannot do what it was asked.
        """
        began = time.monotonic()
        tries = 0
        while True:
            asked_to_wait = 0.0
            try:
                response = await http.request(method, path, json=body)
            except httpx.RequestError as error:
                why = f"{type(error).__name__}{f': {error}' if str(error) else ''}"
            else:
                status = response.status_code
                answered = status < SERVER_ERROR and status != TOO_MANY
                if answered or (refused and status in (500, 501)):
                    if status >= 400 and not refused:
                        raise self._refusal(response)
                    self.asked += 1
                    return _reply(response)
                why = f"HTTP {status}: {_short(response.text)}"
                asked_to_wait = retry_after(response.headers.get("Retry-After"))
            tries += 1
            wait = self._jitter.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2.0**tries))
            wait = max(wait, asked_to_wait)
            if time.monotonic() - began + wait > self.patience:
                raise self._no_answer(why)
            self.retries += 1
            self._tell(why)
            await asyncio.sleep(wait)

    def _tell(self, why: str) -> None:
        """Say, now and then, that a server is being waited for."""
        if time.monotonic() - self._told >= LONGEST_WAIT:
            self._told = time.monotonic()
            log.warning(
                "%s: %s; it is asked again for up to %g s", self.base_url, why, self.patience
            )

    def _refusal(self, response: httpx.Response) -> ModelError:
        status, said = response.status_code, _short(response.text)
        if status in (401, 403):
            variable = self.key_variable
            state = "was sent" if os.environ.get(variable) else "is not set"
            return ModelError(
                f"model.base_url is {self.base_url!r}; the server refuses the key (HTTP {status}: "
                f"{said}); it is read from the environment variable {variable}, which {state}"
            )
        return ModelError(
            f"model.base_url is {self.base_url!r}; the server refuses a request (HTTP {status}: "
            f"{said})"
        )

    def _no_answer(self, why: str) -> ModelError:
        return ModelError(
            f"model.base_url is {self.base_url!r}; no answer for {self.patience:g} s "
            f"(model.patience_s), at last {why}; parts that are drawn are kept, and the same "
            "command goes on from there"
        )


def retry_after(header: str | None) -> float:
    """Give the seconds that a server asks to wait: a number of them, or a date; else 0.

    Source: RFC 9110, Section 10.2.3.
    """
    if header is None:
        return 0.0
    with suppress(ValueError):
        return max(float(int(header)), 0.0)
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max((at - datetime.now(UTC)).total_seconds(), 0.0)


def _reply(response: httpx.Response) -> Reply:
    try:
        content = response.json()
    except ValueError:
        content = {}
    return Reply(
        response.status_code, content if isinstance(content, dict) else {}, _short(response.text)
    )


def _short(text: str) -> str:
    """Give the beginning of what a server said, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:300]}..."
