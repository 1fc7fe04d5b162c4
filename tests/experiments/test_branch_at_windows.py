"""Branching at windows, on a chain in which it is known where they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from critwin.errors import ParameterError
from critwin.features.final_word import FinalWord
from critwin.problem import Problem
from critwin.problems.arithmetic import ArithmeticProblems
from critwin.prompt import PromptTemplate
from critwin.protocol import ForkProtocol
from critwin.records import RunDirectory
from critwin.samplers.markov_string import MarkovString
from critwin.windows.paper_jump import PaperJump
from experiments import branch_drawing
from experiments.branch_at_windows import BranchAtWindows
from experiments.experiment import carry_out
from experiments.tracker import Silent

SILENT = Silent()

LATE = MarkovString(
    symbols=("a", "b", "c", "d", "yes", "no"),
    initial=(1, 0, 0, 0, 0, 0),
    transitions=(
        (0, 1, 0, 0, 0, 0, 0),
        (0, 0, 1, 0, 0, 0, 0),
        (0, 0, 0, 1, 0, 0, 0),
        (0, 0, 0, 0, 0.35, 0.65, 0),
        (0, 0, 0, 0, 0.9, 0, 0.1),
        (0, 0, 0, 0, 0, 0.9, 0.1),
    ),
    max_new_tokens=16,
)
"""Decides at its fifth token, and then goes on for a while."""


@dataclass(frozen=True)
class YesIsRight(FinalWord):
    """The last word, of which `yes` is right."""

    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        return super().labels(texts, problem)

    def truth(self, problem: Problem) -> str | None:
        return "yes"


@dataclass(frozen=True)
class NothingIsRight(FinalWord):
    """The last word, none of which is right."""

    def truth(self, problem: Problem) -> str | None:
        return None


def branching(**changed: Any) -> BranchAtWindows:
    parts: dict[str, Any] = {
        "model": LATE,
        "dataset": ArithmeticProblems(n_problems=40),
        "prompt": PromptTemplate(),
        "sampler": ForkProtocol(half_width=None, max_forks=60, pilot=0),
        "feature": YesIsRight(),
        "window": PaperJump(fractions=(0.1, 0.3, 0.5, 0.7, 0.9)),
        "budgets": (1.0, 4.0),
    }
    return BranchAtWindows(**(parts | changed))


def carried_out(folder: Path) -> RunDirectory:
    directory = RunDirectory(folder)
    carry_out(branching(), directory, config="", tracker=SILENT, progress=SILENT)
    return directory


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return carried_out(tmp_path_factory.mktemp("whole"))


def test_branches_keep_what_they_should_and_are_no_forks(run: RunDirectory) -> None:
    originals = run.read("originals").to_pandas().set_index("original_id")
    branches = run.read("branches").to_pandas()
    windows = branches[branches["arm"] == "windows"]
    assert len(windows)
    assert (windows["position"] <= 4).all()  # the fifth token decides
    for row in branches.itertuples():
        kept = LATE.text(
            [int(i) for i in originals.loc[row.original_id, "token_ids"][: row.position]]
        )
        assert row.text.startswith(kept)
    assert not set(branches["seed"]) & set(run.read("resamples").to_pandas()["seed"])
    # a branch from the window is yes with probability .35, whatever the original was
    yes = (windows["label"] == "yes").groupby(windows["original_id"]).mean()
    spread = (0.35 * 0.65 / windows.groupby("original_id").size()).mean() ** 0.5
    assert abs(yes.mean() - 0.35) <= 4 * spread / len(yes) ** 0.5


def test_tokens_are_counted_and_equal(run: RunDirectory) -> None:
    votes = run.read("votes").to_pandas()
    branches = run.read("branches").to_pandas()
    plans = run.read("plans").to_pandas().set_index("original_id")
    for row in votes[votes["arm"] == "windows"].itertuples():
        own = branches[
            (branches["original_id"] == row.original_id)
            & (branches["arm"] == ("windows" if row.window else "start"))
        ]
        taken = own.sort_values("replicate").iloc[: row.branches]
        assert row.tokens == taken["tokens_generated"].sum()
        plan = plans.loc[row.original_id]
        assert row.finding_tokens == plan["pilot_tokens"] + plan["main_tokens"]
    assert set(votes["arm"]) == {"windows", "open", "start", "start paid"}
    summary = json.loads((run.path / "summary.json").read_text())
    assert (
        summary["counts"]["with_window"] == votes.loc[votes["window"], "original_id"].nunique() > 3
    )
    assert (run.path / "figures/branch_at_windows.png").is_file()


def test_a_killed_run_goes_on_to_the_same_branches(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, calls = branch_drawing._branches_of, 0

    def killed(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise KeyboardInterrupt
        return drawn(*args)

    monkeypatch.setattr(branch_drawing, "_branches_of", killed)
    with pytest.raises(KeyboardInterrupt):
        carried_out(tmp_path)
    monkeypatch.setattr(branch_drawing, "_branches_of", drawn)
    again = carried_out(tmp_path)
    for table in ("branches", "votes"):
        assert again.read(table).equals(run.read(table)), table


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"budgets": ()}, "budgets"),
        ({"budgets": (2.0, 1.0)}, "budgets"),
        ({"budgets": (0.5,)}, "budgets"),
        ({"originals_per_problem": 0}, "originals_per_problem"),
        ({"feature": NothingIsRight()}, "right label"),
    ],
)
def test_bad_values_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        branching(**changed).check()
