"""A tiny experiment that the launcher can find, and what reads W&B's offline files."""

import argparse
import json
import sys
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pytest
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from critwin.errors import ParameterError
from critwin.records import CURVES, ORIGINALS, WINDOWS, RunDirectory
from experiments.experiment import Accounts, Experiment
from experiments.tracker import Progress, Tracker
from launch.build import Job, build
from launch.composing import composer

# A transparent PNG of one pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000a49444154789c6300010000"
    "0500010d0a2db40000000049454e44ae426082"
)
TEXT = ["Two", " [bold]", "and", " two", " is", " four", "."]


@dataclass(frozen=True, kw_only=True)
class FakeExperiment(Experiment):
    """Writes a run directory of two originals."""

    size: int = 3
    fail: str = ""
    seed: int = 0

    name: ClassVar[str] = "fake"
    products: ClassVar[tuple[str, ...]] = ("originals.parquet", "summary.json", "figures")
    runs: ClassVar[list[int]] = []

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ParameterError("size", self.size, "a whole number >= 1")

    def check(self) -> None:
        if self.size > 100:
            raise ParameterError("size", self.size, "at most 100")

    def tags(self) -> list[str]:
        return ["fake", "tiny"]

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        FakeExperiment.runs.append(self.seed)
        progress.begin("fake", self.size, unit="originals")
        for done in range(1, self.size + 1):
            progress.advance(1, tokens_per_second=10.0)
            tracker.log({"originals_done": done, "share_with_window": 0.5})
        progress.end()
        if self.fail:
            raise RuntimeError(self.fail)
        write_fake_run(directory)
        return Accounts(tokens_generated=14)


def write_fake_run(directory: RunDirectory) -> None:
    """Write the tables of a wrong answer with a window and a right one without."""
    originals = [
        {"original_id": f"o{i}", "problem_id": "p", "label": label, "truth": "4", "correct": right}
        | {"tokens": TEXT, "token_ids": list(range(7)), "unscored": False}
        for i, (label, right) in enumerate([("five", False), ("four", True)])
    ]
    curve = {"original_id": "o0", "estimator": "grid", "label": "five", "own": True, "trials": 25}
    points = [(0, 0.0, 0.1), (3, 0.43, 0.12), (6, 0.86, 0.9)]
    curves = [curve | {"position": p, "kept": k, "agreement": a} for p, k, a in points]
    window = {"original_id": "o0", "label": "five", "rule": "paper_jump", "direction": "rise"}
    windows = [window | {"position_start": 3, "position_end": 6, "jump": 0.78}]
    for name, rows, schema in (
        ("originals", originals, ORIGINALS),
        ("curves", curves, CURVES),
        ("windows", windows, WINDOWS),
    ):
        directory.write(name, pa.Table.from_pylist(rows, schema=schema))
    entry = {"name": "accuracy", "estimate": 0.5, "lower": 0.1, "upper": 0.9, "n": 2}
    empty = {"name": "contrast", "estimate": None, "lower": None, "upper": None, "n": 0}
    rest = {"problems": 1, "note": ""}
    directory.write_json("summary", {"headline": [entry | rest, empty | rest], "windows": 1})
    (directory.path / "report.html").write_text("<!doctype html><title>fake page</title>")
    (directory.path / "figures").mkdir(exist_ok=True)
    (directory.path / "figures" / "curves.png").write_bytes(PIXEL)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[FakeExperiment]]:
    """Put the experiment among the project's own, with a config of its own, in an empty folder."""
    module = types.ModuleType("experiments.fake")
    monkeypatch.setattr(FakeExperiment, "__module__", module.__name__)
    monkeypatch.setattr(module, "FakeExperiment", FakeExperiment, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    FakeExperiment.runs.clear()
    folder = tmp_path / "own" / "exp"
    folder.mkdir(parents=True)
    (folder / "fake.yaml").write_text(
        "# @package _global_\n# Nothing, quickly.\n_target_: experiments.fake.FakeExperiment\n"
        "size: 3\nfail: ''\nseed: 0\nhydra:\n  sweeper:\n    params:\n      seed: 1,2\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRITWIN_CLUSTER", "debug")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    yield FakeExperiment
    HydraConfig.instance().cfg = None


def parse(*arguments: str) -> argparse.Namespace:
    """Read arguments as the command line does; experiments in `own/` are found too."""
    own = ["--config-dir", "own"] if Path("own").is_dir() else []
    return get_args_parser().parse_intermixed_args([*arguments, *own])


@pytest.fixture
def flags() -> Callable[..., argparse.Namespace]:
    return parse


@pytest.fixture
def job() -> Callable[..., Job]:
    """Build the job of some overrides."""

    def make(*overrides: str) -> Job:
        with composer(parse(*overrides)) as hydra:
            return build(hydra.compose(list(overrides), RunMode.RUN))

    return make


@pytest.fixture
def wandb_records() -> Callable[[Path], list[object]]:
    """Read the records of the only offline W&B run under a folder."""

    def read(folder: Path) -> list[object]:
        deadline = time.monotonic() + 20
        while True:  # W&B's service writes the end of the file after `finish` has returned
            records = read_records(folder)
            kinds = [record.WhichOneof("record_type") for record in records]
            if "exit" in kinds or time.monotonic() > deadline:
                return records
            time.sleep(0.05)

    return read


def read_records(folder: Path) -> list[object]:
    """Read a `.wandb` file: LevelDB's log format after a header of 7 bytes, protobuf inside."""
    (path,) = folder.rglob("*.wandb")
    return records_of(path)


def records_of(path: Path) -> list[object]:
    """Read one `.wandb` file."""
    from wandb.proto import wandb_internal_pb2

    data, at, parts, records = path.read_bytes(), 7, b"", []
    assert data[:4] == b":W&B"
    block = 32768
    while at + 7 <= len(data):
        if block - at % block < 7:
            at += block - at % block
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # full, last
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            records.append(record)
            parts = b""
    return records


@pytest.fixture
def scalars() -> Callable[[list[object]], list[dict[str, object]]]:
    """Give the rows logged in W&B records."""

    def rows(records: list[object]) -> list[dict[str, object]]:
        return [
            {".".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.history.item}
            for record in records
            if record.WhichOneof("record_type") == "history"
        ]

    return rows
