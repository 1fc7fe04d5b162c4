"""The exported folder: `datasets` loads it offline, its card is true, its pairs are certified."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from critwin.dataset_folder import card_licence
from critwin.errors import ParameterError
from critwin.features.final_word import FinalWord
from critwin.preference_pairs import preference_pairs
from critwin.problems.arithmetic import ArithmeticProblems
from critwin.prompt import PromptTemplate
from critwin.protocol import ForkProtocol, Fractions
from critwin.records import RunDirectory
from critwin.samplers.markov_string import MarkovString
from critwin.windows.confident_jump import ConfidentJump
from critwin.windows.paper_jump import PaperJump
from experiments import analysis
from experiments.experiment import carry_out
from experiments.export import Export, licence_of
from experiments.llm_math import LlmMath
from experiments.tracker import Silent
from tests.critwin.tables.runs_on_paper import write_run

SILENT = Silent()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run by forks and one by truncation, exported together."""
    folder = tmp_path_factory.mktemp("exported")
    patch = pytest.MonkeyPatch()
    patch.setattr(analysis, "write_figures", lambda *_, **__: None)
    for sampler, window in ((ForkProtocol(), ConfidentJump()), (Fractions(n=4), PaperJump())):
        experiment = LlmMath(
            model=MarkovString(max_new_tokens=8),
            dataset=ArithmeticProblems(n_problems=3),
            prompt=PromptTemplate(template="{question} ```"),
            sampler=sampler,
            feature=FinalWord(),
            window=window,
            originals_per_problem=2,
        )
        directory = RunDirectory(folder / "runs" / experiment.run_id())
        carry_out(experiment, directory, config="", tracker=SILENT, progress=SILENT)
    export = Export(runs=(str(folder / "runs"),), names={"arithmetic problems": "Arithmetic"})
    export.check()
    directory = RunDirectory(folder / "out")
    carry_out(export, directory, config="", tracker=SILENT, progress=SILENT)
    yield directory.path / "dataset"
    patch.undo()


def test_datasets_loads_every_table_offline(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    runs = sorted((exported.parents[1] / "runs").iterdir())
    for name in ("originals", "resamples", "curves", "windows", "problems", "attribution"):
        loaded = datasets.load_dataset(
            str(exported), name, split="train", cache_dir=str(tmp_path / "cache")
        )
        frames = [
            pd.read_parquet(run / f"{name}.parquet")
            for run in runs
            if (run / f"{name}.parquet").is_file()
        ]
        assert len(loaded) == sum(map(len, frames)), name
        assert set(frames[0].columns) <= set(loaded.column_names), name
        assert set(loaded.unique("dataset")) <= {"Arithmetic"}
    default = datasets.load_dataset(str(exported), split="train", cache_dir=str(tmp_path / "cache"))
    assert "token_ids" in default.column_names
    texts = {(row["run_id"], row["original_id"]): row["text"] for row in default}
    own = pd.read_parquet(runs[0] / "originals.parquet")
    for name, text in zip(own["original_id"], own["text"], strict=True):
        assert texts[runs[0].name, name] == text


def test_the_card_says_what_it_is(exported: Path) -> None:
    text = (exported / "README.md").read_text(encoding="utf-8")
    _, front, body = text.split("---\n", 2)
    head = yaml.safe_load(front)
    assert head["license"] == "apache-2.0"
    for config in head["configs"]:
        assert list(exported.glob(config["data_files"])), config
    for words in ("MarkovString", "ForkProtocol", "{question} ```", "Arithmetic: Apache-2.0"):
        assert words in body
    assert body.count("````json") == 2, "a prompt cannot end the block that shows it"


def test_the_same_records_give_the_same_bytes(exported: Path, tmp_path: Path) -> None:
    export = Export(
        runs=(str(exported.parents[1] / "runs"),), names={"arithmetic problems": "Arithmetic"}
    )
    directory = RunDirectory(tmp_path)
    carry_out(export, directory, config="", tracker=SILENT, progress=SILENT)
    files = [path.relative_to(exported) for path in exported.rglob("*") if path.is_file()]
    for name in files:
        assert (tmp_path / "dataset" / name).read_bytes() == (exported / name).read_bytes(), name


def test_licences(tmp_path: Path) -> None:
    assert licence_of(write_run(tmp_path, "a" * 16)) == "MIT"
    other = write_run(tmp_path, "b" * 16, changed={"dataset.class": "os.System"})
    assert licence_of(other) == "unknown"
    said = write_run(tmp_path, "c" * 16)
    (said.path / "config.yaml").write_text("dataset: {licence: cc-by-4.0}")
    assert licence_of(said) == "cc-by-4.0"


def test_a_card_names_licences_as_the_hub_does() -> None:
    told = ("MIT", "Apache-2.0", "CC BY-SA 4.0", "unknown (no licence file upstream)", "mine")
    names = [card_licence(text) for text in told]
    assert names == ["mit", "apache-2.0", "cc-by-sa-4.0", "unknown", "other"]


def test_a_run_without_originals_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path)
    with pytest.raises(ParameterError, match="holds no originals"):
        Export(runs=(str(tmp_path),), names={}).check()


