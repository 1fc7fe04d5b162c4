"""Does it matter causally? Votes of branches at windows, at open positions, from the start."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import pyarrow as pa

from critwin.branching import VOTES, budget_votes
from critwin.branching_summary import branching_figure, summarise_votes
from critwin.changes import Sought
from critwin.claimed_parts import WAIT_SECONDS
from critwin.drawing import save
from critwin.errors import ParameterError
from critwin.protocol import ForkProtocol
from critwin.records import RunDirectory
from critwin.window import WindowRule
from experiments.branch_drawing import BranchDrawing, finding_tokens, plan_branches
from experiments.experiment import Accounts
from experiments.text_experiment import TextExperiment
from experiments.tracker import Progress, Tracker

FORKED = ("originals", "resamples", "plans")


@dataclass(frozen=True, kw_only=True)
class BranchAtWindows(TextExperiment):
    """Find windows by forks, branch there and elsewhere with fresh draws, and let branches vote.

    Problems without a reference answer cannot be judged.

    Attributes:
        window: What counts as a window.
        budgets: Tokens that branches may generate, in lengths of their original, each >= 1,
            increasing.
    """

    sampler: ForkProtocol
    window: WindowRule
    originals_per_problem: int = 1
    budgets: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)

    name: ClassVar[str] = "branch_at_windows"

    def check(self) -> None:
        """Refuse components that do not fit together, and problems that cannot be judged."""
        rising = all(a < b for a, b in zip(self.budgets, self.budgets[1:], strict=False))
        if not self.budgets or not rising or not all(1 <= b < math.inf for b in self.budgets):
            allowed = "a non-empty list of increasing numbers, each >= 1"
            raise ParameterError("budgets", list(self.budgets), allowed)
        self.window.check(self.sampler)
        super().check()
        if all(self.feature.truth(problem) is None for problem in self.problems):
            raise ParameterError(
                "feature",
                type(self.feature).__name__,
                "one that knows the right label of some problem, as votes are judged by it",
            )

    def determining(self) -> Self:
        """Put the sampling parameters where they act, and write 1 and 1.0 as one budget."""
        budgets = tuple(float(budget) for budget in self.budgets)
        return replace(super().determining(), budgets=budgets)

    @property
    def _sought(self) -> Sought | None:
        return self.window.sought

    @property
    def _drawn(self) -> tuple[str, ...]:
        return (*super()._drawn, "branches")

    @property
    def _made(self) -> tuple[str, ...]:
        return ("votes",)

    def _draw(self, directory: RunDirectory, tracker: Tracker, progress: Progress) -> Accounts:
        """Draw originals and forks, and then the branches, from what the forks found."""
        accounts = self._resampling().carry_out(
            directory, rule=self.window, tracker=tracker, progress=progress
        )
        branches, seconds = self._branching(directory).carry_out(directory, progress)
        accounts.tokens_generated += sum(branches["tokens_generated"].to_pylist())
        accounts.seconds["branches"] = seconds
        return accounts

    def help(self, directory: RunDirectory, *, wanted: Callable[[], bool]) -> None:
        """Draw parts of originals, forks and branches that no other process draws."""
        super().help(directory, wanted=wanted)
        tables = [directory.path / f"{table}.parquet" for table in FORKED]
        while wanted() and not directory.has("branches"):
            if all(table.exists() for table in tables):  # windows are found by all forks
                self._branching(directory).help(directory, wanted=wanted)
                return
            time.sleep(WAIT_SECONDS)

    def _branching(self, directory: RunDirectory) -> BranchDrawing:
        originals, resamples, plans = (directory.read(table) for table in FORKED)
        planned = plan_branches(
            originals.to_pandas(),
            resamples.to_pandas(),
            plans.to_pandas(),
            rule=self.window,
            most=max(self.budgets),
        )
        return BranchDrawing(self._drawing(), planned, originals.to_pylist())

    def _analyse(self, directory: RunDirectory, progress: Progress) -> None:
        originals = directory.read("originals").to_pandas()
        branches = directory.read("branches").to_pandas()
        cost = finding_tokens(directory.read("plans").to_pandas())
        of = dict(list(branches.groupby("original_id")))
        rows = [
            row
            for original in originals[originals["truth"].notna()].to_dict("records")
            for row in budget_votes(
                {str(key): value for key, value in original.items()},
                of[original["original_id"]],
                truth=original["truth"],
                budgets=self.budgets,
                finding_tokens=cost[original["original_id"]],
            )
        ]
        directory.write("votes", pa.Table.from_pylist(rows, schema=VOTES))
        votes = directory.read("votes").to_pandas()
        directory.write_json("summary", summarise_votes(votes, originals, branches))
        folder = directory.path / "figures"
        folder.mkdir(exist_ok=True)
        save(branching_figure(votes), folder / "branch_at_windows")
