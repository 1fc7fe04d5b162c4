"""Drawing and labelling part by part."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from critwin.feature import UNSCORED
from critwin.features.final_word import FinalWord
from critwin.features.math_answer import MathAnswer
from critwin.fork_blocks import Blocks
from critwin.generation import Generation, Prefix
from critwin.problem import Problem
from critwin.prompt import PromptTemplate
from critwin.protocol import EveryToken, ForkProtocol, Fractions, Protocol
from critwin.records import RunDirectory
from critwin.samplers.markov_string import MarkovString
from critwin.windows.paper_jump import PaperJump
from experiments.fork_resampling import ForkResampling
from experiments.grid_resampling import GridResampling
from experiments.originals import Drawing
from experiments.resampling import Resampling
from experiments.tracker import Silent

PROBLEMS = [Problem(f"p{i}", "?", "1") for i in range(5)]
FRACTIONS, FORKS = Fractions(n=6), ForkProtocol(half_width=0.2, pilot=6)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two problems of three originals to a part: three parts."""
    monkeypatch.setattr("experiments.resampling.RESAMPLED_PER_PART", 6)


class _Told(Silent):
    def __init__(self, stop_after: int = 10**9) -> None:
        self.rows: list[dict[str, float]] = []
        self.stop_after = stop_after

    def log(self, row: Mapping[str, float]) -> None:
        self.rows.append(dict(row))
        if len(self.rows) == self.stop_after:
            raise KeyboardInterrupt


def resampling(protocol: Protocol, **changes: object) -> Resampling:
    parts: dict[str, object] = {
        "sampler": MarkovString(max_new_tokens=24),
        "problems": PROBLEMS,
        "prompt": PromptTemplate(),
        "feature": FinalWord(),
        "per_problem": 3,
        "seed": 0,
        **changes,
    }
    drawing = Drawing(**parts)  # type: ignore[arg-type]
    if isinstance(protocol, ForkProtocol):
        return ForkResampling(drawing=drawing, protocol=protocol)
    assert isinstance(protocol, Fractions | EveryToken)
    return GridResampling(drawing=drawing, protocol=protocol)


def carry_out(
    folder: Path, told: _Told, protocol: Protocol = FRACTIONS, **changes: object
) -> RunDirectory:
    directory = RunDirectory(folder)
    work = resampling(protocol, **changes)
    work.carry_out(directory, rule=PaperJump(), tracker=told, progress=told)
    return directory


@pytest.mark.parametrize(
    ("protocol", "kinds"),
    [(FRACTIONS, {"grid"}), (EveryToken(n=2), {"grid"}), (FORKS, {"fork", "pilot"})],
)
def test_rows_say_what_was_drawn(tmp_path: Path, protocol: Protocol, kinds: set[str]) -> None:
    run = carry_out(tmp_path, _Told(), protocol)
    assert {row["kind"] for row in run.read("resamples").to_pylist()} == kinds
    symbols = [*MarkovString().symbols, ""]
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
        assert row["first_token_text"].strip() == symbols[row["first_token"]]
        left = row["first_token"] != original["token_ids"][row["position"]]
        assert left or row["kind"] == "grid"


def test_every_position_is_resampled(tmp_path: Path) -> None:
    run = carry_out(tmp_path, _Told(), EveryToken(n=2))
    drawn = {(r["original_id"], r["position"]) for r in run.read("resamples").to_pylist()}
    assert drawn == {
        (row["original_id"], position)
        for row in run.read("originals").to_pylist()
        for position in range(len(row["token_ids"]))
    }


def test_plans_say_what_forks_were_drawn_for(tmp_path: Path) -> None:
    run = carry_out(tmp_path, _Told(), FORKS)
    plans = {row["original_id"]: row for row in run.read("plans").to_pylist()}
    resamples = run.read("resamples").to_pandas()
    for original in run.read("originals").to_pylist():
        plan, n = plans[original["original_id"]], len(original["token_ids"])
        own = resamples[resamples["original_id"] == original["original_id"]]
        for kind, name in (("fork", "main"), ("pilot", "pilot")):
            drawn = own[own["kind"] == kind]
            assert plan[f"{name}_forks"] == len(drawn)
            assert plan[f"{name}_tokens"] == drawn["tokens_generated"].sum()
        tokens = np.bincount(own.loc[own["kind"] == "fork", "position"], minlength=n)
        blocks = Blocks(np.array(plan["blocks"]))
        assert blocks.sums(tokens).tolist() == plan["forks"]
        surprisal = [-math.log(p) for p in plan["probability"]]
        assert surprisal == pytest.approx(original["surprisal"])
        assert plan["leave_mass"] == pytest.approx(n - sum(plan["probability"]))
        assert plan["label"] == original["label"]
        assert plan["half_width_wanted"] == 0.2
        assert plan["cheaper"] in ("forks", "grid")
    # a plan is met on average
    reached = np.mean([plan["half_width"] for plan in plans.values()])
    assert reached == pytest.approx(0.2, rel=0.5)


