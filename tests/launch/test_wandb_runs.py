"""Runs that W&B holds: downloaded once, read as any other; what W&B says is told in one line."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wandb
from wandb.apis.public.artifacts import ArtifactType

from critwin.errors import ParameterError, RecordsError
from experiments.runs import collect
from launch import wandb_runs
from launch.wandb_runs import fetched
from tests.critwin.tables.runs_on_paper import write_run

A, B = "a" * 16, "b" * 16


class Service:
    """What of W&B's public interface is used, over folders of this machine."""

    def __init__(self, stored: Path, names: list[str]) -> None:
        self.stored, self.names, self.digest = stored, names, "1"
        self.downloads: list[str] = []

    def artifact_type(self, type_name: str, project: str | None = None) -> Any:
        if project != "team/proj":
            raise ValueError("project not found\nwith a long trace")
        assert type_name == "records"
        collections = [SimpleNamespace(name=name) for name in self.names]
        return SimpleNamespace(collections=lambda: collections)

    def artifact(self, name: str, type: str | None = None) -> Any:
        run_id = name.removeprefix("team/proj/records-").removesuffix(":latest")

        def download(root: str) -> str:
            self.downloads.append(run_id)
            shutil.copytree(self.stored / run_id, root)
            return root

        return SimpleNamespace(digest=self.digest, download=download)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    stored = tmp_path / "stored"
    for name in (A, B):
        write_run(stored, name)
    names = [f"records-{name}" for name in (B, A, "../../x", "not-a-run")] + ["run-history"]
    service = Service(stored, names)
    monkeypatch.setattr(wandb_runs, "_api", lambda: service)
    return service


def test_the_stand_in_has_the_signatures_of_the_service() -> None:
    for name in ("artifact_type", "artifact"):
        real = inspect.signature(getattr(wandb.Api, name)).parameters
        assert list(inspect.signature(getattr(Service, name)).parameters) == list(real)
    assert "root" in inspect.signature(wandb.Artifact.download).parameters
    assert isinstance(wandb.Artifact.digest, property)
    assert "collections" in dir(ArtifactType)


def test_runs_of_a_project_are_read_as_any_other(service: Service, tmp_path: Path) -> None:
    values = {"runs": ["wandb:team/proj", "here"], "x": 1}
    found = fetched(values, tmp_path / "outputs")
    folder = tmp_path / "outputs/from_wandb/team/proj"
    assert found == {"runs": [str(folder / A), str(folder / B), "here"], "x": 1}
    assert values["runs"][0] == "wandb:team/proj", "the config keeps what was asked"
    assert [run.run_id for run in collect("runs", found["runs"][:2]).runs] == [A, B]
    fetched(values, tmp_path / "outputs")
    assert service.downloads == [A, B], "what is there is not downloaded again"
    service.digest = "2"
    (folder / A / "stale.parquet").touch()
    fetched(values, tmp_path / "outputs")
    assert service.downloads == [A, B, A, B]
    assert not (folder / A / "stale.parquet").exists()


def test_one_run_of_a_project(service: Service, tmp_path: Path) -> None:
    found = fetched({"runs": [f"wandb:team/proj/{B}"]}, tmp_path)
    assert [Path(name).name for name in found["runs"]] == [B]


def test_what_is_not_at_wandb_is_left_as_it_is(tmp_path: Path) -> None:
    assert fetched({"runs": ["a"], "y": 2}, tmp_path) == {"runs": ["a"], "y": 2}
    assert fetched({"runs": "???"}, tmp_path) == {"runs": "???"}
    assert fetched({}, tmp_path) == {}


@pytest.mark.parametrize("name", ["wandb:", "wandb:team", "wandb:a/b/c/d", "wandb:team/proj/none"])
def test_names_that_cannot_be_read_are_refused(service: Service, tmp_path: Path, name: str) -> None:
    with pytest.raises(ParameterError, match=f"runs is '{name}'; allowed: "):
        fetched({"runs": [name]}, tmp_path)


def test_what_wandb_says_is_told_in_one_line(service: Service, tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match=r"W&B failed \(ValueError: project not found\)$"):
        fetched({"runs": ["wandb:team/other"]}, tmp_path)


def test_without_a_key_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(RecordsError, match="W&B has no key"):
        fetched({"runs": ["wandb:team/proj"]}, tmp_path)
