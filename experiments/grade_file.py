"""Grades answers or generations that are on disk already: no model is needed."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from critwin.asking import refuse_asking
from critwin.errors import ParameterError, RolloutError
from critwin.feature import UNSCORED, Feature
from critwin.files import write_text
from critwin.records import RunDirectory
from critwin.statistics import clustered_share, plain
from critwin.verdicts_file import (
    AGREEMENTS,
    GradableFile,
    grade,
    read_gradable,
    verdict_counts,
)
from experiments.experiment import Accounts
from experiments.file_experiment import FileExperiment
from experiments.tracker import Progress, Tracker

ROWS_PER_STEP = 500
"""Rows graded together between two signs of life."""


@dataclass(frozen=True, kw_only=True)
class GradeFile(FileExperiment):
    """Label each row of a file and compare it with its reference answer (docs/grading.md).

    Attributes:
        path: JSON lines of `gold` with `pred` or `text`; `.gz` behind the name or not.
        feature: Reads the answers.
        on_error: Whether a row that cannot be graded stops everything, or is left out and counted.
    """

    feature: Feature

    name: ClassVar[str] = "grade_file"
    stage: ClassVar[str] = "grade"
    axis: ClassVar[str] = "rows_done"

    @property
    def products(self) -> tuple[str, ...]:
        """The verdicts, and their counts."""
        return ("verdicts.jsonl", "summary.json")

    @cached_property
    def file(self) -> GradableFile:
        """The rows, read and checked once.

        Raises:
            ParameterError: The file cannot be read, or a row of it cannot be graded.
        """
        file = self.located("answers")
        try:
            found = read_gradable(file)
            if self.on_error == "stop":
                found.refuse_rejected(file.name)
            if not found.rows:
                raise RolloutError(f"{file.name} holds no row that can be graded")
        except RolloutError as error:
            raise ParameterError("path", self.path, f"rows that can be graded: {error}") from None
        return found

    def check(self) -> None:
        """Refuse a file that cannot be used, and a feature that has to ask a model."""
        super().check()
        refuse_asking(self.feature, "a file has no model to ask")
        _ = self.file

    def tags(self) -> list[str]:
        """Name the experiment and the feature."""
        return [self.name, type(self.feature).__name__]

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        """Write the verdicts and their counts."""
        began = time.perf_counter()
        rows = self.file.rows
        progress.begin("verdicts", len(rows), unit="rows")
        verdicts: list[dict[str, Any]] = []
        for start in range(0, len(rows), ROWS_PER_STEP):
            fresh = grade(rows[start : start + ROWS_PER_STEP], self.feature)
            verdicts += fresh
            progress.advance(len(fresh))
        progress.end()
        lines = [json.dumps(verdict, ensure_ascii=False) for verdict in verdicts]
        write_text(directory.path / "verdicts.jsonl", "\n".join(lines) + "\n")
        summary = _summary(verdicts, rejected=len(self.file.rejected))
        directory.write_json("summary", summary)
        tracker.log({"rows_done": len(rows), **summary["counts"]})
        return Accounts(seconds={"verdicts": time.perf_counter() - began})


def _summary(verdicts: Sequence[Mapping[str, Any]], *, rejected: int) -> dict[str, Any]:
    counts = verdict_counts(verdicts, rejected=rejected)
    rows = [
        _share("right, of the answers that could be read", verdicts, lambda v: v["equal"]),
        _share("could not be read", verdicts, lambda v: v["label"] == UNSCORED),
    ]
    rows += [
        _share(f"agrees with the file's own `{name}`", verdicts, agrees)
        for name, agrees in AGREEMENTS.items()
        if any(agrees(verdict) is not None for verdict in verdicts)
    ]
    return {"counts": counts, "headline": rows}


def _share(
    name: str,
    verdicts: Sequence[Mapping[str, Any]],
    hit: Callable[[Mapping[str, Any]], bool | None],
) -> dict[str, Any]:
    """Give a headline row; verdicts with one `problem_id` are one problem, else each is its own."""
    hits: Counter[object] = Counter()
    trials: Counter[object] = Counter()
    for number, verdict in enumerate(verdicts):
        found = hit(verdict)
        if found is not None:
            problem = verdict.get("problem_id", number)
            hits[str(problem)] += found
            trials[str(problem)] += 1
    share = clustered_share([hits[key] for key in trials], [*trials.values()]) if trials else None
    return {"name": name, **plain(share), "note": ""}
