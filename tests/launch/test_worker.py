"""Jobs: what a worker computes, refuses and leaves, and what a supervisor does when it dies."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from critwin import assets
from critwin.identity import identity
from critwin.records import RunDirectory
from launch import executors, queue, worker
from launch.entry import ForeignError, check_private, make_private
from launch.preflight import preflight
from launch.supervisor import JobError, Supervisor
from launch.sweep import Sweep, open_submission, read_failure, write_json
from launch.worker import ALL_WELL, MEMORY_FULL, SOME_FAILED, Order, Worker, differences


@pytest.fixture
def order(fake, flags):
    """Write the order of a job for all cells of a sweep."""

    def make(*overrides: str, shards: int = 1) -> tuple[Sweep, Order, Path]:
        sweep = preflight(flags("+exp=fake", "tracker=none", *overrides, "-m")).sweep
        sweep.write_manifest()
        submission = open_submission(sweep.folder, "local")
        values = {
            "sweep": str(sweep.folder),
            "submission": submission.name,
            "facts": dict(submission.facts),
            "cells": [cell.run_id for cell in sweep.cells],
            "shards": shards,
        }
        path = sweep.folder / "order.json"
        write_json(path, values)
        return sweep, Order.read(path), path

    return make


def record(sweep: Sweep, cell: int) -> dict:
    return json.loads((Path(sweep.cells[cell].directory) / "provenance.json").read_text())


def test_cells_are_computed_one_after_the_other(fake, order) -> None:
    sweep, task, _ = order("seed=1,2,3")
    told: list[str] = []
    assert Worker(task, tell=told.append).work() == ALL_WELL
    assert fake.runs == [1, 2, 3]
    assert told == [f"{cell.run_id}\n" for cell in sweep.cells]
    assert Worker(task).work() == ALL_WELL
    assert fake.runs == [1, 2, 3]


def test_a_failed_cell_is_noted_and_not_tried_again_by_its_submission(fake, order) -> None:
    sweep, task, _ = order("seed=1,2", "fail='',broken")
    assert Worker(task).work() == SOME_FAILED
    assert sorted(fake.runs) == [1, 1, 2, 2]
    notes = [read_failure(sweep.folder, cell.run_id) for cell in sweep.cells]
    assert [note and note["error"] for note in notes].count("RuntimeError: broken") == 2
    assert Worker(task).work() == SOME_FAILED
    assert len(fake.runs) == 4


def test_a_run_that_another_process_computes_is_left_to_it(fake, order, monkeypatch) -> None:
    monkeypatch.setattr("critwin.lease.RENEW_SECONDS", 0.05)
    monkeypatch.setattr(worker, "LOOK_SECONDS", 0.02)
    sweep, task, _ = order("seed=1,2")
    with RunDirectory(Path(sweep.cells[0].directory)).locked():
        assert Worker(task).work() == ALL_WELL
    assert fake.runs == [2]


def test_a_run_whose_holder_dies_is_taken_over(fake, order, monkeypatch) -> None:
    monkeypatch.setattr(worker, "LOOK_SECONDS", 0.02)
    sweep, task, _ = order("seed=1,2")
    lease = RunDirectory(Path(sweep.cells[0].directory)).lease
    lease.take()
    monkeypatch.setattr(fake, "run", _releasing(fake.run, lease))
    assert Worker(task).work() == ALL_WELL
    assert fake.runs == [2, 1]


def _releasing(run, lease):
    def first(self, *args, **kwargs):
        lease.release()
        return run(self, *args, **kwargs)

    return first


@pytest.mark.parametrize("field", ["dataset.content", "model.content"])
def test_content_that_changed_is_refused_with_both_hashes(field: str, fake, order) -> None:
    sweep, task, _ = order("seed=1,2")
    path = sweep.folder / "cells" / f"{sweep.cells[0].run_id}.json"
    cell = json.loads(path.read_text())
    group, key = field.split(".")
    cell["config"]["seed"] = 77  # the run id is another one, as after a change of a file
    cell["identity"] = {**cell["identity"], group: {key: "aaaa"}}
    path.write_text(json.dumps(cell))
    assert Worker(task).work() == SOME_FAILED
    error = read_failure(sweep.folder, sweep.cells[0].run_id)["error"]
    assert "seed was 1, is 77" in error
    assert f"{group} was {{'{key}': 'aaaa'}}, is None" in error
    assert fake.runs == [2]


def test_a_changed_dataset_is_named_by_its_hashes(tmp_path: Path, flags, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = '{{"question": "What is {0} + 1?", "answer": "so\\n#### 2"}}\n'
    Path("p.jsonl").write_text(line.format(1))
    chain = ("model=markov_string", "feature=final_word", "tracker=none", "cluster=debug")
    given = ("+exp=llm_math", *chain, "dataset=gsm8k", "dataset.path=p.jsonl", "seed=1,2", "-m")
    sweep = preflight(flags(*given, "sampler.temperature=null")).sweep
    sweep.write_manifest()
    Path("p.jsonl").write_text(line.format(5))
    facts = open_submission(sweep.folder, "local").facts
    task = Order(str(sweep.folder), "s", dict(facts), [sweep.cells[0].run_id])
    assert Worker(task).work() == SOME_FAILED
    error = read_failure(sweep.folder, sweep.cells[0].run_id)["error"]
    before = (
        sweep.cells[0].identity["components"]
        if "components" in sweep.cells[0].identity
        else (sweep.cells[0].identity)
    )
    assert f"dataset.content was {before['dataset']['content']}, is " in error
    assert not Path(sweep.cells[0].directory).exists()


def test_changed_weights_are_named_by_their_hashes(tmp_path: Path, flags, monkeypatch) -> None:
    """One byte of a checkpoint changes: refused before the model is loaded."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(Path(assets.__file__).parent / "arithmetic", "model")
    given = ("model=hf", "model.path=model", "tracker=none", "cluster=debug", "seed=1,2", "-m")
    sweep = preflight(flags("+exp=llm_math", *given, "sampler.temperature=null")).sweep
    sweep.write_manifest()
    facts = open_submission(sweep.folder, "local").facts
    with Path("model/model.safetensors").open("r+b") as weights:
        weights.seek(-1, os.SEEK_END)
        last = weights.read(1)[0]
        weights.seek(-1, os.SEEK_END)
        weights.write(bytes([last ^ 1]))
    task = Order(str(sweep.folder), "s", dict(facts), [sweep.cells[0].run_id])
    assert Worker(task).work() == SOME_FAILED
    error = read_failure(sweep.folder, sweep.cells[0].run_id)["error"]
    before = sweep.cells[0].identity["model"]["content"]
    assert re.search(rf"model\.content was {before}, is (?!{before})[0-9a-f]{{16}}", error)
    assert not Path(sweep.cells[0].directory).exists()


