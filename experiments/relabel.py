"""A new feature for a finished run, from its records alone: no model and no problem files."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from critwin.errors import ParameterError
from critwin.feature import Feature
from critwin.problem import Problem, problems_table
from critwin.protocol import Protocol
from critwin.records import RunDirectory
from critwin.relabelling import relabel, remeasured_plans
from critwin.window import WindowRule
from experiments.analysis import analyse, products
from experiments.experiment import Accounts, Experiment
from experiments.source import Source, finished_runs
from experiments.tracker import Progress, Tracker


@dataclass(frozen=True, kw_only=True)
class Relabel(Experiment):
    """Label the originals and resamples of a finished run anew, and analyse them as the run did.

    No model is asked: a start that was killed is done over from the beginning, and nothing that it
    wrote is read.

    Attributes:
        runs: What leads to one run (experiments/runs.py); `-m` takes several, a run each.
        feature: What is decided.
        window: What counts as a window.
    """

    runs: tuple[str, ...]
    feature: Feature
    window: WindowRule

    name: ClassVar[str] = "relabel"
    stage: ClassVar[str] = "relabel"
    axis: ClassVar[str] = "problems_done"
    always: ClassVar[bool] = True
    execution: ClassVar[frozenset[str]] = frozenset({"runs"})

    @cached_property
    def source(self) -> Source:
        """The run, opened once.

        Raises:
            ParameterError: It is no finished run that resampled originals, or not exactly one.
        """
        if len(self.runs) != 1:
            sweep = ",".join(f"[{run}]" for run in self.runs or ("A", "B"))
            allowed = f"one run directory, runs=[DIR]; several are a sweep: -m 'runs={sweep}'"
            raise ParameterError("runs", list(self.runs), allowed)
        found = finished_runs("runs", self.runs)
        if len(found) != 1:
            paths = ", ".join(str(source.directory.path) for source in found)
            allowed = f"what leads to one run; here are {paths}"
            raise ParameterError("runs", list(self.runs), allowed)
        return found[0]

    @property
    def protocol(self) -> Protocol:
        """How the run resampled its originals.

        Raises:
            ParameterError: So that no curves can be made of them.
        """
        if not isinstance(self.source.protocol, Protocol):
            allowed = "a run whose resamples give curves, as llm_math leaves it"
            raise ParameterError("runs", list(self.runs), allowed)
        return self.source.protocol

    @property
    def products(self) -> tuple[str, ...]:
        """The tables of the run, and what the analysis makes of them."""
        return products(self.source.names, self.protocol)

    def check(self) -> None:
        """Refuse a run that cannot be relabelled, and a rule that its levels do not serve."""
        self.window.check(self.protocol)
        _ = self.replies

    @cached_property
    def replies(self) -> bool:
        """Whether replies are labelled: the feature asks what the run asked, and they are recorded.

        Raises:
            ParameterError: It asks something else, and there is no model to ask.
        """
        asked = self.feature.follow_up(Problem("", "", None))
        if asked is None:
            return False
        if _asked(self.source.measured.get("feature")) != (asked.user, asked.prefix):
            allowed = (
                "text, because relabelling asks no model; or the question and lead that the run "
                "asked with"
            )
            raise ParameterError("feature.answer", "asked", allowed)
        return True

    def tags(self) -> list[str]:
        """Name the experiment, the feature and the run."""
        return [self.name, type(self.feature).__name__, str(self.source.record["run_id"])]

    def fingerprint(self) -> str:
        """Hash identity and records of the run that is read."""
        content = {"run_id": self.source.record["run_id"], "records": self.source.digests}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def sources(self) -> list[dict[str, object]]:
        """Describe the run that is read."""
        return [self.source.described()]

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        """Label every text, then make curves, windows, summary, figures and page."""
        began = time.perf_counter()
        tables, problems = dict(self.source.tables), self.source.problems()
        progress.begin("labels", len(problems), unit="problems")
        tables["originals"], tables["resamples"] = relabel(
            tables["originals"],
            tables["resamples"],
            problems=problems,
            feature=self.feature,
            done=lambda texts: progress.advance(1, texts=texts),
            replies=self.replies,
        )
        progress.end()
        if "plans" in tables:
            tables["plans"] = remeasured_plans(
                tables["plans"], tables["originals"], tables["resamples"]
            )
        tables["problems"] = problems_table(problems)
        for name, table in tables.items():
            directory.write(name, table)
        tracker.log({"problems_done": len(problems), "texts": tables["resamples"].num_rows})
        labelled = time.perf_counter()
        analyse(
            directory,
            protocol=self.protocol,
            rule=self.window,
            progress=progress,
            feature=self.feature,
        )
        analysed = time.perf_counter()
        return Accounts(seconds={"labels": labelled - began, "analysis": analysed - labelled})


def _asked(feature: Any) -> tuple[str, str] | None:
    """Give question and lead of a feature that asked, from its description in a record."""
    while isinstance(feature, dict) and "answer" not in feature:
        feature = feature.get("of")
    if not isinstance(feature, dict) or feature["answer"] != "asked":
        return None
    return feature["question"], feature["lead"]