def test_forks_are_redrawn_too(tmp_path: Path) -> None:
    accounts = resampling(FORKS).carry_out(
        RunDirectory(tmp_path), rule=PaperJump(), tracker=Silent(), progress=Silent()
    )
    assert accounts.facts["rounding"] == {"redrawn": 64, "redrawn_differently": 0}


class _Crowded(MarkovString):
    """Says that memory ran out once in each call that draws."""

    calls: ClassVar[list[int]] = []

    @property
    def halvings(self) -> int:
        return len(self.calls)

    def resample(
        self, y: Sequence[Prefix], *, seeds: Sequence[Sequence[int]]
    ) -> list[list[Generation]]:
        self.calls.append(len(y))
        return super().resample(y, seeds=seeds)


def test_full_memory_is_recorded_over_all_starts(tmp_path: Path) -> None:
    crowded = _Crowded(max_new_tokens=24)
    with pytest.raises(KeyboardInterrupt):
        carry_out(tmp_path, _Told(stop_after=2), FRACTIONS, sampler=crowded)
    accounts = resampling(FRACTIONS, sampler=crowded).carry_out(
        RunDirectory(tmp_path), rule=PaperJump(), tracker=Silent(), progress=Silent()
    )
    # one part of originals, three of resamples
    assert accounts.facts["memory"] == {"halvings": {"originals": 1, "resamples": 3}}


def test_a_sampler_without_a_choice_needs_no_forks(tmp_path: Path) -> None:
    sure = MarkovString(symbols=("1",), initial=(1.0,), transitions=((1.0, 0.0),), max_new_tokens=5)
    run = carry_out(tmp_path, _Told(), FORKS, sampler=sure)
    assert run.read("resamples").num_rows == 0
    for plan in run.read("plans").to_pylist():
        assert plan["half_width"] == plan["leave_mass"] == 0
        assert plan["cheaper"] is None
        assert plan["met"]


def test_unscored_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    run = carry_out(tmp_path, _Told(), feature=MathAnswer())  # which reads no answer in "? ? 1"
    originals = run.read("originals").to_pylist()
    assert {row["label"] for row in originals} == {UNSCORED}
    assert {row["correct"] for row in originals} == {None}
    resamples = run.read("resamples").to_pylist()
    assert {row["agrees"] for row in resamples} == {None}
    assert all(row["unscored"] for row in [*originals, *resamples])


@pytest.mark.parametrize("protocol", [FRACTIONS, FORKS])
def test_stopped_and_started_again_is_the_same(tmp_path: Path, protocol: Protocol) -> None:
    whole, first, second = _Told(), _Told(stop_after=2), _Told()
    undisturbed = carry_out(tmp_path / "a", whole, protocol)
    with pytest.raises(KeyboardInterrupt):
        carry_out(tmp_path / "b", first, protocol)
    resumed = carry_out(tmp_path / "b", second, protocol)
    for table in ("originals", *resampling(protocol).tables):
        name = f"{table}.parquet"
        assert (resumed.path / name).read_bytes() == (undisturbed.path / name).read_bytes()
    # what is told after a restart is about the whole run
    assert len(whole.rows) == 3
    (told,) = second.rows
    for key in told.keys() - {"tokens_per_second"}:
        assert told[key] == whole.rows[-1][key]
    assert told["originals_done"] == 15
    assert ("half_width" in told) == (protocol is FORKS)


def test_a_part_that_lacks_a_table_is_made_again(tmp_path: Path) -> None:
    """A kill may fall between the two tables of a part."""
    undisturbed = carry_out(tmp_path / "a", _Told(), FORKS)
    with pytest.raises(KeyboardInterrupt):
        carry_out(tmp_path / "b", _Told(stop_after=2), FORKS)
    (tmp_path / "b/.parts/resamples-000001.parquet").unlink()
    resumed = carry_out(tmp_path / "b", _Told(), FORKS)
    for table in ("resamples", "plans"):
        name = f"{table}.parquet"
        assert (resumed.path / name).read_bytes() == (undisturbed.path / name).read_bytes()


def test_originals_do_not_depend_on_the_protocol(tmp_path: Path) -> None:
    few = carry_out(tmp_path / "few", _Told())
    many = carry_out(tmp_path / "many", _Told(), Fractions(n=9, fractions=(0.5,)))
    forked = carry_out(tmp_path / "forked", _Told(), FORKS)
    assert few.read("originals").equals(many.read("originals"))
    assert few.read("originals").equals(forked.read("originals"))
    # and a replicate is the same draw under both
    columns = ["original_id", "position", "replicate", "text"]

    def rows(run: RunDirectory) -> set[tuple[object, ...]]:
        table = run.read("resamples").select(columns).to_pylist()
        return {tuple(row.values()) for row in table if row["replicate"] < 6}

    at_half = {row for row in rows(many) if row in rows(few)}
    assert len(at_half) == len(rows(many))
