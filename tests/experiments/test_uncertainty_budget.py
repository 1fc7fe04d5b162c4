"""The variance budget as an experiment, on an exact chain: sums, restarts, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from critwin import fork_folds
from critwin.budget_summary import select, share
from critwin.errors import ParameterError
from critwin.features.final_word import FinalWord
from critwin.fork_folds import FoldedForks
from critwin.problems.arithmetic import ArithmeticProblems
from critwin.prompt import PromptTemplate
from critwin.protocol import Fractions
from critwin.records import RunDirectory
from critwin.samplers.markov_string import MarkovString
from critwin.windows.paper_jump import PaperJump
from experiments.compare import Compare
from experiments.experiment import carry_out
from experiments.llm_math import LlmMath
from experiments.relabel import Relabel
from experiments.tracker import Silent
from experiments.uncertainty_budget import UncertaintyBudget

SILENT = Silent()


def budget(**changed: Any) -> UncertaintyBudget:
    parts: dict[str, Any] = {
        "model": MarkovString(max_new_tokens=12),
        "dataset": ArithmeticProblems(n_problems=40),
        "prompt": PromptTemplate(),
        "sampler": FoldedForks(forks_per_choice=24),
        "feature": FinalWord(),
        "originals_per_problem": 2,
    }
    return UncertaintyBudget(**(parts | changed))


def carried_out(experiment: UncertaintyBudget, folder: Path) -> RunDirectory:
    directory = RunDirectory(folder)
    carry_out(experiment, directory, config="", tracker=SILENT, progress=SILENT)
    return directory


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return carried_out(budget(), tmp_path_factory.mktemp("whole"))


def test_what_is_spent_is_the_uncertainty_of_the_chain(run: RunDirectory) -> None:
    law = MarkovString(max_new_tokens=12).last_symbol_law([])
    exact = 1 - (law**2).sum()
    totals = json.loads((run.path / "summary.json").read_text())["totals"]
    for name in ("sum", "uncertainty"):
        assert totals[name]["lower"] <= exact <= totals[name]["upper"]
    assert totals["difference"]["lower"] <= 0 <= totals["difference"]["upper"]
    shares = run.read("shares").to_pandas()
    spent = select(shares)
    assert len(spent) == 40
    value = share(shares, threshold=0.2)
    assert value is not None
    assert 0 < value.lower < value.estimate <= 1
    assert (run.path / "figures/uncertainty_budget.png").is_file()


def test_the_records_alone_give_the_shares_again(run: RunDirectory, tmp_path: Path) -> None:
    before = {n: (run.path / n).read_bytes() for n in ("shares.parquet", "summary.json")}
    for name in before:
        (run.path / name).unlink()

    carried_out(budget(), run.path)
    assert {n: (run.path / n).read_bytes() for n in before} == before


def test_a_killed_run_goes_on_to_the_same_records(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = fork_folds.plan_folds
    calls = 0

    def killed(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 40:
            raise KeyboardInterrupt
        return planned(*args, **kwargs)

    monkeypatch.setattr(fork_folds, "plan_folds", killed)
    with pytest.raises(KeyboardInterrupt):
        carried_out(budget(), tmp_path)
    monkeypatch.setattr(fork_folds, "plan_folds", planned)
    again = carried_out(budget(), tmp_path)
    for table in ("originals", "resamples", "folds", "shares"):
        assert again.read(table).equals(run.read(table)), table


def test_forks_are_counted_in_the_fold_they_were_drawn_for(run: RunDirectory) -> None:
    resamples = run.read("resamples").to_pandas()
    assert not resamples.duplicated(["original_id", "position", "replicate"]).any()
    fold = resamples["replicate"] % 4
    assert set(fold) == {0, 1, 2, 3}
    # of each fold as many: 4 standard errors of a share of a quarter
    assert (abs(fold.value_counts(normalize=True) - 0.25) < 4 * (0.1875 / len(fold)) ** 0.5).all()


@pytest.mark.parametrize("key", ["originals_per_problem", "seed"])
def test_bad_values_are_refused(key: str) -> None:
    with pytest.raises(ParameterError, match=key):
        budget(**{key: 1.5}).check()
    with pytest.raises(ParameterError, match="originals_per_problem is 1; allowed"):
        budget(originals_per_problem=1).check()


def test_a_parameter_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"sampler\.temperature"):
        budget(sampler=FoldedForks(temperature=0.5)).check()


def test_no_choice_is_no_uncertainty(tmp_path: Path) -> None:
    sure = MarkovString(symbols=("a",), initial=(1.0,), transitions=((0.0, 1.0),), max_new_tokens=4)
    found = carried_out(budget(model=sure, dataset=ArithmeticProblems(n_problems=3)), tmp_path)
    summary = json.loads((found.path / "summary.json").read_text())
    assert summary["totals"]["uncertainty"]["estimate"] == 0
    assert summary["totals"]["sum"]["estimate"] == 0
    assert all(row["estimate"] is None for row in summary["shares"] if row["source"] == "model")
    assert isinstance(found.read("shares").to_pandas(), pd.DataFrame)


def test_budgets_are_compared_with_each_other_alone(run: RunDirectory, tmp_path: Path) -> None:
    other = carried_out(budget(seed=1), tmp_path / "other")
    runs = (str(run.path), str(other.path))
    summary = compared(runs, tmp_path / "compared")
    own = {source: source.read_json("summary") for source in (run, other)}
    rows = {row["name"]: row for row in summary["measures"]}
    for source, name in zip((run, other), ("seed 0", "seed 1"), strict=True):
        shown: Any = own[source]
        for row, key in (("uncertainty", "uncertainty"), ("sum of squared jumps", "sum")):
            assert rows[row]["runs"][name] == shown["totals"][key]
        (j,) = (s for s in shown["shares"] if s["threshold"] == 0.2 and _single(s))
        assert rows["J(0.2)"]["runs"][name] == {key: j[key] for key in rows["J(0.2)"]["runs"][name]}
    # one law, so two seeds differ by chance alone: 95 % of intervals hold 0, and these do
    for row in ("uncertainty", "J(0.2)", "choices, H"):
        less = rows[row]["less_first"]["seed 1"]
        assert less["lower"] <= 0 <= less["upper"]
    itself = compared((runs[0], runs[0]), tmp_path / "itself", names=("a", "b"))
    for row in itself["measures"]:
        assert row["runs"]["a"] == row["runs"]["b"]
        assert row["less_first"]["b"]["estimate"] in (0, None)


def test_a_budget_is_no_run_with_windows(run: RunDirectory, tmp_path: Path) -> None:
    chain = LlmMath(
        model=MarkovString(max_new_tokens=12),
        dataset=ArithmeticProblems(n_problems=40),
        prompt=PromptTemplate(),
        sampler=Fractions(n=1),
        feature=FinalWord(),
        window=PaperJump(),
        originals_per_problem=1,
    )
    directory = RunDirectory(tmp_path / "windows")
    carry_out(chain, directory, config="", tracker=SILENT, progress=SILENT)
    with pytest.raises(ParameterError, match=r"runs of one kind; .*whole.* is a variance budget"):
        Compare(runs=(str(directory.path), str(run.path))).check()
    relabelled = Relabel(runs=(str(run.path),), feature=FinalWord(), window=PaperJump())
    with pytest.raises(ParameterError, match="a run whose resamples give curves"):
        relabelled.check()


def compared(runs: tuple[str, ...], folder: Path, names: tuple[str, ...] = ()) -> Any:
    experiment = Compare(runs=runs, names=names or ("seed 0", "seed 1"))
    experiment.check()
    directory = RunDirectory(folder)
    carry_out(experiment, directory, config="", tracker=SILENT, progress=SILENT)
    assert (folder / "figures/comparison.png").is_file()
    return directory.read_json("summary")


def _single(row: dict[str, Any]) -> bool:
    wanted = {"source": "model", "labels": "all", "unit": "tokens", "block": 1.0, "kind": "all"}
    return all(row[key] == value for key, value in wanted.items())
