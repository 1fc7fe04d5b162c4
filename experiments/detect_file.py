"""Windows in curves that were measured elsewhere, from a file of rollouts: no model is needed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from critwin.curve import MeasuredCurve, curves_table
from critwin.errors import ParameterError, RolloutError
from critwin.figures import write_figures
from critwin.protocol import TWENTIETHS, EveryToken, ForkProtocol
from critwin.records import RESAMPLES, RunDirectory
from critwin.report import write_report
from critwin.rollouts.branches import Branches, branch_curves, final_label
from critwin.rollouts.files import read_rows
from critwin.rollouts.rows import Rollouts, check_rows, without_trajectories
from critwin.rollouts.tables import count_curve, rollout_originals, summarise_rollouts
from critwin.verdict_summary import add_verdicts
from critwin.window import WindowRule, find_all, verdicts_table, windows_table
from experiments.experiment import Accounts
from experiments.file_experiment import FileExperiment
from experiments.tracker import Progress, Tracker


@dataclass(frozen=True, kw_only=True)
class DetectFile(FileExperiment):
    """Read rollouts, make curves, find windows (docs/detect_file.md).

    Attributes:
        path: Parquet, CSV or JSON lines, `.gz` behind the name or not.
        window: What counts as a window.
        on_error: Whether a row that cannot be used stops everything, or is left out and counted.
    """

    window: WindowRule

    name: ClassVar[str] = "detect_file"
    stage: ClassVar[str] = "detect"
    axis: ClassVar[str] = "trajectories_done"

    @property
    def products(self) -> tuple[str, ...]:
        """Tables, summary, figures and page, as of any run."""
        tables = ("originals", "resamples", "curves", "windows", "verdicts")
        files = [f"{table}.parquet" for table in tables]
        return (*files, "summary.json", "figures", "report.html")

    @cached_property
    def rollouts(self) -> Rollouts:
        """The rows of the file, read and checked once.

        Raises:
            ParameterError: The file cannot be read, or a row of it cannot be used.
        """
        file = self.located("rollouts")
        try:
            rollouts = check_rows(read_rows(file), file.name)
            if rollouts.form == "branches":
                rollouts = without_trajectories(rollouts, _without_label(rollouts))
            if self.on_error == "stop":
                rollouts.refuse_rejected(file.name)
            if not len(rollouts.rows):
                raise RolloutError(f"{file.name} holds no trajectory that can be used")
        except RolloutError as error:
            raise ParameterError("path", self.path, f"rollouts that can be read: {error}") from None
        return rollouts

    def check(self) -> None:
        """Refuse a file that cannot be used, and a rule that looks at levels it does not have."""
        super().check()
        # nats are known where paths are
        known = ForkProtocol() if self.rollouts.form == "branches" else EveryToken()
        self.window.check(known)

    def tags(self) -> list[str]:
        """Name the experiment, the rule and the form of the file."""
        return [self.name, type(self.window).__name__, self.rollouts.form]

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        """Write curves, windows, summary, figures and page."""
        began = time.perf_counter()
        curves, tokens = self._curves(progress)
        own = [curve for curve in curves if curve.own]
        found = find_all(curves, self.window)
        originals = rollout_originals(own, tokens)
        directory.write("originals", originals)
        directory.write("resamples", RESAMPLES.empty_table())
        directory.write("curves", curves_table(curves))
        directory.write("windows", windows_table(found.windows, tokens))
        verdicts = verdicts_table(found.verdicts)
        directory.write("verdicts", verdicts)
        summary = summarise_rollouts(self.rollouts, own, found.windows)
        add_verdicts(summary, originals.to_pandas(), verdicts.to_pandas())
        directory.write_json("summary", summary)
        tracker.log({"trajectories_done": len(own), "windows": len(found.windows)})
        write_figures(directory.path, visited=TWENTIETHS, compared=self.window.fractions)
        write_report(directory.path)
        return Accounts(seconds={"analysis": time.perf_counter() - began})

    def _curves(self, progress: Progress) -> tuple[list[MeasuredCurve], dict[str, tuple[str, ...]]]:
        """Make the curves of every trajectory, own label first, and its tokens."""
        groups = self.rollouts.rows.groupby("trajectory_id", sort=False)
        progress.begin("curves", groups.ngroups, unit="trajectories")
        curves: list[MeasuredCurve] = []
        tokens: dict[str, tuple[str, ...]] = {}
        for name, rows in groups:
            if self.rollouts.form == "counts":
                curve, tokens[str(name)] = count_curve(rows)
                curves.append(curve)
            else:
                branches = Branches.of(rows)
                tokens[str(name)] = branches.tokens
                curves += branch_curves(branches)
            progress.advance(1)
        progress.end()
        return curves, tokens


def _without_label(rollouts: Rollouts) -> dict[str, str]:
    """Name the trajectories of which nothing says what they decided, with the reason."""
    found = {}
    for name, rows in rollouts.rows.groupby("trajectory_id", sort=False):
        try:
            final_label(rows)
        except ValueError as error:
            found[str(name)] = str(error)
    return found