def table(rows: list[dict]) -> pd.DataFrame:
    return pd.DataFrame(rows)


def test_pairs_stand_where_a_token_certainly_decided() -> None:
    """Written out by hand: o1 is right, o2 wrong; each was decided at its second token."""
    original = {"problem_id": "p", "prompt": "Q: ", "truth": "4", "tokens": ["a", " b", " c"]}
    originals = table(
        [
            original | {"original_id": "o1", "text": "a b c", "label": "4", "correct": True},
            original | {"original_id": "o2", "text": "a b c", "label": "5", "correct": False},
            original | {"original_id": "o3", "text": "a b c", "label": "U", "correct": None},
        ]
    )
    fork = {"position": 1, "kind": "fork", "unscored": False, "text_start": 1, "first_token": 7}
    forks = [
        ("o1", 0, " x z", " x", "4"),  # also right: no pair
        ("o1", 1, " y z", " y", "5"),
        ("o1", 2, " y w", " y", "6"),
        ("o2", 0, " y z", " y", "4"),
        ("o3", 0, " y z", " y", "4"),
    ]
    resamples = table(
        [
            fork
            | {"original_id": name, "replicate": i, "text": text, "first_token_text": first}
            | {"label": label, "first_token": len(first) + ord(first[-1])}
            for name, i, text, first, label in forks
        ]
        + [
            fork
            | {"original_id": "o1", "replicate": 9, "text": " p", "first_token_text": " p"}
            | {"label": "5", "kind": "pilot"}
        ]
    )
    sure = {"position": 1, "jump": 0.6, "jump_lower": 0.2, "jump_upper": 0.9}
    attribution = table(
        [sure | {"original_id": name} for name in ("o1", "o2", "o3")]
        + [{"original_id": "o1", "position": 2, "jump": 0.3, "jump_lower": -0.1, "jump_upper": 0.7}]
    )
    pairs = preference_pairs(originals, resamples, attribution=attribution, windows=table([]))
    assert pairs.num_rows == 2
    first, second = pairs.to_pylist()
    assert (first["prompt"], first["chosen"], first["rejected"]) == ("Q: a", " b c", " y z")
    assert (first["chosen_token"], first["rejected_token"]) == (" b", " y")
    assert (first["original_is"], first["certified_by"]) == ("chosen", "token")
    assert (second["chosen"], second["rejected"]) == (" y z", " b c")
    assert (second["chosen_label"], second["rejected_label"]) == ("4", "5")
    assert second["jump_lower"] == 0.2


def test_pairs_of_a_grid_come_from_certified_windows() -> None:
    originals = table(
        [
            {"original_id": "o", "problem_id": "p", "prompt": "", "truth": "4", "text": "a b c"}
            | {"tokens": ["a", " b", " c"], "label": "4", "correct": True}
        ]
    )
    resamples = table(
        [
            {"original_id": "o", "position": 1, "kind": "grid", "unscored": u, "text_start": 1}
            | {"first_token": 3, "first_token_text": " y", "replicate": i, "text": t, "label": "5"}
            for i, (u, t) in enumerate([(True, " bad"), (False, " y z")])
        ]
    )
    window = {"original_id": "o", "direction": "rise", "position_start": 1, "jump": 0.8}
    ends = {"jump_lower": 0.5, "jump_upper": 1.0}
    pairs = preference_pairs(originals, resamples, attribution=None, windows=table([window | ends]))
    assert pairs.to_pylist()[0]["rejected"] == " y z"
    assert pairs.to_pylist()[0]["certified_by"] == "window"
    unsure = table([window | ends | {"jump_lower": np.nan}])
    assert not preference_pairs(originals, resamples, attribution=None, windows=unsure).num_rows
