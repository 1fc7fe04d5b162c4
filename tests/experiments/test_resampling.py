"""Drawing and labelling part by part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from critwin.feature import UNSCORED
from critwin.features.final_word import FinalWord
from critwin.features.math_answer import MathAnswer
from critwin.problem import Problem
from critwin.prompt import PromptTemplate
from critwin.protocol import Fractions
from critwin.records import RunDirectory
from critwin.samplers.markov_string import MarkovString
from critwin.windows.paper_jump import PaperJump
from experiments.resampling import Resampling
from experiments.tracker import Silent

PROBLEMS = [Problem(f"p{i}", "?", "1") for i in range(5)]


class _Told(Silent):
    def __init__(self, stop_after: int = 10**9) -> None:
        self.rows: list[dict[str, float]] = []
        self.stop_after = stop_after

    def log(self, row: Mapping[str, float]) -> None:
        self.rows.append(dict(row))
        if len(self.rows) == self.stop_after:
            raise KeyboardInterrupt


def resampling(**changes: object) -> Resampling:
    parts: dict[str, object] = {
        "sampler": MarkovString(),
        "problems": PROBLEMS,
        "prompt": PromptTemplate(),
        "protocol": Fractions(n=6),
        "feature": FinalWord(),
        "originals_per_problem": 3,
        "seed": 0,
        **changes,
    }
    return Resampling(**parts)  # type: ignore[arg-type]


def carry_out(folder: Path, told: _Told, **changes: object) -> RunDirectory:
    directory = RunDirectory(folder)
    resampling(**changes).carry_out(directory, rule=PaperJump(), tracker=told, progress=told)
    return directory


def test_rows_say_what_was_drawn(tmp_path: Path) -> None:
    run = carry_out(tmp_path, _Told())
    originals = {row["original_id"]: row for row in run.read("originals").to_pylist()}
    assert len(originals) == 15
    for row in run.read("resamples").to_pylist():
        original = originals[row["original_id"]]
        whole = original["text"][: row["text_start"]] + row["text"]
        assert whole.split()[-1] == row["label"]
        assert row["agrees"] == (row["label"] == original["label"])
        assert row["t"] == 1 - row["position"] / len(original["token_ids"])
        # a space and a symbol for each token, nothing for the end
        ended = row["finish_reason"] == "end"
        assert row["position"] + row["tokens_generated"] == len(whole) // 2 + ended
        assert row["text_start"] == 2 * row["position"]


def test_unscored_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    run = carry_out(tmp_path, _Told(), feature=MathAnswer())  # which reads no answer in "? ? 1"
    originals = run.read("originals").to_pylist()
    assert {row["label"] for row in originals} == {UNSCORED}
    assert {row["correct"] for row in originals} == {None}
    resamples = run.read("resamples").to_pylist()
    assert {row["agrees"] for row in resamples} == {None}
    assert all(row["unscored"] for row in [*originals, *resamples])


def test_stopped_and_started_again_is_the_same(tmp_path: Path) -> None:
    whole, first, second = _Told(), _Told(stop_after=2), _Told()
    undisturbed = carry_out(tmp_path / "a", whole)
    with pytest.raises(KeyboardInterrupt):
        carry_out(tmp_path / "b", first)
    resumed = carry_out(tmp_path / "b", second)
    for table in ("originals", "resamples"):
        name = f"{table}.parquet"
        assert (resumed.path / name).read_bytes() == (undisturbed.path / name).read_bytes()
    # what is told after a restart is about the whole run
    assert len(second.rows) == 3
    for told, expected in zip(second.rows, whole.rows[2:], strict=True):
        for key in ("originals_done", "share_with_window"):
            assert told[key] == expected[key]


def test_originals_do_not_depend_on_the_protocol(tmp_path: Path) -> None:
    few = carry_out(tmp_path / "few", _Told())
    many = carry_out(tmp_path / "many", _Told(), protocol=Fractions(n=9, fractions=(0.5,)))
    assert few.read("originals").equals(many.read("originals"))
    # and a replicate is the same draw under both
    columns = ["original_id", "position", "replicate", "text"]

    def rows(run: RunDirectory) -> set[tuple[object, ...]]:
        table = run.read("resamples").select(columns).to_pylist()
        return {tuple(row.values()) for row in table if row["replicate"] < 6}

    at_half = {row for row in rows(many) if row in rows(few)}
    assert len(at_half) == len(rows(many))
