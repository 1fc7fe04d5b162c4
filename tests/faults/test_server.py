"""`transformers serve` on loopback: runs through it, one of which it does not outlive."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from critwin.errors import ModelError
from critwin.features.math_answer import MathAnswer
from critwin.problems.arithmetic import ArithmeticProblems
from critwin.prompt import PromptTemplate
from critwin.protocol import ForkProtocol, Fractions
from critwin.records import RunDirectory
from critwin.samplers.checkpoint import ASSETS
from critwin.samplers.server import ServerSampler
from critwin.windows.confident_jump import ConfidentJump
from experiments.experiment import carry_out
from experiments.llm_math import LlmMath
from experiments.tracker import Silent

pytestmark = pytest.mark.faults

CHECKPOINT = ASSETS / "arithmetic"
BEGIN = 400
"""Seconds that a server may take to begin."""


@contextmanager
def serve(port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        str(Path(sys.executable).with_name("transformers")),
        *("serve", str(CHECKPOINT), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("ab") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    try:
        end = time.monotonic() + BEGIN
        while not alive(port):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.3)
        yield server
    finally:
        server.kill()
        server.wait()


def alive(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


def run_of(port: int, protocol: Fractions | ForkProtocol) -> LlmMath:
    model = ServerSampler(
        path="embedded:arithmetic",
        base_url=f"http://127.0.0.1:{port}/v1",
        max_new_tokens=80,
        patience_s=2.0,
    )
    return LlmMath(
        model=model,
        dataset=ArithmeticProblems(n_problems=1),
        prompt=PromptTemplate(),
        sampler=protocol,
        feature=MathAnswer(),
        window=ConfidentJump(),
        originals_per_problem=1,
    )


@dataclass
class Killing(Silent):
    """Kills a server when resampling begins."""

    server: subprocess.Popen[bytes]

    def begin(self, stage: str, total: int, *, unit: str, done: int = 0) -> None:
        if stage == "resamples":
            self.server.kill()
            self.server.wait()


def carried_out(run: LlmMath, path: Path, progress: Silent) -> list[list[dict[str, Any]]]:
    """Give the rows of a run; surprisals, which are not known, as a text."""
    directory = RunDirectory(path)
    carry_out(run, directory, config="", tracker=Silent(), progress=progress)
    tables = [directory.read(name).to_pylist() for name in ("originals", "resamples")]
    for row in tables[0]:
        row["surprisal"] = str(row["surprisal"])
    return tables


def test_a_run_outlives_its_server(tmp_path: Path, port: int) -> None:
    log = tmp_path / "serve.log"
    grid = run_of(port, Fractions(n=2, fractions=(0.5,)))
    with serve(port, log) as server:
        undisturbed = carried_out(grid, tmp_path / "undisturbed", Silent())
        forks = run_of(port, ForkProtocol(top_k=5, max_forks=4, pilot=2))
        with pytest.raises(ModelError, match="the server gives no token ids: forks through it"):
            carried_out(forks, tmp_path / "forks", Silent())
        assert not (tmp_path / "forks" / "originals.parquet").exists()
        with pytest.raises(ModelError, match=r"no answer for 2 s .*goes on from there"):
            carried_out(grid, tmp_path / "killed", Killing(server))
    record = json.loads((tmp_path / "killed" / "provenance.json").read_text())
    assert record["status"] == "failed"
    assert not (tmp_path / "killed" / "resamples.parquet").exists()
    with serve(port, log):
        again = carried_out(grid, tmp_path / "killed", Silent())
    # this server computes one request at a time, and draws with the seed of each
    assert again == undisturbed
    originals, resamples = again
    assert len(originals) == 1
    assert set(originals[0]["surprisal"]) <= set("[nan, ]")
    assert len(resamples) == 2 * 2
    assert not any(row["unscored"] for row in resamples)
    record = json.loads((tmp_path / "killed" / "provenance.json").read_text())
    assert record["restarts"] == 1
    assert record["rounding"]["redrawn_differently"] == 0
    facts = record["model"]["server"]
    assert (facts["prompts"], facts["seeds"]) == ("text", "taken")
    assert facts["retokenised"]["of another length"] == 0
