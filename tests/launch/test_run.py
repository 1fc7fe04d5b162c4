"""One run from config to directory, and what is not done twice."""

import json
import sys

import pytest
import yaml

from critwin.errors import RecordsError
from critwin.records import RunDirectory
from launch.run import start
from launch.secrets import without_secrets


def test_a_run_writes_its_config_and_is_not_done_again(fake, job, monkeypatch, capfd) -> None:
    made = job("+exp=fake", "seed=7", "tracker=none")
    start(made, group=None)
    config = yaml.safe_load((made.directory() / "config.yaml").read_text())
    assert config["seed"] == 7
    assert config["_target_"] == "experiments.fake.FakeExperiment"
    assert "hydra" not in config
    before = {p: p.stat().st_mtime_ns for p in made.directory().rglob("*") if p.is_file()}
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setitem(sys.modules, "torch", None)
    capfd.readouterr()
    again = job("+exp=fake", "seed=7")
    start(again, group=None)
    out = capfd.readouterr().out
    assert again.directory() == made.directory()
    assert fake.runs == [7]
    assert "Already complete" in out
    assert "accuracy" in out
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_tracker_cluster_and_outputs_do_not_change_the_run_id(fake, job) -> None:
    one = job("+exp=fake", "tracker=none", "outputs=a")
    two = job("+exp=fake", "cluster=slurm", "outputs=b")
    assert one.directory().name == two.directory().name
    assert job("+exp=fake", "seed=1").directory().name != one.directory().name


def test_a_failed_run_says_so_and_is_tried_again(fake, job, monkeypatch) -> None:
    made = job("+exp=fake", "tracker=none", "fail=broken")
    with pytest.raises(RuntimeError, match="broken"):
        start(made, group=None)
    record = json.loads((made.directory() / "provenance.json").read_text())
    assert record["status"] == "failed"
    assert record["error"] == "RuntimeError: broken"
    with pytest.raises(RuntimeError, match="broken"):
        start(made, group=None)
    assert len(fake.runs) == 2


def test_a_run_that_another_process_computes_is_left_alone(fake, job) -> None:
    made = job("+exp=fake")
    with (
        RunDirectory(made.directory()).locked(),
        pytest.raises(RecordsError, match="being computed by another process"),
    ):
        start(made, group=None)
    assert fake.runs == []
    assert {path.name for path in made.directory().iterdir()} == {".lock"}


def test_secrets_are_left_out(fake, job, monkeypatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "hunter2hunter2")
    made = job("+exp=fake", "tracker.entity=${oc.env:MY_API_KEY}")
    assert "hunter2" not in made.config
    assert "<MY_API_KEY>" in made.config


def test_short_values_are_no_secrets(monkeypatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "a")
    assert without_secrets("a banana") == "a banana"
