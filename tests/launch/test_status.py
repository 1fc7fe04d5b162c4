"""`+exp=status`: states, progress, what went wrong, exit code; and `dry_run`."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from critwin.errors import CritwinError, ParameterError
from critwin.lease import machine
from critwin.planning import Total
from critwin.records import RunDirectory
from experiments.estimates import Cost
from experiments.noted_progress import NotedProgress
from experiments.tracker import Silent
from launch import queue
from launch.preflight import preflight
from launch.status import Status
from launch.sweep import Assignment, note_failure, open_submission, write_submission
from launch.worker import Order, Worker


@pytest.fixture
def sweep(fake, flags):
    made = preflight(flags("+exp=fake", "seed=1,2,3", "tracker=none", "-m")).sweep
    made.write_manifest()
    return made


def ask(*runs: str) -> tuple[int, str]:
    out = Console(width=160, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    status = Status(runs=runs)
    status.check()
    code = status.answer(out)
    out.file.close()
    return code, out.export_text()


def send(sweep, *, alive: bool) -> str:
    """Write down that a process has all cells."""
    submission = open_submission(sweep.folder, "local")
    began = psutil.Process().create_time()
    pid = str(os.getpid()) if alive else "999999999"
    cells = tuple(cell.run_id for cell in sweep.cells)
    job = Assignment(pid, cells, machine(), began)
    write_submission(sweep.folder, replace(submission, jobs=(job,)))
    return submission.name


def states_of(text: str) -> list[str]:
    return re.findall(r"^(waiting|running|done|failed|lost)\b", text, re.M)


@pytest.mark.parametrize(("alive", "state"), [(True, "waiting"), (False, "lost")])
def test_waiting_while_its_job_is_there_then_lost(alive: bool, state: str, sweep) -> None:
    send(sweep, alive=False)
    send(sweep, alive=alive)
    code, text = ask(str(sweep.folder))
    assert (code, states_of(text)) == (1, [state] * 3)


def test_done_is_zero_and_a_run_is_shown_once(sweep) -> None:
    facts = dict(open_submission(sweep.folder, "local").facts)
    task = Order(str(sweep.folder), "s", facts, [cell.run_id for cell in sweep.cells])
    Worker(task).work()
    code, text = ask(".")
    assert (code, states_of(text)) == (0, ["done"] * 3)
    assert "3 runs: 3 done" in text


def test_a_running_cell_shows_progress_speed_and_time_left(sweep) -> None:
    directory = RunDirectory(Path(sweep.cells[0].directory))
    with directory.locked():
        directory.write_json("provenance", {"status": "running", "start": "", "restarts": 0})
        noted = NotedProgress(Silent(), directory)
        noted.begin("resamples", 40, unit="originals")
        noted.advance(10, **{"tokens/s": 1234.0})
        noted.end()
        code, text = ask(str(sweep.folder))
        assert code == 1
        (line,) = [line for line in text.splitlines() if line.startswith("running")]
        assert f"outputs/fake/{sweep.cells[0].run_id}" in line
        assert re.search(r"seed=1 +resamples 10/40 originals +1234 +\d", line)


def test_a_failed_cell_shows_the_last_line_of_its_traceback(sweep) -> None:
    name = send(sweep, alive=True)
    note_failure(
        sweep.folder, sweep.cells[1].run_id, submission=name, error="ValueError: \x1b[31mbad [b]"
    )
    code, text = ask(str(sweep.folder))
    assert states_of(text) == ["waiting", "failed", "waiting"]
    assert "ValueError: \N{REPLACEMENT CHARACTER}[31mbad [b]" in text
    assert code == 1


@pytest.mark.parametrize("runs", [(), ("nowhere",), ("own",)])
def test_what_is_no_sweep_is_refused(runs, sweep) -> None:
    with pytest.raises(ParameterError, match="runs is"):
        Status(runs=runs).check()


def test_slurm_that_does_not_answer_is_no_reason_to_submit_again(monkeypatch, tmp_path) -> None:
    fake = tmp_path / "squeue"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    from launch.sweep import Submission

    sent = Submission("s", "slurm", (Assignment("7_1", ("x",)),), {})
    assert queue.alive([sent]) == {"7_1": True}
    fake.write_text("#!/bin/sh\necho 7_0\necho 7_2\n")
    assert queue.alive([sent]) == {"7_1": False}


def test_a_dry_run_says_all_and_does_nothing(fake, flags, capfd) -> None:
    plan = preflight(
        flags(
            "+exp=fake",
            "seed=1,2,3",
            "cluster=local",
            "cluster.max_parallel=2",
            "dry_run=true",
            "-m",
        )
    )
    out = Console(width=160, file=sys.stdout)
    plan.rehearsal.show(out, progress=Silent())
    text = capfd.readouterr().out
    assert states_of(text) == ["waiting"] * 3
    assert re.search(r"seed=2 +1\b", text), "the second cell would go into job 1"
    assert "3 cells, 0 done; 3 would go out in 2 jobs on local" in text
    assert {path.name for path in Path().iterdir()} == {"own"}
    one = preflight(flags("+exp=fake", "dry_run=true")).rehearsal
    one.show(out, progress=Silent())
    assert "one run would be computed" in capfd.readouterr().out


@pytest.fixture
def measured(fake, monkeypatch, tmp_path):
    """Let a pilot cost 12,345 tokens, and count pilots."""
    pilots: list[int] = []

    def cost(self, *, progress):
        pilots.append(self.size)
        if self.size == 5:
            raise CritwinError("its weights are not here")
        tokens = Total(12345.0 * self.size, 10000.0 * self.size, 15000.0 * self.size)
        return Cost(tokens, tokens.over(100.0), "cpu")

    monkeypatch.setattr(fake, "cost", cost)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return pilots


def rehearse(flags, capfd, *overrides: str) -> str:
    plan = preflight(flags("+exp=fake", "dry_run=true", *overrides))
    plan.rehearsal.show(Console(width=160, file=sys.stdout), progress=Silent())
    return capfd.readouterr().out


def test_a_dry_run_shows_costs_and_measures_each_kind_once(measured, flags, capfd) -> None:
    swept = ("seed=1,2,3", "size=1,2", "cluster=local", "cluster.max_parallel=2", "-m")
    text = rehearse(flags, capfd, *swept)
    assert sorted(measured) == [1, 2], "cells that differ in their seed cost the same"
    assert len(re.findall(r"size=1.* 12,300 \[10,000, 15,000\] +2 min 03 s", text)) == 3
    assert len(re.findall(r"size=2.* 24,700 \[20,000, 30,000\] +4 min 07 s", text)) == 3
    assert "together about 111,000 tokens [90,000, 135,000], 18 min 31 s on cpu" in text
    longest = re.search(r"the longest job takes (\d+) min (\d+) s", text)
    assert longest is not None
    assert 540 < int(longest[1]) * 60 + int(longest[2]) < 1111
    assert rehearse(flags, capfd, *swept) == text
    assert len(measured) == 2, "they are remembered"
    assert rehearse(flags, capfd, "size=2", "seed=9").count("24,700") == 2


def test_a_cost_that_cannot_be_known_is_a_dash(measured, flags, capfd) -> None:
    text = rehearse(flags, capfd, "size=1,5", "seed=1", "-m")
    assert re.search(r"size=5 +\d+ +- +-", text)
    assert "no cost of fake tiny: its weights are not here" in text
    assert "1 cells apart, whose cost is not known" in text


def test_a_dry_run_loads_nothing_where_it_is_told_so(measured, flags, capfd) -> None:
    text = rehearse(flags, capfd, "size=1", "dry_run_cost=false")
    assert re.search(r"waiting .* - +-", text)
    assert not measured
    rehearse(flags, capfd, "size=1")
    assert "12,300" in rehearse(flags, capfd, "size=1", "dry_run_cost=false"), "remembered"


def test_a_damaged_memory_is_measured_anew(measured, flags, capfd, tmp_path) -> None:
    rehearse(flags, capfd, "size=1")
    (kept,) = (tmp_path / "cache" / "critwin" / "costs").iterdir()
    kept.write_text('{"tokens": 3}')
    assert "12,300" in rehearse(flags, capfd, "size=1")
    assert measured == [1, 1]
