"""A W&B server on loopback that takes what `wandb sync` sends and keeps it, as far as tests look.

It answers the calls that wandb 0.31 makes: runs are made and updated by GraphQL, scalars come as
numbered lines of a file, of which it counts how many it has, as W&B's own server does.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HISTORY = "wandb-history.jsonl"


@dataclass
class StandIn:
    """What has arrived.

    Attributes:
        address: URL of the server.
        lines: Lines of each file of each run, by their number.
        overwritten: Lines that came twice with another content.
        asked: Names of the calls.
        runs: What was said of each run, the newest last.
        artifacts: Names of collections of artifacts that were offered, in order.
        states: How each run ended, for every time that it did.
    """

    address: str = ""
    lines: dict[str, dict[str, dict[int, str]]] = field(default_factory=dict)
    overwritten: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    runs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)
    states: dict[str, list[int]] = field(default_factory=dict)

    def history(self, run: str) -> list[dict[str, Any]]:
        """Give the rows of scalars of a run, in the order of their numbers."""
        rows = self.lines.get(run, {}).get(HISTORY, {})
        return [json.loads(rows[number]) for number in sorted(rows)]

    def summary(self, run: str) -> str:
        """Give the newest headline numbers of a run, as JSON."""
        return self.lines[run]["wandb-summary.json"][0]

    def graphql(self, query: str, values: dict[str, Any]) -> dict[str, Any]:
        """Answer a call."""
        found = re.search(r"(?:query|mutation)\s+(\w+)", query)
        name = found[1] if found else ""
        self.asked.append(name)
        if name == "UpsertBucket":
            return {"data": {"upsertBucket": self._upsert(values)}}
        if name == "CreateArtifact":
            self.artifacts.append(values["input"]["artifactCollectionName"])
            artifact = {"id": "a", "state": "COMMITTED", "artifactSequence": None}
            return {"data": {"createArtifact": {"artifact": artifact}}}
        if name == "CreateRunFiles":
            made = {"runID": values["run"], "uploadHeaders": [], "files": []}
            for file in values["files"]:
                made["files"].append({"name": file, "uploadUrl": f"{self.address}/put/{file}"})
            return {"data": {"createRunFiles": made}}
        return {"data": None, "errors": [{"message": f"{name} is not known here"}]}

    def _upsert(self, values: dict[str, Any]) -> dict[str, Any]:
        name = values["name"]
        inserted = name not in self.runs
        self.runs.setdefault(name, []).append(values)
        project = {"id": "p", "name": values["project"], "entity": {"id": "e", "name": "me"}}
        bucket = {
            "id": name,
            "name": name,
            "displayName": values["displayName"],
            "description": "",
            "config": "{}",
            "sweepName": None,
            "project": project,
            "historyLineCount": len(self.lines.get(name, {}).get(HISTORY, {})),
        }
        return {"bucket": bucket, "inserted": inserted}

    def stream(self, run: str, sent: dict[str, Any]) -> None:
        """Take lines of files."""
        for file, chunk in sent.get("files", {}).items():
            own = self.lines.setdefault(run, {}).setdefault(file, {})
            for number, line in enumerate(chunk["content"], chunk["offset"]):
                if file == HISTORY and own.get(number, line) != line:
                    self.overwritten.append(own[number])
                own[number] = line
        if sent.get("complete"):
            self.states.setdefault(run, []).append(sent["exitcode"])


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of connections that wandb leaves open at its end."""


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """Listen on loopback."""
    kept = StandIn()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            answer: dict[str, Any] = {}
            if self.path.endswith("/graphql"):
                asked = json.loads(body)
                answer = kept.graphql(asked["query"], asked.get("variables") or {})
            elif self.path.endswith("/file_stream"):
                kept.stream(self.path.split("/")[-2], json.loads(body))
            text = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_POST

    server = _Server(("127.0.0.1", 0), Handler)
    kept.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
