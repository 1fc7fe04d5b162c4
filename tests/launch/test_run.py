"""One run from config to directory, and what is not done twice."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from critwin.errors import CritwinError, RecordsError
from critwin.records import RunDirectory
from launch.preflight import preflight
from launch.run import start
from launch.secrets import SecretError, refuse_secrets
from launch.standing import stand


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


def test_what_measures_the_machine_is_done_anew(fake, job, monkeypatch, capfd) -> None:
    monkeypatch.setattr(fake, "always", True)
    made = job("+exp=fake", "seed=7", "tracker=none")
    start(made, group=None)
    first = json.loads((made.directory() / "provenance.json").read_text())
    start(made, group=None)
    assert fake.runs == [7, 7]
    assert "Already complete" not in capfd.readouterr().out
    again = json.loads((made.directory() / "provenance.json").read_text())
    assert (first["restarts"], again["restarts"]) == (0, 1)
    assert again["status"] == "complete"


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
    assert not list(made.directory().iterdir())


@pytest.mark.parametrize(
    "typed", ["${oc.env:MY_API_KEY}", "hunter2hunter2", "Bearer-hunter2hunter2"]
)
def test_secrets_are_refused(typed: str, fake, job, monkeypatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "hunter2hunter2")
    with pytest.raises(SecretError) as caught:
        job("+exp=fake", f"fail={typed}")
    assert str(caught.value) == (
        "fail holds the value of MY_API_KEY; allowed: no secrets in a config, "
        "they would end in its records"
    )


def test_a_secret_in_a_sweep_is_never_shown(fake, flags, monkeypatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "hunter2hunter2")
    for sweep in ("fail=a,hunter2hunter2", "fail=a,${oc.env:MY_API_KEY}", "fial=hunter2hunter2"):
        with pytest.raises(CritwinError) as caught:
            preflight(flags("+exp=fake", sweep, "-m"))
        assert "holds the value of MY_API_KEY" in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_short_values_and_names_of_files_are_no_secrets(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("SOME_TOKEN", "a")
    monkeypatch.setenv("SOME_KEY_FILE", str(tmp_path))
    refuse_secrets({"prompt": {"system": "a banana", "stop": [f"{tmp_path}/x", None, 3]}})


@pytest.mark.parametrize("lost", ["originals.parquet", "summary.json", "figures/curves.png"])
def test_a_run_that_lost_a_product_is_not_complete(lost: str, fake, job, capfd) -> None:
    made = job("+exp=fake", "tracker=none")
    start(made, group=None)
    (made.directory() / lost).unlink()
    capfd.readouterr()
    start(made, group=None)
    assert fake.runs == [0, 0]
    assert (made.directory() / lost).exists()
    assert "Already complete" not in capfd.readouterr().out


def test_an_interrupted_run_is_stopped(fake, job, monkeypatch) -> None:
    made = job("+exp=fake", "tracker=none")

    def interrupted(directory: RunDirectory) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(
        sys.modules[type(made.experiment).run.__module__], "write_fake_run", interrupted
    )
    with pytest.raises(KeyboardInterrupt):
        start(made, group=None)
    record = json.loads((made.directory() / "provenance.json").read_text())
    assert record["status"] == "stopped"


def test_a_sweep_tells_where_each_cell_stands(fake, flags) -> None:
    sweep = preflight(flags("+exp=fake", "seed=0,1,2,3", "-m")).sweep
    runs = [RunDirectory(Path(cell.directory)) for cell in sweep.cells]
    for run in runs[:2]:
        run.write_json("provenance", {"status": "running", "start": "", "restarts": 0})
    runs[2].path.mkdir(parents=True)
    (runs[2].path / "provenance.json").write_text("{")
    with runs[1].locked():
        found = stand(sweep)
    assert [each.state for each in found] == ["lost", "running", "failed", "waiting"]
    assert "provenance.json is damaged" in found[2].error


@pytest.mark.parametrize("text", ["{", "{}"])
def test_a_damaged_record_is_refused(text: str, fake, flags, job) -> None:
    path = job("+exp=fake").directory() / "provenance.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(RecordsError, match=r"provenance\.json .*allowed: "):
        preflight(flags("+exp=fake"))
    with pytest.raises(RecordsError, match=r"provenance\.json .*allowed: "):
        start(job("+exp=fake"), group=None)
