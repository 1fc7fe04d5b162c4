"""Run directories: nothing half-written is ever read."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pyarrow as pa
import pytest

from critwin.errors import RecordsError
from critwin.records import RunDirectory, write_table


def rows(*values: int) -> pa.Table:
    return pa.table({"v": pa.array(values, pa.int64())})


def test_parts_become_one_sorted_file(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.write_part("t", 1, rows(4, 1), notes={"seconds": 2.0})
    run.write_part("t", 0, rows(3), notes={"seconds": 0.5})
    assert [run.has_part("t", i) for i in range(3)] == [True, True, False]
    assert [run.notes("t", i) for i in (0, 1)] == [{"seconds": 0.5}, {"seconds": 2.0}]
    assert run.assemble("t", 2, sort_by=["v"])["v"].to_pylist() == [1, 3, 4]
    assert run.read("t")["v"].to_pylist() == [1, 3, 4]
    run.drop_parts()
    assert sorted(p.name for p in run.path.iterdir()) == ["t.parquet"]


def test_notes_leave_no_trace_in_the_bytes(tmp_path: Path) -> None:
    for name, seconds in (("a", 1.0), ("b", 2.0)):
        run = RunDirectory(tmp_path / name)
        run.write_part("t", 0, rows(1, 2), notes={"seconds": seconds})
        run.assemble("t", 1, sort_by=["v"])
    assert (tmp_path / "a/t.parquet").read_bytes() == (tmp_path / "b/t.parquet").read_bytes()


def test_damaged_part_is_made_again(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.write_part("t", 0, rows(*range(1000)), notes={})
    (part,) = run.parts.iterdir()
    part.write_bytes(part.read_bytes()[:-100])
    assert not run.has_part("t", 0)
    assert not part.exists()


def test_missing_and_damaged_tables_are_named(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    with pytest.raises(RecordsError, match=r"t\.parquet is missing"):
        run.read("t")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(RecordsError, match=r"t\.parquet cannot be read"):
        run.read("t")


def test_failed_write_leaves_the_old_table(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(rows(1), path)
    before = path.read_bytes()
    with pytest.raises(AttributeError):
        write_table("no table", path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def _hold(path: str, ready: multiprocessing.synchronize.Event) -> None:
    with RunDirectory(Path(path)).locked():
        ready.set()
        signal.pause()


def test_one_process_at_a_time_and_the_dead_let_go(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(str(tmp_path), ready))
    holder.start()
    assert ready.wait(30)
    run = RunDirectory(tmp_path)
    assert run.is_held()
    with pytest.raises(RecordsError, match="another process"), run.locked():
        pass
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join(30)
    assert not run.is_held()
    with run.locked():
        assert run.is_held()


def test_json_refuses_what_is_no_number(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.write_json("summary", {"share": 0.5, "none": None})
    assert run.read_json("summary") == {"share": 0.5, "none": None}
    assert run.read_json("other") is None
    with pytest.raises(ValueError, match="JSON compliant"):
        run.write_json("summary", {"share": float("nan")})
    assert run.read_json("summary") == {"share": 0.5, "none": None}


@pytest.mark.parametrize("text", ["{", "[1]", "null", "\xff"])
def test_a_damaged_record_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "provenance.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RecordsError, match=r"provenance\.json is damaged .*allowed: .*remove"):
        RunDirectory(tmp_path).read_json("provenance")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = RunDirectory(tmp_path / "file" / "run")
    assert run.read_json("provenance") is None
    assert not run.is_held()
    with pytest.raises(RecordsError, match=r"file/run cannot be written"), run.locked():
        pass
    with pytest.raises(RecordsError, match=r"summary\.json cannot be written"):
        run.write_json("summary", {})
