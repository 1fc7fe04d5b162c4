"""Leases: one holder, no clock of another machine, free when the holder is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from critwin import lease as leases
from critwin.errors import RecordsError
from critwin.lease import Holder, Lease, LeaseLost, LeaseTaken, draft_name, is_abandoned

ELSEWHERE = replace(Holder.own(), host="node7", machine="0" * 12, job="42_1")


def held_elsewhere(folder: Path, *, ago: float, number: int = 1) -> Path:
    file = folder / f".lease-{number:06d}"
    file.write_text(json.dumps(asdict(ELSEWHERE)))
    os.utime(file, (time.time() - ago,) * 2)
    return file


def test_one_of_many_gets_it(tmp_path: Path) -> None:
    taken: list[Lease] = []

    def take() -> None:
        lease = Lease(tmp_path, ".lease")
        try:
            lease.take()
        except LeaseTaken:
            return
        taken.append(lease)

    for _ in range(20):
        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == 1
        taken.pop().release()
    assert not list(tmp_path.iterdir())


def test_a_holder_of_another_machine_is_named_and_left_alone(tmp_path: Path) -> None:
    held_elsewhere(tmp_path, ago=60)
    with pytest.raises(LeaseTaken, match=r"process \d+ on node7, job 42_1"):
        Lease(tmp_path, ".lease").take()


def test_a_silent_holder_of_another_machine_loses_it(tmp_path: Path) -> None:
    old = held_elsewhere(tmp_path, ago=leases.EXPIRES_SECONDS + 5)
    with Lease(tmp_path, ".lease") as lease:
        assert not old.exists()
        assert [path.name for path in tmp_path.iterdir()] == [".lease-000002"]
        lease.check()


def test_who_was_taken_over_must_not_write(tmp_path: Path) -> None:
    with Lease(tmp_path, ".lease") as lease:
        held_elsewhere(tmp_path, ago=0, number=2)
        with pytest.raises(LeaseLost, match="taken over"):
            lease.check()


def test_a_dead_process_of_this_machine_lets_go_at_once(tmp_path: Path) -> None:
    code = (
        "import os,sys; from pathlib import Path; from critwin.lease import Lease\n"
        "Lease(Path(sys.argv[1]), '.lease').take(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert [path.name for path in tmp_path.iterdir()] == [".lease-000001"]
    assert Lease(tmp_path, ".lease").holder() is None
    with Lease(tmp_path, ".lease"):
        pass


def test_a_number_of_a_process_that_was_used_again_is_another_process(tmp_path: Path) -> None:
    other = replace(Holder.own(), began=Holder.own().began - 100)
    assert other.is_dead()
    assert not Holder.own().is_dead()


def test_it_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.05)
    with Lease(tmp_path, ".lease") as lease:
        first = lease.beat()
        deadline = time.monotonic() + 20
        while lease.beat() == first:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_damaged_lease_holds_until_it_expires(tmp_path: Path) -> None:
    file = tmp_path / ".lease-000001"
    file.write_text("{")
    with pytest.raises(LeaseTaken):
        Lease(tmp_path, ".lease").take()
    os.utime(file, (time.time() - leases.EXPIRES_SECONDS - 5,) * 2)
    with Lease(tmp_path, ".lease"):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordsError, match="cannot be written"):
        Lease(tmp_path / "file", ".lease").take()


def test_drafts_of_the_dead_are_abandoned(tmp_path: Path) -> None:
    own = tmp_path / draft_name("t.parquet")
    own.touch()
    assert not is_abandoned(own)
    dead = tmp_path / own.name.replace(str(os.getpid()), "999999999")
    dead.touch()
    assert is_abandoned(dead)
    far = tmp_path / f".t.parquet.{'0' * 12}-1"
    far.touch()
    assert not is_abandoned(far)
    os.utime(far, (time.time() - leases.EXPIRES_SECONDS - 5,) * 2)
    assert is_abandoned(far)
    plain = tmp_path / "t.parquet"
    plain.touch()
    assert not is_abandoned(plain)
