"""Runs that several processes work on: the records are those of one, whoever made which part."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from critwin import claimed_parts
from critwin.features.final_word import FinalWord
from critwin.fork_folds import FoldedForks
from critwin.problems.arithmetic import ArithmeticProblems
from critwin.prompt import PromptTemplate
from critwin.protocol import ForkProtocol, Fractions
from critwin.records import RunDirectory
from critwin.samplers.markov_string import MarkovString
from critwin.windows.paper_jump import PaperJump
from experiments import branch_at_windows, branch_drawing, originals, resampling
from experiments.branch_at_windows import BranchAtWindows
from experiments.experiment import Experiment, carry_out, help_out, read_provenance
from experiments.llm_math import LlmMath
from experiments.tracker import Silent
from experiments.uncertainty_budget import UncertaintyBudget
from tests.experiments.test_branch_at_windows import YesIsRight

PARTS: dict[str, Any] = {
    "model": MarkovString(max_new_tokens=8),
    "dataset": ArithmeticProblems(n_problems=10),
    "prompt": PromptTemplate(),
    "feature": FinalWord(),
    "originals_per_problem": 2,
}
FORKS = ForkProtocol(half_width=None, max_forks=8, pilot=2)
EXPERIMENTS = {
    "grid": LlmMath(**PARTS, sampler=Fractions(n=4), window=PaperJump()),
    "forks": LlmMath(**PARTS, sampler=FORKS, window=PaperJump(fractions=(0.0, 0.5, 1.0))),
    "folds": UncertaintyBudget(**PARTS, sampler=FoldedForks(forks_per_choice=4)),
    "branches": BranchAtWindows(
        **(PARTS | {"feature": YesIsRight()}),
        sampler=FORKS,
        window=PaperJump(fractions=(0.0, 0.5, 1.0)),
        budgets=(1.0, 2.0),
    ),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_two_give_the_records_of_one(name: str, tmp_path: Path, monkeypatch) -> None:
    experiment = EXPERIMENTS[name]
    experiment.check()
    assert experiment.shared
    for module in (claimed_parts, branch_at_windows):
        monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(originals, "ORIGINALS_PER_PART", 4)
    monkeypatch.setattr(resampling, "RESAMPLED_PER_PART", 4)
    monkeypatch.setattr(branch_drawing, "PER_PART", 4)
    # what is made of the records is the same code for both, and dear
    monkeypatch.setattr(type(experiment), "_analyse", lambda *_: 0.0)
    alone, together = RunDirectory(tmp_path / "alone"), RunDirectory(tmp_path / "together")
    carry_out(experiment, alone, config="", tracker=Silent(), progress=Silent())
    made = _count_parts(monkeypatch)
    helper = threading.Thread(target=_help, args=(experiment, together), name="helper")
    helper.start()
    carry_out(experiment, together, config="", tracker=Silent(), progress=Silent())
    helper.join(60)
    tables = {table for _, table in made}
    assert all(made["helper", table] for table in tables), "it had a share in each table"
    assert all(made["MainThread", table] for table in tables)
    for path in alone.path.glob("*.parquet"):
        assert path.read_bytes() == (together.path / path.name).read_bytes(), path.name


def _count_parts(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """Count the parts of each table by thread; with their first the two wait for each other."""
    made: Counter[tuple[str, str]] = Counter()
    meeting: defaultdict[str, threading.Barrier] = defaultdict(lambda: threading.Barrier(2))
    write = RunDirectory.write_part

    def counted(self: RunDirectory, table: str, *rest: Any, **more: Any) -> None:
        made[threading.current_thread().name, table] += 1
        if made[threading.current_thread().name, table] == 1:
            meeting[table].wait(timeout=300)
        write(self, table, *rest, **more)

    monkeypatch.setattr(RunDirectory, "write_part", counted)
    return made


def _help(experiment: Experiment, directory: RunDirectory) -> None:
    while read_provenance(directory) is None:
        time.sleep(0.001)
    help_out(experiment, directory)
