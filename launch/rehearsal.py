"""`dry_run=true` of runs: the cells, what of them is done, and the jobs that would go out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from critwin.records import RunDirectory
from launch.build import Job
from launch.planning import jobs_for, missing
from launch.standing import Standing, stand_run
from launch.sweep import Cell, Sweep
from launch.terminal import duration
from launch.trajectories import printable


@dataclass(frozen=True)
class Rehearsal:
    """What a command line would do.

    Attributes:
        cells: The runs.
        jobs: Each of them, ready to start.
        sweep: The sweep that they are; None for one run.
    """

    cells: tuple[Cell, ...]
    jobs: tuple[Job, ...]
    sweep: Sweep | None = None

    def show(self, out: Console) -> None:
        """Print cells and jobs; nothing is written, submitted or loaded."""
        if self.sweep is None:
            wanted = list(self.cells)
            standings = [stand_run(RunDirectory(Path(self.cells[0].directory)))]
        else:
            wanted, standings = missing(self.sweep)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for heading in ("state", "run", "cell"):
            table.add_column(heading, overflow="fold", no_wrap=heading in ("state", "run"))
        for heading in ("job", "tokens", "time"):
            table.add_column(heading, justify="right")
        places = self._places(wanted)
        for cell, job, standing in zip(self.cells, self.jobs, standings, strict=True):
            table.add_row(*_row(cell, job, standing, places.get(cell.run_id, "")))
        out.print(table)
        done = sum(standing.state == "done" for standing in standings)
        out.print(Text(f"{len(self.cells)} cells, {done} done; {self._jobs_line(wanted)}"))

    def _places(self, wanted: list[Cell]) -> dict[str, str]:
        """Give the numbers of the jobs that each cell would go into."""
        if self.sweep is None:
            return {}
        places: dict[str, list[str]] = {}
        for number, job in enumerate(jobs_for(wanted, self.jobs[0].cluster) if wanted else []):
            for cell in job:
                places.setdefault(cell.run_id, []).append(str(number))
        return {run_id: ",".join(numbers) for run_id, numbers in places.items()}

    def _jobs_line(self, wanted: list[Cell]) -> str:
        if not wanted:
            return "nothing would be computed"
        if self.sweep is None:
            return "one run would be computed, in this process"
        cluster = self.jobs[0].cluster
        number = len(jobs_for(wanted, cluster))
        jobs = f"{number} job{'s' if number != 1 else ''}"
        return f"{len(wanted)} would go out in {jobs} on {cluster.name}"


def _row(cell: Cell, job: Job, standing: Standing, place: str) -> list[str | Text]:
    cost = None if standing.state == "done" else job.experiment.expected_cost()
    tokens = "" if cost is None or cost.tokens is None else f"{cost.tokens:.3g}"
    seconds = "" if cost is None or cost.seconds is None else duration(cost.seconds)
    own = " ".join(override for override in standing.overrides)
    return [standing.state, cell.directory, Text(printable(own)), place, tokens, seconds]
