"""A W&B server that hangs, refuses or drops, on loopback: the run does not notice."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from launch import tracking
from launch.run import start
from tests.launch.conftest import records_of

pytestmark = [
    # connections that the server here and W&B's service (0.31) gave up are closed when collected
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

PLANTED = hashlib.sha1(b"a key that is none").hexdigest()


@contextmanager
def server(kind: str) -> Iterator[str]:
    """Listen on loopback and be of no use."""
    listening = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            if kind == "drops":
                with connection, suppress(OSError):
                    connection.recv(1)
            else:
                held.append(connection)

    if kind == "refuses":
        listening.close()  # nobody listens at the address any more
    else:
        threading.Thread(target=serve, daemon=True).start()
    try:
        yield address
    finally:
        listening.close()
        for connection in held:
            connection.close()


@pytest.mark.parametrize("kind", ["hangs", "refuses", "drops"])
def test_the_run_ends_well(kind: str, fake, job, monkeypatch, tmp_path: Path, capfd) -> None:
    monkeypatch.setattr(tracking, "INIT_SECONDS", 3.0)
    monkeypatch.setattr(tracking, "FINISH_SECONDS", 4.0)
    monkeypatch.setenv("WANDB_API_KEY", PLANTED)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with server(kind) as address:
        monkeypatch.setenv("WANDB_BASE_URL", address)
        made = job("+exp=fake", "tracker.mode=online", f"seed={ord(kind[0])}")
        start(made, group="the-sweep")
    record = json.loads((made.directory() / "provenance.json").read_text())
    assert record["status"] == "complete"
    shown = "".join(capfd.readouterr())
    kept = "".join(
        path.read_text(errors="replace")
        for path in made.directory().rglob("*")
        if path.is_file() and not path.is_symlink()
    )
    assert PLANTED not in shown + kept, "the key is in no record, log or W&B file"


def test_parts_of_a_resumed_run_go_on_counting(fake, job, scalars) -> None:
    made = job("+exp=fake", "fail=broken")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken"):
            start(made, group=None)

    def steps() -> list[list[object]]:
        files = made.directory().rglob("*.wandb")
        return sorted([row["_step"] for row in scalars(records_of(path))] for path in files)

    deadline = time.monotonic() + 20  # W&B's service writes after `finish` has returned
    while steps() != [[0, 1, 2], [3, 4, 5]] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert steps() == [[0, 1, 2], [3, 4, 5]]


def test_the_sync_line_names_every_part(fake, job) -> None:
    made = job("+exp=fake", "fail=broken", "seed=51")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken"):
            start(made, group=None)
    line = made.tracking.open(_info(made.directory())).finish("complete")
    assert line is not None
    assert line.startswith("wandb sync ")
    folders = line.removeprefix("wandb sync ").split()
    assert len(folders) >= 2  # two starts of the same second share one
    assert sorted(folders) == sorted(
        str(path.parent.resolve()) for path in made.directory().rglob("*.wandb")
    )


def _info(directory: Path) -> tracking.RunInfo:
    return tracking.RunInfo(
        run_id=directory.name,
        name="fake",
        group="g",
        job_type="measure",
        axis="originals_done",
        tags=(),
        config={},
        directory=directory,
    )


def test_records_are_an_artifact_once(fake, job, wandb_records) -> None:
    made = job("+exp=fake")
    start(made, group=None)
    records = wandb_records(made.directory())
    artifacts = [
        r.request.log_artifact for r in records if r.WhichOneof("record_type") == "request"
    ]
    artifacts += [r.artifact for r in records if r.WhichOneof("record_type") == "artifact"]
    names = [getattr(a, "artifact", a).name for a in artifacts]
    assert [n for n in names if n.startswith("records-")] == [f"records-{made.directory().name}"]
