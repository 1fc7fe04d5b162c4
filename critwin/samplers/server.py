"""A language model behind an OpenAI-compatible server as a sampler.

The server draws; cuts, records and, where its log-probabilities allow it, the choice of a fork's
token are made here. See docs/models.md for how servers are started.
"""

from __future__ import annotations

import logging
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

import numpy as np

from critwin.errors import ModelError, ParameterError
from critwin.generation import Generation
from critwin.protocol import check_number, check_whole
from critwin.sampler import Path
from critwin.samplers.chat_text import ChatText
from critwin.samplers.checkpoint import content_of, origin
from critwin.samplers.server_decoding import ServerDecoder
from critwin.samplers.server_probe import Address, Server, connect
from critwin.samplers.server_text import ServedText, served_text
from critwin.samplers.token_law import Drawn, Request
from critwin.samplers.token_sampler import TokenSampler

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ServerSampler(TokenSampler):
    """A causal language model that a server draws from, at `/v1/completions`.

    Attributes beside those of TokenSampler:
        path: The checkpoint that is served: its tokenizer and chat template are used here, and its
            content goes into the run id. That the server serves it is the user's word.
        base_url: Address of the server, up to and with `/v1`.
        served: Name of the model there; None for the only one it has.
        api_key_variable: Environment variable that holds the key, where one is needed. The key
            itself stands in no config and no record.
        concurrency: Requests under way at once, >= 1; None takes as many as keep a server busy, and
            1 with one that computes one at a time.
        timeout_s: Seconds that one answer may take, > 0.
        patience_s: Seconds for which a server that does not answer is asked again, >= 0.
        logprobs: Log-probabilities of the most probable tokens that are asked for with each token,
            >= 1; None asks for none. Forks need at least top_k of them.
    """

    base_url: str = "http://localhost:8000/v1"
    served: str | None = None
    api_key_variable: str = "OPENAI_API_KEY"
    concurrency: int | None = None
    timeout_s: float = 600.0
    patience_s: float = 600.0
    logprobs: int | None = 20

    execution = frozenset(
        {"path", "revision", "base_url", "api_key_variable"}
        | {"concurrency", "timeout_s", "patience_s", "logprobs"}
    )
    loaded_by = frozenset({"path", "revision", "base_url", "served"})

    def __post_init__(self) -> None:
        super().__post_init__()
        address = urlsplit(self.base_url)
        if address.scheme not in ("http", "https") or not address.hostname or "@" in self.base_url:
            allowed = "an address such as http://HOST:PORT/v1, without a name and a password"
            shown = re.sub(r"//[^/]*@", "//...@", self.base_url)
            raise ParameterError("base_url", shown, allowed)
        if not re.fullmatch(r"[A-Za-z_]\w*", self.api_key_variable):
            allowed = "the name of an environment variable, not the key itself"
            raise ParameterError("api_key_variable", "...", allowed)
        check_whole("concurrency", self.concurrency, low=1)
        check_number("timeout_s", self.timeout_s, low=0.0, high=math.inf)
        check_number("patience_s", self.patience_s, low=0.0, low_in=True, high=math.inf)
        check_whole("logprobs", self.logprobs, low=1)

    def fingerprint(self) -> str:
        """Hash the checkpoint's files, or give the commit of a hub model."""
        return content_of(self.path, self.revision)

    def forks_refused(self) -> str | None:
        """Say why forks would not be exact with these settings; None where they can be.

        What the server itself allows is seen when it is first asked.
        """
        if self.temperature == 0:
            return None
        if self.logprobs is None:
            return "is told to ask for no log-probabilities (model.logprobs)"
        if self.top_k is None or self.top_k > self.logprobs:
            found = "all tokens" if self.top_k is None else f"the {self.top_k} most probable tokens"
            return (
                f"draws from {found} and gets the log-probabilities of {self.logprobs}: the forked "
                "token is drawn from them, so they have to cover what the server draws from; set "
                f"sampler.top_k to at most model.logprobs={self.logprobs}"
            )
        return None

    def device_used(self) -> str:
        """Name the server."""
        served = self.server.served
        return f"server at {self.base_url}{f' ({served})' if served else ''}"

    def facts(self) -> dict[str, object]:
        """Say which checkpoint is served, by the user's word, and what the server takes."""
        server = self.server
        return origin(self.path, self.revision) | {
            "server": {
                "base_url": self.base_url,
                "served": server.served,
                "says": server.card,
                "prompts": "token ids" if server.form == "tokens" else "text",
                "gives_token_ids": server.gives_ids,
                "gives_logprobs": server.logprobs is not None,
                "seeds": {True: "taken", False: "not taken", None: "not known"}[server.seeded],
                "requests": server.client.asked,
                "retries": server.client.retries,
                "retokenised": dict(self._local.counts),
            }
        }

    @property
    def server(self) -> Server:
        """The server, waited for and tried on first use."""
        [ids, text] = self._local.trial
        return connect(
            Address(
                base_url=self.base_url.rstrip("/"),
                served=self.served,
                key_variable=self.api_key_variable,
                timeout=self.timeout_s,
                patience=self.patience_s,
                logprobs=self.logprobs,
            ),
            ids,
            text,
        )

    @property
    def chat(self) -> ChatText:
        """The tokenizer with what stands about the model's turn in the config."""
        return ChatText(self._local.tokenizer, self.chat_arguments, self.opening, self.shown)

    @property
    def context(self) -> int:
        """Tokens that prompt and sample may have together."""
        said = self.server.context
        return min(self._local.context, said if isinstance(said, int) else sys.maxsize)

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Tokens that end a generation."""
        return self._local.end_ids

    @property
    def _local(self) -> ServedText:
        return served_text(self.path, self.revision, trust_remote_code=self.trust_remote_code)

    def snap(self, x: Generation, t: float) -> int:
        """Give the number of tokens kept: fewer where a server of texts would read others."""
        level = super().snap(x, t)
        if level >= len(x.token_ids) or self.server.form == "tokens":
            return level
        return self._local.level(x.prompt_ids, x.token_ids, level)

    def decode(self, requests: Sequence[Request]) -> list[list[Drawn]]:
        """Draw continuations; for each request its draws, in the order of its seeds.

        A token that a fork takes in place of the original's is drawn here, from the
        log-probabilities that the server gives; a logit bias would act before top-p, and give
        another law.
        """
        if self.server.seeded is False:
            _warn_unseeded(self.base_url)
        if any(request.excluded is not None for request in requests):
            self._check_forks()
        decoder = ServerDecoder(
            server=self.server, local=self._local, law=self.law(), concurrency=self.concurrency
        )
        return decoder.decode(requests)

    def paths(self, x: Sequence[Generation]) -> list[Path]:
        """Give the probability of each token, as the server told it when it was drawn.

        Raises:
            ModelError: The server tells none, or not of what it draws from.
        """
        self._check_forks()
        return [Path(np.exp(-np.array(g.surprisal, dtype=np.float64))) for g in x]

    def _check_forks(self) -> None:
        refused = None if self.temperature == 0 else self.server.no_forks
        if refused is not None:
            raise ModelError(
                f"model.base_url is {self.base_url!r}; {refused}: forks through it would not be "
                "exact; allowed there: sampler=fractions"
            )


@lru_cache(maxsize=4)
def _warn_unseeded(base_url: str) -> None:
    log.warning(
        "%s does not take seeds: a run through it cannot be drawn again; what is drawn is kept",
        base_url,
    )
