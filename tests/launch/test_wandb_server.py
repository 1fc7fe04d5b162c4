"""W&B servers on loopback: useless ones, which no run notices, and one that takes offline parts."""

from __future__ import annotations

import hashlib
import json
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from launch import tracking
from launch.run import start
from tests.launch.conftest import records_of
from tests.launch.wandb_stand_in import stand_in

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


def test_the_sync_line_makes_one_run_of_all_parts(fake, job, monkeypatch, capfd) -> None:
    """`wandb sync` itself, against a server that keeps what it is sent."""
    made = job("+exp=fake", "seed=7")
    run = fake.run

    def stopped(self, directory, *, tracker, progress):
        tracker.log({"originals_done": 1, "share_with_window": 0.5})
        tracker.log({"originals_done": 2, "share_with_window": 0.5})
        raise KeyboardInterrupt

    for own, at in ((stopped, 0.0), (stopped, 1.1), (run, 2.2)):
        time.sleep(min(at, 1.1))  # W&B names the folder of a part by its second
        monkeypatch.setattr(fake, "run", own)
        with suppress(KeyboardInterrupt):
            start(made, group="the-sweep")
    (line,) = [text for text in capfd.readouterr().out.splitlines() if "wandb sync" in text]
    command = shlex.split(line.partition("tracker:")[2])
    assert command[:2] == ["wandb", "sync"]
    assert len(command) == 5
    with stand_in() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        monkeypatch.setenv("WANDB_API_KEY", PLANTED)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        program = str(Path(sys.executable).with_name("wandb"))
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert PLANTED not in done.stdout + done.stderr
    (name,) = server.runs
    assert name == made.directory().name
    assert server.overwritten == [], "no part is written over an earlier one"
    rows = server.history(name)
    assert [row["_step"] for row in rows] == list(range(len(rows)))
    axis = [row["originals_done"] for row in rows if "share_with_window" in row]
    assert axis == [1, 2, 1, 2, 1, 2, 3]
    assert "headline/accuracy/estimate" in json.loads(server.summary(name))
    assert server.runs[name][0]["groupName"] == "the-sweep"
    assert server.runs[name][0]["jobType"] == "measure"
    assert server.artifacts.count(f"records-{name}") == 1
    assert server.states[name][-1] == 0


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
