"""A plan against the run that it plans, on the exact string; remaining time by expected tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from critwin.errors import ParameterError
from critwin.features.final_word import FinalWord
from critwin.generation import Generation, Prefix
from critwin.problems.arithmetic import ArithmeticProblems
from critwin.prompt import PromptTemplate
from critwin.protocol import ForkProtocol, Fractions, Protocol
from critwin.records import RunDirectory
from critwin.samplers.markov_string import MarkovString
from critwin.windows.confident_jump import ConfidentJump
from critwin.windows.paper_jump import PaperJump
from experiments.experiment import carry_out
from experiments.llm_math import LlmMath
from experiments.plan import Plan
from experiments.resampling import Remaining
from experiments.tracker import Silent


class Mute(MarkovString):
    """A model that does not say how probable its tokens are, as a server of texts."""

    def resample(
        self, y: Sequence[Prefix], *, seeds: Sequence[Sequence[int]]
    ) -> list[list[Generation]]:
        return [
            [replace(x, surprisal=(math.nan,) * len(x.token_ids)) for x in own]
            for own in super().resample(y, seeds=seeds)
        ]

    def forks_refused(self) -> str | None:
        return "tells no probabilities"


def keys(sampler: Protocol) -> dict[str, object]:
    return {
        "model": MarkovString(max_new_tokens=10),
        "dataset": ArithmeticProblems(n_problems=8),
        "prompt": PromptTemplate(),
        "sampler": sampler,
        "feature": FinalWord(),
        "window": PaperJump(),
        "originals_per_problem": 2,
    }


def plan(sampler: Protocol, folder: Path, **more: object) -> dict[str, object]:
    experiment = Plan(**keys(sampler) | more)  # type: ignore[arg-type]
    experiment.check()
    directory = RunDirectory(folder / "plan")
    return dict(carry_out(experiment, directory, config="", tracker=Silent(), progress=Silent()))


@pytest.mark.parametrize("sampler", [ForkProtocol(half_width=0.15), Fractions(n=10)])
def test_the_run_costs_what_the_plan_says(sampler: Protocol, tmp_path: Path) -> None:
    found = plan(sampler, tmp_path, plan_originals=8, plan_forks=24)
    job = LlmMath(**keys(sampler))  # type: ignore[arg-type]
    directory = RunDirectory(tmp_path / "run")
    carry_out(job, directory, config="", tracker=Silent(), progress=Silent())
    record = directory.read_json("provenance")
    assert record is not None
    tokens = found["tokens"]
    assert isinstance(tokens, dict)
    # half of the originals of the run were looked at: the other half is within their interval
    assert tokens["lower"] <= int(str(record["tokens_generated"])) <= tokens["upper"]
    assert found["originals"] == 16
    assert found["looked_at"] == 8


def test_a_plan_of_aimed_forks_is_kept(tmp_path: Path) -> None:
    """Tokens, draws where nothing is aimed at, and a rise that is certified where it is expected.

    The string's modes have chances of .4 and .6: its rises are .6 and .4.
    """
    sampler = ForkProtocol(aim="windows", half_width=None, max_tokens=3000)
    rule = {"window": ConfidentJump(threshold=0.1)}
    found = plan(sampler, tmp_path, plan_originals=8, plan_forks=24, **rule)
    job = LlmMath(**keys(sampler) | rule)  # type: ignore[arg-type]
    directory = RunDirectory(tmp_path / "run")
    carry_out(job, directory, config="", tracker=Silent(), progress=Silent())
    record = directory.read_json("provenance")
    tokens = found["tokens"]
    assert isinstance(tokens, dict)
    assert record is not None
    # a round's forks are rounded, and end where they end: within a quarter
    spent = int(str(record["tokens_generated"]))
    assert spent == pytest.approx(tokens["estimate"], rel=0.25)
    assert found["aim"] == "windows"
    windows, plans = directory.read("windows"), directory.read("plans").to_pylist()
    assert float(str(found["smallest_window"])) < 0.4
    rising = {row["original_id"] for row in windows.to_pylist() if row["direction"] == "rise"}
    assert rising
    assert len(rising) >= 0.8 * len([row for row in plans if row["leave_mass"] > 0])
    (table,) = found["tables"]  # type: ignore[misc,attr-defined]
    notes = {row[0]: row[-1] for row in table["rows"]}
    assert notes["tokens"] == "of the whole run, at most"
    assert "where no window seems possible" in notes["half-width"]


def test_without_probabilities_the_plan_says_what_it_does_not_know(tmp_path: Path) -> None:
    mute = {"model": Mute(max_new_tokens=10)}
    found = plan(Fractions(n=10), tmp_path, plan_originals=8, plan_forks=5, **mute)
    job = LlmMath(**keys(Fractions(n=10)) | mute)  # type: ignore[arg-type]
    directory = RunDirectory(tmp_path / "run")
    summary = carry_out(job, directory, config="", tracker=Silent(), progress=Silent())
    tokens = found["tokens"]
    record = directory.read_json("provenance")
    assert isinstance(tokens, dict)
    assert record is not None
    assert tokens["lower"] <= int(str(record["tokens_generated"])) <= tokens["upper"]
    assert found["leave_mass"] is found["cheaper"] is summary["leave_mass"] is None
    (table,) = found["tables"]  # type: ignore[misc,attr-defined]
    rows = {row[0]: row[1:] for row in table["rows"]}
    assert rows["choices in an original, H"][0] == rows["cheaper as precise"][1] == "not known"
    assert rows["half-width"][0] not in ("nan", "not known")
    assert "choices in an answer, H" not in [row["name"] for row in summary["headline"]]  # type: ignore[attr-defined]
    with pytest.raises(ParameterError, match="because Mute tells no probabilities"):
        LlmMath(**keys(ForkProtocol()) | mute).check()  # type: ignore[arg-type]


def test_the_table_has_what_the_issue_asks_for(tmp_path: Path) -> None:
    found = plan(Fractions(n=10), tmp_path, plan_originals=3, plan_forks=0)
    (table,) = found["tables"]  # type: ignore[misc,attr-defined]
    assert [row[0] for row in table["rows"]] == [
        "originals",
        "choices in an original, H",
        "resamples per original",
        "tokens",
        "tokens per second",
        "seconds",
        "half-width",
        "smallest rise",
        "smallest window",
        "cheaper as precise",
    ]
    assert all(len(row) == len(table["columns"]) for row in table["rows"])
    assert found["gpu_hours"] is None


@pytest.mark.parametrize(
    ("key", "value"), [("plan_originals", 0), ("plan_forks", -1), ("plan_originals", True)]
)
def test_a_pilot_of_nothing_is_refused(key: str, value: int) -> None:
    with pytest.raises(ParameterError, match=f"{key} is {value}; allowed: a whole number"):
        Plan(**keys(Fractions()), **{key: value}).check()  # type: ignore[arg-type]


def test_what_the_run_would_refuse_the_plan_refuses() -> None:
    wrong = keys(Fractions(fractions=(0.5,)))
    with pytest.raises(ParameterError, match=r"window\.fractions"):
        Plan(**wrong).check()  # type: ignore[arg-type]


def test_remaining_time_goes_by_what_was_seen() -> None:
    left = Remaining([100.0, 300.0, 200.0])
    assert left.seconds() is None
    left.done(1, 3.0)  # 100 tokens per second
    assert left.seconds() == 3.0
    left.done(0, 5.0)  # 400 tokens in 8 seconds
    assert left.seconds() == 4.0
    left.done(2, 1.0)
    assert left.seconds() == 0.0