def test_a_code_change_is_recorded_and_warned_of(fake, order, monkeypatch, caplog) -> None:
    sweep, task, _ = order("seed=1,2")
    Worker(task)._attempt(worker.read_cell(sweep.folder, sweep.cells[0].run_id))
    assert record(sweep, 0)["submitted"]["code_changed"] is False
    monkeypatch.setattr(worker, "code_hash", lambda: "f" * 64)
    with caplog.at_level(logging.WARNING):
        Worker(task).work()
    assert record(sweep, 1)["submitted"]["code_changed"] is True
    assert "the code was changed after submission" in caplog.text


def test_a_full_gpu_fails_one_cell_and_the_others_get_a_fresh_process(
    fake, order, monkeypatch
) -> None:
    import torch

    sweep, task, _ = order("seed=1,2,3")
    run = fake.run

    def full(self, *args, **kwargs):
        if self.seed == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return run(self, *args, **kwargs)

    monkeypatch.setattr(fake, "run", full)
    assert Worker(task).work() == MEMORY_FULL
    assert fake.runs == [1]
    error = read_failure(sweep.folder, sweep.cells[1].run_id)["error"]
    assert error.startswith("OutOfMemoryError: CUDA out of memory")
    assert "model.memory_gb" in error
    assert Worker(task).work() == SOME_FAILED
    assert fake.runs == [1, 3]


