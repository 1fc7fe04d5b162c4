"""Finished runs beside each other: models, temperatures, checkpoints of a training."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar, TypeVar

import yaml

from critwin.budget_comparison import BudgetTables, budget_comparison_figure, compare_budgets
from critwin.comparison import RunTables, compare, comparison_figure, same_problems
from critwin.drawing import save
from critwin.errors import ParameterError, RecordsError
from critwin.fork_folds import FoldedForks
from critwin.records import RunDirectory
from experiments.experiment import Accounts, Experiment
from experiments.source import Source, finished_runs
from experiments.tracker import Progress, Tracker

T = TypeVar("T")

STEP = re.compile(r"step-(\d+)/?$")
"""How a kept checkpoint of `+exp=train_arithmetic` is called."""

ELSEWHERE = ("outputs", "multirun", "cluster", "tracker", "runs")
"""Keys of a config that say nothing of what was measured."""


@dataclass(frozen=True, kw_only=True)
class Compare(Experiment):
    """Hold finished runs on the same problems against the first of them.

    They are runs with curves and windows, or variance budgets (`+exp=uncertainty_budget`).

    Attributes:
        runs: What leads to two runs or more (experiments/runs.py); the order is that of the figure.
        names: A name for each run, all different; none: what the configs differ in.
    """

    runs: tuple[str, ...]
    names: tuple[str, ...] = ()

    name: ClassVar[str] = "compare"
    stage: ClassVar[str] = "compare"
    axis: ClassVar[str] = "runs_compared"
    always: ClassVar[bool] = True
    execution: ClassVar[frozenset[str]] = frozenset({"runs"})

    @property
    def products(self) -> tuple[str, ...]:
        """Summary and figure."""
        return ("summary.json", "figures")

    @cached_property
    def opened(self) -> list[Source]:
        """The runs, opened once.

        Raises:
            ParameterError: They are fewer than two, or one is no finished run with curves.
        """
        found = finished_runs("runs", self.runs)
        if len(found) < 2:
            raise ParameterError("runs", list(self.runs), "two run directories or more, runs=[A,B]")
        return found

    @cached_property
    def of_budgets(self) -> bool:
        """Whether the runs are variance budgets.

        Raises:
            ParameterError: Some are, and others are not.
        """
        found = [isinstance(source.protocol, FoldedForks) for source in self.opened]
        if any(found) and not all(found):
            one, other = (self.opened[found.index(kind)].directory.path for kind in (True, False))
            allowed = f"runs of one kind; {one} is a variance budget, {other} is none"
            raise ParameterError("runs", list(self.runs), allowed)
        return found[0]

    @cached_property
    def windows(self) -> list[RunTables]:
        """The tables of runs with curves and windows, read once."""
        return self._read(_tables)

    @cached_property
    def budgets(self) -> list[BudgetTables]:
        """The tables of variance budgets, read once."""
        return self._read(_budget)

    def _read(self, read: Callable[[Source, str], T]) -> list[T]:
        return [read(*one) for one in zip(self.opened, self.called(), strict=True)]

    def check(self) -> None:
        """Refuse runs that do not share problems, prompt and feature."""
        first, *others = self.opened
        for other in others:
            found = list(_differences(first, other))
            if found:
                raise ParameterError(
                    "runs",
                    list(self.runs),
                    "runs of the same problems, prompt and feature; "
                    f"{first.directory.path} and {other.directory.path} differ in "
                    f"{'; '.join(found)}",
                )
        if self.names and (
            len(self.names) != len(self.opened) or len(set(self.names)) < len(self.names)
        ):
            allowed = f"{len(self.opened)} different names, one for each run, or none"
            raise ParameterError("names", list(self.names), allowed)
        _ = self.budgets if self.of_budgets else self.windows

    def called(self) -> list[str]:
        """Give each run a name: the one asked for, or what its config says that others do not."""
        if self.names:
            return list(self.names)
        steps = self._steps()
        if steps is not None:
            return [f"step {step}" for step in steps]
        differing = _differing([_config(source) for source in self.opened])
        if len(differing) == 1:
            ((key, values),) = differing.items()
            found = [f"{key.rpartition('.')[2]} {_short(value)}" for value in values]
            if len(set(found)) == len(found):
                return found
        ids = [str(source.record["run_id"])[:6] for source in self.opened]
        return ids if len(set(ids)) == len(ids) else [f"{i + 1}: {x}" for i, x in enumerate(ids)]

    def fingerprint(self) -> str:
        """Hash identities and records of the runs that are read, in their order."""
        content = [{"run_id": s.record["run_id"], "records": s.digests} for s in self.opened]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def sources(self) -> list[dict[str, object]]:
        """Describe the runs that are read."""
        return [source.described() for source in self.opened]

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        """Compare, and draw the figure."""
        began = time.perf_counter()
        progress.begin("comparison", 1, unit="comparisons")
        if self.of_budgets:
            summary = compare_budgets(self.budgets)
            figure = partial(budget_comparison_figure, self.budgets)
        else:
            summary = compare(self.windows)
            figure = partial(comparison_figure, self.windows)
        differing = _differing([_config(source) for source in self.opened])
        if differing:
            rows = [[key, *map(_short, values)] for key, values in differing.items()]
            columns = ["key", *self.called()]
            described = {"title": "What the configs differ in", "columns": columns, "rows": rows}
            summary["tables"].append(described)
        directory.write_json("summary", summary)
        folder = directory.path / "figures"
        folder.mkdir(exist_ok=True)
        at, axis = self._numbers(differing)
        save(figure(at=at, axis=axis), folder / "comparison")
        progress.advance(1)
        progress.end()
        tracker.log({"runs_compared": len(self.opened)})
        return Accounts(seconds={"comparison": time.perf_counter() - began})

    def _steps(self) -> list[int] | None:
        """Give the training steps of runs whose models are kept checkpoints, where all are."""
        paths = [str(_config(source).get("model.path", "")) for source in self.opened]
        found = [STEP.search(path) for path in paths]
        steps = [int(match[1]) for match in found if match]
        return steps if len(steps) == len(paths) and len(set(steps)) == len(steps) else None

    def _numbers(self, differing: Mapping[str, Sequence[Any]]) -> tuple[list[float] | None, str]:
        """Give where runs stand on an axis: steps, or the one number that they differ in."""
        steps = self._steps()
        if steps is not None:
            return [float(step) for step in steps], "training step"
        if len(differing) == 1:
            ((key, values),) = differing.items()
            if all(
                isinstance(value, int | float) and not isinstance(value, bool) for value in values
            ):
                return [float(value) for value in values], key.rpartition(".")[2]
        return None, ""


def _differences(first: Source, other: Source) -> Iterator[str]:
    for key in ("prompt", "feature"):
        one, two = (source.record["identity"].get(key) for source in (first, other))
        if one != two:
            yield f"{key}: {json.dumps(one)} and {json.dumps(two)}"
    problems = same_problems(first.problems(), other.problems())
    if problems is not None:
        yield f"problems: {problems}"


def _tables(source: Source, name: str) -> RunTables:
    directory = source.directory
    try:
        curves, windows = (directory.read(table).to_pandas() for table in ("curves", "windows"))
    except RecordsError as error:
        allowed = f"runs with curves and windows, as llm_math and relabel leave them ({error})"
        raise ParameterError("runs", [str(directory.path)], allowed) from None
    verdicts = directory.path / "verdicts.parquet"
    return RunTables(
        name,
        source.tables["originals"].to_pandas(),
        curves,
        windows,
        directory.read("verdicts").to_pandas() if verdicts.exists() else None,
    )


def _budget(source: Source, name: str) -> BudgetTables:
    try:
        shares = source.directory.read("shares").to_pandas()
    except RecordsError as error:
        allowed = f"variance budgets with their shares, as uncertainty_budget leaves them ({error})"
        raise ParameterError("runs", [str(source.directory.path)], allowed) from None
    return BudgetTables(name, source.tables["originals"].to_pandas(), shares)


def _config(source: Source) -> dict[str, Any]:
    """Give the config of a run, keys with dots; what says where and how is left out."""
    path = source.directory.path / "config.yaml"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        values = None  # the names are poorer without it, no number is
    chosen = values.items() if isinstance(values, dict) else ()
    return dict(_flat({key: value for key, value in chosen if key not in ELSEWHERE}))


def _flat(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _differing(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    keys = dict.fromkeys(key for config in configs for key in config)
    found = {key: [config.get(key) for config in configs] for key in keys}
    return {key: values for key, values in found.items() if any(v != values[0] for v in values)}


def _short(value: object) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 24 else f"...{text[-21:]}"
