"""A small server over a tiny model that speaks `/v1/completions` as vLLM documents it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import torch

from critwin.samplers.token_law import TokenLaw
from tests.critwin.samplers.recomputing import reference

Refusal = tuple[int, dict[str, str], str]


@dataclass
class Behaviour:
    """What a server does.

    Attributes:
        folder: Its checkpoint.
        processed: Whether log-probabilities are taken after temperature and truncation.
        ids: Whether prompts may be token ids, and token ids come back.
        max_logprobs: More than these are refused.
        faults: Give, for the n-th request for completions, what it is refused with.
        bodies: What was asked, in the order in which it came.
        headers: The headers with it.
    """

    folder: Path
    processed: bool = True
    ids: bool = True
    max_logprobs: int = 20
    faults: Callable[[int], Refusal | None] = lambda _: None
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


class TinyModel:
    """Draws from a checkpoint, one token after the other; logits are kept."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer

        self.model = reference(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.known: dict[Any, tuple[np.ndarray, list[float], list[float]]] = {}
        self.lock = threading.Lock()

    def law(
        self, ids: tuple[int, ...], law: TokenLaw
    ) -> tuple[np.ndarray, list[float], list[float]]:
        """Give probabilities, and log-probabilities of what is drawn from and of the model."""
        key = ids, law.temperature, law.top_k, law.top_p, law.min_p
        with self.lock, torch.inference_mode():
            if key not in self.known:
                logits = self.model(torch.tensor([ids])).logits[0, -1:]
                scores = law.log_probabilities(logits)
                p = scores.double().exp().numpy()[0]
                raw = logits.log_softmax(dim=1)[0].tolist()
                self.known[key] = p / p.sum(), scores[0].tolist(), raw
            return self.known[key]

    def complete(self, asked: dict[str, Any], *, processed: bool) -> dict[str, Any]:
        prompt = asked["prompt"]
        ids = tuple(self.tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else prompt)
        top_k = asked.get("top_k", -1)
        law = TokenLaw(
            self.tokenizer,
            (self.tokenizer.eos_token_id,),
            temperature=asked["temperature"],
            top_k=top_k if top_k > 0 else None,
            top_p=asked["top_p"],
            min_p=asked.get("min_p", 0.0),
        )
        rng = np.random.default_rng([asked["seed"], 5])
        drawn: list[int] = []
        nats: list[dict[int, float]] = []
        while len(drawn) < asked["max_tokens"] and drawn[-1:] != [law.end_ids[0]]:
            p, scores, raw = self.law(ids + tuple(drawn), law)
            drawn.append(int(rng.choice(len(p), p=p)))
            nats.append(dict(enumerate(scores if processed else raw)))
        return self._completion(ids, drawn, nats, asked)

    def _completion(
        self, ids: tuple[int, ...], drawn: list[int], nats: list[dict[int, float]], asked: Any
    ) -> dict[str, Any]:
        choice: dict[str, Any] = {
            "index": 0,
            "text": self.tokenizer.decode(drawn, skip_special_tokens=True),
            "finish_reason": "stop" if drawn[-1] == self.tokenizer.eos_token_id else "length",
        }
        if asked.get("return_token_ids"):
            choice |= {"token_ids": drawn, "prompt_token_ids": list(ids)}
        if asked.get("logprobs"):
            count = asked["logprobs"]
            tops = [sorted(own.items(), key=lambda item: -item[1])[:count] for own in nats]
            choice["logprobs"] = {
                "tokens": [f"token_id:{i}" for i in drawn],
                "token_logprobs": [
                    max(own[i], -9999.0) for i, own in zip(drawn, nats, strict=True)
                ],
                "top_logprobs": [
                    {f"token_id:{i}": max(v, -9999.0) for i, v in [(d, own[d]), *top]}
                    for d, own, top in zip(drawn, nats, tops, strict=True)
                ],
            }
        usage = {"prompt_tokens": len(ids), "completion_tokens": len(drawn)}
        return {"object": "text_completion", "choices": [choice], "usage": usage}


def handler(model: TinyModel, behaviour: Behaviour) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            card = {"id": "tiny", "owned_by": "tests", "max_model_len": 32}
            self.say(200, {"data": [card]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            number = len(behaviour.bodies)
            behaviour.bodies.append(asked)
            behaviour.headers.append(dict(self.headers))
            refusal = behaviour.faults(number) or self.refusal(asked)
            if refusal is not None:
                status, headers, said = refusal
                self.say(status, {"error": {"message": said}}, headers)
                return
            self.say(200, model.complete(asked, processed=behaviour.processed))

        def refusal(self, asked: dict[str, Any]) -> Refusal | None:
            if not behaviour.ids and not isinstance(asked["prompt"], str):
                return 400, {}, "prompt must be a string."
            if not behaviour.ids and set(asked) & {"top_k", "generation_config"}:
                return 422, {}, "Unexpected fields in the request"
            if (asked.get("logprobs") or 0) > behaviour.max_logprobs:
                most = behaviour.max_logprobs
                return 400, {}, f"Requested more logprobs than the maximum of {most}"
            return None

        def say(
            self, status: int, content: dict[str, Any], headers: dict[str, str] | None = None
        ) -> None:
            sent = json.dumps(content).encode()
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)
            self.wfile.flush()

    return Handler


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[str]:
    """Run a server on a free port of loopback; give its address."""
    model = TinyModel(behaviour.folder)
    server = Server(("127.0.0.1", 0), handler(model, behaviour))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
