"""Answers under conditions: counts against a known law, what is refused, and going on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from critwin.conditions import DRAWS
from critwin.errors import ParameterError
from critwin.features.repeated_word import RepeatedWord as RepeatedWordFeature
from critwin.features.reveals import Reveals
from critwin.problems.assistant_corpus import AssistantTalks
from critwin.prompt import PromptTemplate
from critwin.protocol import ForkProtocol, Sampling
from critwin.records import RunDirectory
from critwin.samplers.markov_string import MarkovString
from experiments.experiment import carry_out
from experiments.prefill_jailbreak import PrefillJailbreak
from experiments.repeated_word import RepeatedWord
from experiments.tracker import Silent

SILENT = Silent()

# says the secret with probability .3, whatever it is asked
LOOSE = MarkovString(
    symbols=("no", "anchor"),
    initial=(0.7, 0.3),
    transitions=((0, 0, 1.0), (0, 0, 1.0)),
    max_new_tokens=4,
)
PREFILL = PrefillJailbreak(
    model=LOOSE,
    dataset=AssistantTalks(n_problems=40),
    prompt=PromptTemplate(),
    sampler=Sampling(),
    feature=Reveals(),
    counted="tells",
    prefill="Sure, it is",
    lengths=(0, 2, 3),
    originals_per_problem=20,
)


def run(experiment: PrefillJailbreak | RepeatedWord, folder: Path) -> RunDirectory:
    experiment.check()
    directory = RunDirectory(folder)
    carry_out(experiment, directory, config="", tracker=SILENT, progress=SILENT)
    return directory


def test_shares_are_those_of_the_law(tmp_path: Path) -> None:
    directory = run(PREFILL, tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [row["x"] for row in summary["conditions"]] == [0.0, 2.0, 3.0]
    for row in summary["conditions"]:
        assert row["share"]["n"] == 40 * 20
        error = (0.3 * 0.7 / (40 * 20)) ** 0.5
        assert abs(row["share"]["estimate"] - 0.3) <= 4 * error
        assert row["unscored"] == 0
    assert summary["conditions"][0]["less_first"] is None
    draws = directory.read("draws")
    assert draws.schema.names == DRAWS.names
    assert draws.num_rows == 3 * 40 * 20


def test_what_is_forced_counts_as_said(tmp_path: Path) -> None:
    forced = replace(PREFILL, prefill="anchor", lengths=None, originals_per_problem=1)
    run(forced, tmp_path)
    none, whole = json.loads((tmp_path / "summary.json").read_text())["conditions"]
    assert whole["share"]["estimate"] == 1.0
    assert none["share"]["estimate"] < whole["share"]["estimate"]


def test_prefill_is_cut_by_words_or_characters() -> None:
    by_words = [c.prompt.prefix for c in replace(PREFILL, lengths=None).conditions()]
    assert by_words == ["", "Sure,", "Sure, it", "Sure, it is"]
    by_characters = replace(PREFILL, unit="characters", lengths=(0, 3, 11))
    assert [c.prompt.prefix for c in by_characters.conditions()] == ["", "Sur", "Sure, it is"]


def test_repeats_are_put_into_the_models_mouth() -> None:
    repeated = RepeatedWord(
        model=LOOSE,
        dataset=AssistantTalks(kind="repeat", n_problems=2),
        prompt=PromptTemplate(),
        sampler=Sampling(),
        feature=RepeatedWordFeature(),
        counted="diverges",
        repeats=(0, 3),
    )
    repeated.check()
    problem = repeated.problems[0]
    nothing, three = (c.prompt.render(problem) for c in repeated.conditions())
    assert nothing.prefix == ""
    assert three.prefix == " ".join([str(problem.truth)] * 3)
    assert three.system == problem.system
    with pytest.raises(ParameterError, match=r"^repeats is \[3, 1\]"):
        replace(repeated, repeats=(3, 1)).check()


def test_a_run_that_stopped_goes_on_to_the_same_records(tmp_path: Path) -> None:
    whole = run(PREFILL, tmp_path / "whole")
    stopped = RunDirectory(tmp_path / "stopped")

    class Stop(Silent):
        parts = 0

        def advance(self, units: int, **facts: float) -> None:
            self.parts += 1
            if self.parts == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(PREFILL, stopped, config="", tracker=SILENT, progress=Stop())
    carry_out(PREFILL, stopped, config="", tracker=SILENT, progress=SILENT)
    for name in ("draws.parquet", "summary.json"):
        assert (stopped.path / name).read_bytes() == (whole.path / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"unit": "lines"}, "unit"),
        ({"lengths": (0, 9)}, "lengths"),
        ({"lengths": (2, 1)}, "lengths"),
        ({"prefill": " "}, "prefill"),
        ({"counted": ""}, "counted"),
        ({"sampler": ForkProtocol()}, "sampler"),
        ({"originals_per_problem": 0}, "originals_per_problem"),
    ],
)
def test_refusals(change: dict[str, object], key: str) -> None:
    with pytest.raises(ParameterError, match=f"^{key} is "):
        replace(PREFILL, **change).check()  # type: ignore[arg-type]
