"""Where does each run of a sweep stand? `python -m launch +exp=status 'runs=[DIR]'`."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, get_args

from rich.console import Console
from rich.table import Table
from rich.text import Text

from critwin.records import RunDirectory
from experiments.runs import folders_of
from launch.inquiry import Inquiry
from launch.standing import Standing, State, stand, stand_run
from launch.sweep import Sweep, read_json, read_submissions, read_sweep
from launch.terminal import duration
from launch.trajectories import printable

STYLES = {"done": "green", "running": "cyan", "failed": "red", "lost": "yellow", "waiting": "dim"}


@dataclass(frozen=True, kw_only=True)
class Status(Inquiry):
    """Show each run with its state, progress, speed and what went wrong.

    Attributes:
        runs: Folders: of a sweep, of a run, or folders that hold some.
    """

    runs: tuple[str, ...]

    name: ClassVar[str] = "status"

    def check(self) -> None:
        """Refuse folders that hold neither a sweep nor a run."""
        folders_of("runs", self.runs)

    def answer(self, out: Console) -> int:
        """Show the table; 0 where all are done, else 1."""
        found = standings_of(folders_of("runs", self.runs))
        # a run may be found in its sweep and by itself: what the sweep knows comes first
        unique: dict[Path, Standing] = {}
        for each in sorted(found, key=lambda each: not each.overrides):
            unique.setdefault(each.directory.resolve(), each)
        standings = list(unique.values())
        show(out, standings)
        return 0 if all(each.state == "done" for each in standings) else 1


def standings_of(folders: Iterable[Path]) -> list[Standing]:
    """Tell where the cells of sweeps, and runs, stand."""
    found: list[Standing] = []
    for path in folders:
        if (path / "manifest.json").is_file():
            started_in = Path(read_json(path / "manifest.json").get("started_in", "."))
            found += stand(read_sweep(path), base=started_in)
        else:
            found.append(stand_run(RunDirectory(path)))
    return found


def show_sweep(out: Console, sweep: Sweep) -> int:
    """Show where a sweep stands that was just submitted, and how to ask again.

    Returns:
        0 where no cell failed or was lost, else 1.
    """
    out.print(Text(f"\nsweep {sweep.sweep_id}"))
    standings = stand(sweep)
    show(out, standings)
    jobs = [job.job for each in list(read_submissions(sweep.folder))[:1] for job in each.jobs]
    if jobs and any(each.state in ("waiting", "running") for each in standings):
        out.print(Text(f"jobs: {' '.join(jobs)}"), soft_wrap=True)
    out.print(Text(f"manifest and logs: {sweep.folder}"), soft_wrap=True)
    folder = shlex.quote(f"runs=[{sweep.folder}]")
    out.print(Text(f"where it stands: python -m launch +exp=status {folder}"), soft_wrap=True)
    return int(any(each.state in ("failed", "lost") for each in standings))


def show(out: Console, standings: Sequence[Standing]) -> None:
    """Print a table of runs, and how many are where."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("state", "run", "cell", "progress"):
        # a run's name stays whole, so that it can be copied
        table.add_column(heading, overflow="fold", no_wrap=heading in ("state", "run"))
    for heading in ("tokens/s", "left"):
        table.add_column(heading, justify="right")
    for each in standings:
        table.add_row(*_row(each))
    out.print(table)
    for each in standings:
        if each.error:
            # on a line of its own that nothing folds: it is read by people and searched by scripts
            line = f"{_name(each)}: {printable(each.error)}"
            out.print(Text(line, style="red"), soft_wrap=True)
    counts = Counter(each.state for each in standings)
    parts = [f"{counts[state]} {state}" for state in get_args(State) if counts[state]]
    out.print(Text(f"{len(standings)} runs: {', '.join(parts)}"))


def _name(each: Standing) -> str:
    return min(str(each.directory), os.path.relpath(each.directory), key=len)


def _row(each: Standing) -> list[Text]:
    progress = f"{each.stage} {each.done}/{each.total} {each.unit}" if each.done is not None else ""
    speed = "" if each.tokens_per_second is None else f"{each.tokens_per_second:.0f}"
    left = "" if each.seconds_left is None else duration(each.seconds_left)
    cells = [each.state, _name(each), " ".join(each.overrides), progress, speed, left]
    row = [Text(printable(cell)) for cell in cells]
    row[0].stylize(STYLES[each.state])
    return row
