"""W&B: what arrives in the offline file, and that nothing W&B does stops or delays a run."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from launch import wandb_media
from launch.run import start
from launch.tracking import RunInfo, WandbTracker, WandbTracking, has_key
from launch.wandb_media import flatten, table


def info(folder: Path) -> RunInfo:
    return RunInfo(
        run_id="0123456789abcdef",
        name="fake",
        group="sweep",
        job_type="measure",
        axis="originals_done",
        tags=("fake",),
        config={"seed": 0},
        directory=folder,
    )


def of_kind(records: list, kind: str) -> list:
    return [getattr(r, kind) for r in records if r.WhichOneof("record_type") == kind]


def test_an_offline_run_holds_everything(fake, job, wandb_records, scalars, capfd) -> None:
    made = job("+exp=fake")
    start(made, group="the-sweep")
    path = made.directory()
    records = wandb_records(path)
    (run,) = of_kind(records, "run")
    assert run.run_id == path.name
    assert run.project == "critwin"
    assert run.run_group == "the-sweep"
    assert run.job_type == "measure"
    assert list(run.tags) == ["fake", "tiny"]
    assert run.display_name.startswith("fake tiny ")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["size"] == 3
    assert config["tracker"]["project"] == "critwin"
    steps = {(m.name or m.glob_name): m.step_metric for m in of_kind(records, "metric")}
    assert steps["*"] == "originals_done"
    rows = scalars(records)
    logged = [
        (r["originals_done"], r["share_with_window"]) for r in rows if "share_with_window" in r
    ]
    assert logged == [(1, 0.5), (2, 0.5), (3, 0.5)]
    media = {key: value for row in rows for key, value in row.items() if not key.startswith("_")}
    assert media["curves._type"] == "table-file"
    assert (media["curves.nrows"], media["windows.nrows"]) == (3, 1)
    assert media["report._type"] == "html-file"
    assert media["figures/curves._type"] == "image-file"
    summary = {
        ".".join(item.nested_key) or item.key: json.loads(item.value_json)
        for update in of_kind(records, "summary")
        for item in update.update
    }
    assert summary["headline/accuracy/estimate"] == 0.5
    assert [r.exit_code for r in of_kind(records, "exit")] == [0]
    (line,) = [ln for ln in capfd.readouterr().out.splitlines() if "wandb sync" in ln]
    folder = Path(line.partition("wandb sync ")[2])
    assert list(folder.glob("*.wandb")) == list(path.resolve().rglob("*.wandb"))


def test_a_failed_run_is_marked_failed(fake, job, wandb_records) -> None:
    made = job("+exp=fake", "fail=broken")
    with pytest.raises(RuntimeError, match="broken"):
        start(made, group=None)
    records = wandb_records(made.directory())
    assert [r.exit_code for r in of_kind(records, "exit")] == [1]
    assert of_kind(records, "run")[0].run_group == "fake"


def test_no_tracker_leaves_no_trace(fake, job) -> None:
    made = job("+exp=fake", "tracker=none")
    start(made, group=None)
    assert not list(made.directory().rglob("*wandb*"))


@pytest.mark.parametrize("broken", ["init", "log", "summary"])
def test_a_run_goes_on_when_wandb_fails(fake, job, monkeypatch, caplog, broken) -> None:
    import wandb

    def fail(*_args: object, **_kwargs: object) -> None:
        raise OSError("no space left")

    if broken == "init":
        monkeypatch.setattr(wandb, "init", fail)
    elif broken == "log":
        monkeypatch.setattr(wandb.Run, "log", fail)
    else:
        monkeypatch.setattr(wandb, "Html", fail)
    made = job("+exp=fake")
    with caplog.at_level(logging.WARNING):
        start(made, group=None)
    assert (made.directory() / "summary.json").exists()
    told = [r.getMessage() for r in caplog.records if "W&B failed" in r.getMessage()]
    assert told == ["W&B failed (OSError: no space left); the run goes on without it"]


def test_wandb_that_cannot_be_imported(fake, job, monkeypatch, caplog) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    made = job("+exp=fake")
    start(made, group=None)
    assert (made.directory() / "summary.json").exists()
    assert "W&B failed (ModuleNotFoundError" in caplog.text


def test_a_hanging_call_is_given_up(fake, tmp_path, monkeypatch, caplog) -> None:
    import wandb

    monkeypatch.setattr(wandb, "init", lambda **_: time.sleep(60))
    begun = time.monotonic()
    tracker = WandbTracker(WandbTracking(), info(tmp_path), finish_seconds=0.5)
    for done in range(1000):
        tracker.log({"originals_done": done})
    tracker.publish(tmp_path)
    tracker.finish("complete")
    assert time.monotonic() - begun < 8
    assert "did not answer within" in caplog.text
    assert "rows of scalars were not sent" in caplog.text


HANG = """
import os, signal, subprocess, sys, time
from pathlib import Path
from launch.tracking import RunInfo, WandbTracker, WandbTracking
here = Path(sys.argv[1])
run = RunInfo(
    run_id="abc", name="a", group="g", job_type="j", axis="n", tags=(), config={}, directory=here
)
tracker = WandbTracker(WandbTracking(), run, finish_seconds=2.0)
while tracker._run is None:
    time.sleep(0.05)
