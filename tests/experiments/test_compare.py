"""Comparing finished runs: two seeds, a series, and refusals that say how runs differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from critwin.errors import ParameterError
from critwin.features.final_word import FinalWord
from critwin.problems.arithmetic import ArithmeticProblems
from critwin.prompt import PromptTemplate
from critwin.protocol import Fractions
from critwin.records import RunDirectory
from critwin.samplers.markov_string import MarkovString
from critwin.windows.paper_jump import PaperJump
from experiments.compare import Compare
from experiments.experiment import carry_out
from experiments.llm_math import LlmMath
from experiments.tracker import Silent

SILENT = Silent()


def measured(folder: Path, name: str, config: str = "", **changed: Any) -> str:
    parts: dict[str, Any] = {
        "model": MarkovString(max_new_tokens=10),
        "dataset": ArithmeticProblems(n_problems=6),
        "prompt": PromptTemplate(),
        "sampler": Fractions(n=5),
        "feature": FinalWord(),
        "window": PaperJump(),
        "originals_per_problem": 2,
    }
    experiment = LlmMath(**(parts | changed))
    directory = RunDirectory(folder / name)
    carry_out(experiment, directory, config=config, tracker=SILENT, progress=SILENT)
    return str(directory.path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("runs")
    step = "model: {{path: some/checkpoints/step-{:06d}}}\nseed: {}\n"
    return {
        "a": measured(folder, "a", step.format(100, 0)),
        "b": measured(folder, "b", step.format(200, 1), seed=1),
        "c": measured(folder, "c", step.format(800, 2), seed=2),
        "other": measured(folder, "other", dataset=ArithmeticProblems(n_problems=5)),
    }


def compared(folder: Path, *chosen: str, **changed: Any) -> dict[str, Any]:
    experiment = Compare(runs=chosen, **changed)
    experiment.check()
    directory = RunDirectory(folder)
    carry_out(experiment, directory, config="", tracker=SILENT, progress=SILENT)
    assert (folder / "figures/comparison.pdf").is_file()
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return summary


def test_a_run_does_not_differ_from_itself(runs: dict[str, str], tmp_path: Path) -> None:
    summary = compared(tmp_path, runs["a"], runs["a"], names=("one", "two"))
    for row in summary["measures"]:
        assert row["runs"]["one"] == row["runs"]["two"]
        assert row["less_first"]["two"]["estimate"] in (0, None)


def test_a_series_is_named_by_its_steps(runs: dict[str, str], tmp_path: Path) -> None:
    summary = compared(tmp_path, runs["a"], runs["b"], runs["c"])
    names = list(summary["measures"][0]["runs"])
    assert names == ["step 100", "step 200", "step 800"]
    (differ,) = [t for t in summary["tables"] if t["title"] == "What the configs differ in"]
    assert ["seed", "0", "1", "2"] in differ["rows"]
    own = json.loads((Path(runs["a"]) / "summary.json").read_text())
    share = summary["measures"][1]["runs"]["step 100"]
    for key in ("estimate", "lower", "upper"):
        assert share[key] == pytest.approx(own["with_window"]["all"][key])


def test_runs_that_share_too_little_are_refused_with_what_differs(runs: dict[str, str]) -> None:
    with pytest.raises(
        ParameterError, match=r"1 problems of the first alone \(arithmetic-test-0-00005\)"
    ):
        Compare(runs=(runs["a"], runs["other"])).check()
    with pytest.raises(ParameterError, match="two run directories or more"):
        Compare(runs=(runs["a"],)).check()
    with pytest.raises(ParameterError, match="there is no such folder"):
        Compare(runs=(runs["a"], "nowhere")).check()
    with pytest.raises(ParameterError, match="2 different names"):
        Compare(runs=(runs["a"], runs["b"]), names=("x", "x")).check()


def test_another_prompt_is_said(runs: dict[str, str], tmp_path: Path) -> None:
    asked = measured(tmp_path, "asked", prompt=PromptTemplate(prefix=" Think."))
    with pytest.raises(ParameterError, match=r"differ in prompt: .* Think"):
        Compare(runs=(runs["a"], asked)).check()


def test_a_run_without_curves_is_refused(runs: dict[str, str], tmp_path: Path) -> None:
    other = measured(tmp_path, "bare")
    (Path(other) / "curves.parquet").unlink()
    with pytest.raises(ParameterError, match="curves and windows"):
        Compare(runs=(runs["a"], other)).check()


def test_the_identity_is_that_of_the_records(runs: dict[str, str]) -> None:
    forward = Compare(runs=(runs["a"], runs["b"]))
    assert forward.run_id() == Compare(runs=(runs["a"] + "/", runs["b"])).run_id()
    assert forward.run_id() != Compare(runs=(runs["b"], runs["a"])).run_id()
