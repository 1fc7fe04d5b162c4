"""What `/v1/completions` is asked and what it says, for the servers that people use.

Servers differ in what they take and give beyond OpenAI's fields. Three forms are known; which one a
server speaks is found by trying (critwin/samplers/server_probe.py):

tokens: The prompt as token ids, sampling parameters by the names of vLLM (SGLang and llama.cpp know
    them too). vLLM and SGLang give token ids back, vLLM log-probabilities by token id.
generation_config: The prompt as text, sampling parameters as a generation config of transformers:
    `transformers serve`, which refuses fields that it does not know.
text: The prompt as text and OpenAI's own fields.

Source: docs.vllm.ai, "OpenAI-Compatible Server", Completions API, extra parameters, and
    vllm/entrypoints/openai/completion/protocol.py (0.33); transformers 5.23,
    cli/serving/completion.py; github.com/sgl-project/sglang/pull/30917 (return_token_ids).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from critwin.errors import ModelError

Form = Literal["tokens", "generation_config", "text"]

TOKEN = "token_id:"
"""How vLLM writes a token by its id where `return_tokens_as_token_ids` is set."""

NOTHING = -9999.0
"""How vLLM writes a log-probability of minus infinity, which JSON has not."""

ENDS: dict[object, Literal["stop", "length"]] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "length": "length",
}
"""What servers call the ends of a completion; others, such as `abort`, are none."""

SEEDS = 2**31
"""Seeds below this are taken by all servers; llama.cpp has 32 bits for them."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Sampling parameters as they are sent; see TokenSampler."""

    temperature: float
    top_k: int | None
    top_p: float
    min_p: float
    repetition_penalty: float
    stop: tuple[str, ...] = ()
    logprobs: int | None = None

    @property
    def plain(self) -> bool:
        """Whether OpenAI's own fields can say it."""
        return self.top_k is None and self.min_p == 0 and self.repetition_penalty == 1


@dataclass(frozen=True)
class Answer:
    """One completion.

    Attributes:
        text: What was written, as text.
        token_ids: The same as token ids, where the server gives them.
        surprisal: -log of the probability of each, in nats; None where the server gives none.
        first: Log-probabilities of the most probable first tokens, by id; None as above.
        finished: What the server says ended it.
        drawn: Tokens that the server says it drew; None where it does not say.
        read: Tokens of the prompt that the server says it read.
    """

    text: str
    token_ids: tuple[int, ...] | None
    surprisal: tuple[float, ...] | None
    first: Mapping[int, float] | None
    finished: Literal["stop", "length"]
    drawn: int | None
    read: int | None


def body(
    form: Form,
    served: str | None,
    prompt: str | tuple[int, ...],
    wanted: Wanted,
    *,
    room: int,
    seed: int,
) -> dict[str, Any]:
    """Write a request.

    Args:
        form: What the server takes.
        served: Name of the model at the server; None for the one that it has.
        prompt: Token ids for the form `tokens`, else text.
        wanted: Sampling parameters.
        room: Tokens at most, >= 1.
        seed: In [0, 2**63).
    """
    asked: dict[str, Any] = {} if served is None else {"model": served}
    asked |= {
        "prompt": prompt if isinstance(prompt, str) else list(prompt),
        "max_tokens": room,
        "temperature": wanted.temperature,
        "top_p": wanted.top_p,
        "seed": seed % SEEDS,
    }
    if form == "generation_config":
        asked["generation_config"] = _generation_config(wanted, room)
    if form != "tokens":
        return asked
    asked |= {
        "top_k": wanted.top_k or -1,
        "min_p": wanted.min_p,
        "repetition_penalty": wanted.repetition_penalty,
        "return_token_ids": True,
        "skip_special_tokens": False,
    }
    if wanted.stop:
        asked |= {"stop": list(wanted.stop), "include_stop_str_in_output": True}
    if wanted.logprobs is not None:
        asked |= {"logprobs": wanted.logprobs, "return_tokens_as_token_ids": True}
    return asked


def _generation_config(wanted: Wanted, room: int) -> str:
    """Write sampling parameters for `transformers serve`, whose defaults would cut at k = 50."""
    return json.dumps(
        {
            "do_sample": wanted.temperature > 0,
            "temperature": wanted.temperature or 1.0,
            "top_k": wanted.top_k or 0,
            "top_p": wanted.top_p,
            "min_p": wanted.min_p or None,
            "repetition_penalty": wanted.repetition_penalty,
            "max_new_tokens": room,
        }
    )


def read(content: Mapping[str, Any]) -> Answer:
    """Read an answer with one choice.

    Raises:
        ModelError: It is none.
    """
    try:
        choice = content["choices"][0]
        usage = content.get("usage") or {}
        logprobs = choice.get("logprobs")
        ids = choice.get("token_ids")
        surprisal, first = None, None
        if isinstance(logprobs, Mapping) and logprobs.get("token_logprobs"):
            surprisal = tuple(_nats(value) for value in logprobs["token_logprobs"])
            tops = logprobs.get("top_logprobs") or [None]
            first = _by_id(tops[0])
            named = [_id(token) for token in logprobs.get("tokens") or []]
            if ids is None and named and None not in named:
                ids = named
        token_ids = None if ids is None else tuple(int(i) for i in ids)
        if token_ids is not None and surprisal is not None and len(surprisal) != len(token_ids):
            surprisal = None
        return Answer(
            text=str(choice["text"]),
            token_ids=token_ids,
            surprisal=surprisal if token_ids is not None else None,
            first=first,
            finished=ENDS[choice["finish_reason"]],
            drawn=usage.get("completion_tokens"),
            read=usage.get("prompt_tokens"),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        said = " ".join(json.dumps(content).split())[:200]
        raise ModelError(
            f"the server's answer is no completion ({type(error).__name__}: {error}): {said}"
        ) from error


def _nats(logprob: float | None) -> float:
    if logprob is None:
        return math.nan
    return math.inf if logprob <= NOTHING else max(-float(logprob), 0.0)


def _id(token: object) -> int | None:
    """Give the id of a token that is written by its id."""
    text = str(token)
    digits = text.removeprefix(TOKEN)
    return int(digits) if text.startswith(TOKEN) and digits.isdigit() else None


def _by_id(top: object) -> dict[int, float] | None:
    if not isinstance(top, Mapping):
        return None
    found = {_id(token): float(value) for token, value in top.items()}
    if None in found:
        return None
    return {int(i): value for i, value in found.items() if i is not None and value > NOTHING}