children = ["pgrep", "-P", str(os.getpid()), "wandb-core"]
service = int(subprocess.check_output(children).split()[0])
os.kill(service, signal.SIGSTOP)
print(service, flush=True)
tracker.log({"originals_done": 1})
tracker.finish("complete")
"""


def test_a_process_ends_although_the_service_hangs(fake, tmp_path) -> None:
    begun = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with (tmp_path / "out").open("w") as out:  # no pipe: the service would keep it open
        command = [sys.executable, "-c", HANG, str(tmp_path)]
        subprocess.run(command, stdout=out, timeout=60, env=environment, check=True)
    took = time.monotonic() - begun
    service = int((tmp_path / "out").read_text())
    os.kill(service, signal.SIGCONT)  # it ends by itself: its parent is gone
    assert took < 20


def test_a_key_is_looked_for(fake, monkeypatch, tmp_path) -> None:
    assert not has_key()
    assert WandbTracking().wandb_mode() == "offline"
    (tmp_path / "netrc").write_text("machine api.wandb.ai\n login user\n password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert has_key()
    assert WandbTracking().wandb_mode() is None
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert has_key()
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert WandbTracking().wandb_mode() == "offline"
    assert WandbTracking(mode="disabled").wandb_mode() == "disabled"


def test_wandb_dir_is_honoured(fake, job, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    made = job("+exp=fake")
    start(made, group=None)
    assert list((tmp_path / "elsewhere").rglob("*.wandb"))
    assert not list(made.directory().rglob("*.wandb"))


def test_disabled_mode_runs(fake, job, capfd) -> None:
    made = job("+exp=fake", "tracker.mode=disabled")
    start(made, group=None)
    assert "wandb sync" not in capfd.readouterr().out


def test_long_tables_are_thinned_and_lists_left_out(tmp_path: Path, monkeypatch) -> None:
    import wandb

    monkeypatch.setattr(wandb.Table, "MAX_ROWS", 10)
    rows = {"own": [True, False] * 25, "position": list(range(50)), "pi": [[0.5]] * 50}
    pq.write_table(pa.table(rows), tmp_path / "curves.parquet")
    made = table(tmp_path / "curves.parquet")
    assert made.columns == ["own", "position"]
    # own rows alone, evenly spaced from the first to the last third
    assert [position for _, position in made.data] == [0, 6, 12, 18, 24, 30, 36, 42, 48]


def test_summaries_are_flattened() -> None:
    nested = {"a": 1, "b": {"c": [1.5, {"name": "x", "v": 2}]}, "d": "text", "e": float("nan")}
    assert dict(flatten(nested)) == {"a": 1, "b/c/0": 1.5, "b/c/x/v": 2}


def test_a_table_without_rows_is_mirrored(tmp_path: Path) -> None:
    columns = {"original_id": pa.array([], pa.string()), "jump": pa.array([], pa.float64())}
    pq.write_table(pa.table(columns), tmp_path / "attribution.parquet")
    made = table(tmp_path / "attribution.parquet")
    assert made.columns == ["original_id", "jump"]
    assert made.data == []


def test_a_page_that_is_too_large_stays_with_the_records(
    fake, job, wandb_records, scalars, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(wandb_media, "PAGE_BYTES", 10)
    made = job("+exp=fake", "seed=77")
    start(made, group=None)
    rows = scalars(wandb_records(made.directory()))
    assert not [key for row in rows for key in row if key.startswith("report")]
    assert "W&B gets it with the records" in caplog.text


def test_the_names_of_components_stand_in_the_config(fake, job, wandb_records) -> None:
    made = job("+exp=fake", "seed=78")
    start(made, group=None)
    (run,) = of_kind(wandb_records(made.directory()), "run")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["chosen"] == {}
