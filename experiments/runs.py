"""How finished runs are named on a command line, everywhere in one way.

A name is a run directory, the folder of a sweep (its cells), a folder that holds some of either, or
a pattern with `*`, `?` or `[...]` of such; `~` is the home folder. `wandb:entity/project` is turned
into folders before an experiment is built (launch/wandb_runs.py).
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from critwin.errors import ParameterError, RecordsError
from critwin.tables.facts import RunFacts, read_facts

MARKS = ("manifest.json", "provenance.json")
"""A folder with the first is a sweep's, one with the second a run's."""

DEEPEST = 3
"""Folders below the one that is named are looked into down to this depth."""

ALLOWED = (
    "a folder of a sweep (multirun/...), of a run (outputs/...), one that holds some, a pattern of "
    "such, or wandb:entity/project"
)


READERS = frozenset({"paper_tables", "export", "compare"})
"""Experiments that read other runs: a folder that holds their runs too gives nothing of them, but
for tables, which take what compare has paired."""


@dataclass(frozen=True)
class Collected:
    """What names of runs lead to.

    Attributes:
        runs: The finished runs, each once.
        left_out: What was left out and why, a line each.
    """

    runs: tuple[RunFacts, ...]
    left_out: tuple[str, ...]


def folders_of(key: str, names: Sequence[str]) -> list[Path]:
    """Give the folders of sweeps and runs that names lead to, in their order, not each once.

    Args:
        key: The key that holds the names, for messages.
        names: One or more.

    Raises:
        ParameterError: A name leads to none.
    """
    if not names:
        raise ParameterError(key, list(names), f"one or more of: {ALLOWED}")
    found: list[Path] = []
    for name in names:
        own = list(_found_by(name))
        if not own:
            raise ParameterError(key, name, ALLOWED)
        found += own
    return found


def run_directories(key: str, names: Sequence[str]) -> list[Path]:
    """Give the run directories that names lead to; of a sweep, those of its cells.

    Raises:
        ParameterError: A name leads to none.
        RecordsError: A sweep's manifest is damaged.
    """
    return [run for folder in folders_of(key, names) for run in _runs_of(folder)]


def collect(key: str, names: Sequence[str], *, but: frozenset[str] = frozenset()) -> Collected:
    """Read the finished runs that names lead to; what is unfinished or there twice is left out.

    Args:
        key: The key that holds the names, for messages.
        names: One or more.
        but: Experiments whose runs are no runs here: they read others. Nothing is said of them.

    Raises:
        ParameterError: A name leads nowhere.
    """
    kept: dict[str, RunFacts] = {}
    left_out = []
    for path in run_directories(key, names):
        try:
            run = read_facts(path)
        except RecordsError as error:
            left_out.append(f"{path} is not finished: {error}")
            continue
        if run.experiment in but:
            continue
        twin = kept.setdefault(run.run_id, run)
        if twin is not run:
            left_out.append(f"{path} is there twice: {_twice(run, twin)}")
    return Collected(tuple(kept.values()), tuple(left_out))


def _twice(run: RunFacts, twin: RunFacts) -> str:
    if run.path.resolve() == twin.path.resolve():
        return "it is named twice"
    same = {k: v for k, v in run.digests.items() if k.endswith(".parquet")} == {
        k: v for k, v in twin.digests.items() if k.endswith(".parquet")
    }
    return f"it is run {run.run_id} as {twin.path}, {'the same' if same else 'but other'} records"


def _found_by(name: str) -> Iterator[Path]:
    plain = Path(name).expanduser()
    matches = [plain] if plain.exists() else [Path(p) for p in sorted(glob.glob(str(plain)))]
    for path in matches:
        yield from found_in(path)


def found_in(folder: Path) -> list[Path]:
    """Give the sweeps and runs at or under a folder."""
    if any((folder / mark).is_file() for mark in MARKS):
        return [folder]
    patterns = ["/".join(["*"] * depth) for depth in range(1, DEEPEST + 1)]
    return sorted(
        {path.parent for p in patterns for mark in MARKS for path in folder.glob(f"{p}/{mark}")}
    )


def _runs_of(folder: Path) -> list[Path]:
    path = folder / "manifest.json"
    if not path.is_file():
        return [folder]
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        started_in = Path(manifest.get("started_in", "."))
        return [started_in / cell["directory"] for cell in manifest["cells"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordsError(f"{path} cannot be read ({error}); allowed: as -m writes it") from None