def test_a_cell_whose_process_is_killed_again_and_again_has_failed(order, monkeypatch) -> None:
    sweep, _, path = order("seed=1,2")
    first, second = (cell.run_id for cell in sweep.cells)
    endings = iter([(-9, first), (-9, first), (-9, first), (-11, second), (ALL_WELL, second)])
    monkeypatch.setattr(Supervisor, "_work", lambda self: next(endings))
    Supervisor(str(path))()
    assert "signal 9" in read_failure(sweep.folder, first)["error"]
    assert "out of memory?" in read_failure(sweep.folder, first)["error"]
    assert read_failure(sweep.folder, second) is None


def test_a_process_that_comes_further_each_time_is_started_again(order, monkeypatch) -> None:
    sweep, _, path = order("seed=1,2")
    run = RunDirectory(Path(sweep.cells[0].directory))
    deaths: list[int] = []

    def die(self) -> tuple[int, str]:
        deaths.append(1)
        run.parts.mkdir(parents=True, exist_ok=True)
        (run.parts / f"t-{len(deaths):06d}.parquet").touch()
        return (-9, run.path.name) if len(deaths) < 9 else (ALL_WELL, "")

    monkeypatch.setattr(Supervisor, "_work", die)
    Supervisor(str(path))()
    assert len(deaths) == 9


@pytest.mark.parametrize("code", [SOME_FAILED, 143])
def test_what_is_not_done_fails_the_job(code: int, order, monkeypatch) -> None:
    *_, path = order("seed=1,2")
    monkeypatch.setattr(Supervisor, "_work", lambda self: (code, ""))
    with pytest.raises(JobError):
        Supervisor(str(path))()


def test_differences_are_named_by_their_path() -> None:
    before = {"a": {"content": "x", "k": 1}, "b": 2}
    assert differences(before, {"a": {"content": "y", "k": 1}, "b": 2}) == ["a.content was x, is y"]
    assert differences(before, before) == []
    assert identity(3) == 3


def test_pickles_are_read_from_a_private_folder_only(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    make_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    check_private(folder)
    for mode in (0o770, 0o702, 0o755):
        folder.chmod(mode)
        with pytest.raises(ForeignError, match="yours alone"):
            check_private(folder)
    link = tmp_path / "link"
    link.symlink_to(folder)
    folder.chmod(0o700)
    with pytest.raises(ForeignError):
        check_private(link)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a folder somebody else's")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    with pytest.raises(ForeignError, match="belongs to user 12345"):
        make_private(folder)


def test_slurm_is_asked_how_long_an_array_may_be(monkeypatch, tmp_path: Path) -> None:
    fake = tmp_path / "scontrol"
    fake.write_text("#!/bin/sh\necho 'MaxArraySize            = 17'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert executors.max_array_size() == 17
    fake.write_text("#!/bin/sh\nexit 1\n")
    assert executors.max_array_size() == executors.MAX_ARRAY_SIZE


def test_a_worker_lives_through_the_warning_and_is_killed_before_its_supervisor() -> None:
    from launch.supervisor import _become_worker

    show = "import os; os.kill(os.getpid(), 12); print(open('/proc/self/oom_score_adj').read())"
    shown = subprocess.check_output([sys.executable, "-c", show], preexec_fn=_become_worker)
    assert signal.SIGUSR2 == 12
    assert int(shown) > int(Path("/proc/self/oom_score_adj").read_text())


@pytest.mark.parametrize(
    ("executor", "time", "back"),
    [("slurm", "2026-11-25T23:13:27", True), ("slurm", "None", False), ("local", "now", False)],
)
def test_a_preempted_job_goes_back_to_the_queue(
    executor: str, time: str, back: bool, monkeypatch, tmp_path: Path
) -> None:
    """As SLURM 22.05 shows it; tests/faults/test_slurm.py asks a real one."""
    fake = tmp_path / "scontrol"
    shown = f"   PreemptEligibleTime=x PreemptTime={time}"
    fake.write_text(f"#!/bin/sh\necho $* >> {tmp_path}/asked\necho '{shown}'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SUBMITIT_EXECUTOR", executor)
    assert queue.go_back() is back
    asked = tmp_path / "asked"
    assert ("requeue 7" in (asked.read_text() if asked.exists() else "")) is back
