"""`dry_run=true` of runs: cells, what of them is done, what they cost, jobs that would go out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from critwin.records import RunDirectory
from experiments.estimates import Cost
from experiments.tracker import Progress
from launch.build import Job
from launch.costs import costs_of
from launch.planning import jobs_for, missing
from launch.standing import Standing, stand_run
from launch.sweep import Cell, Sweep
from launch.terminal import duration
from launch.trajectories import printable

UNKNOWN = "-"


@dataclass(frozen=True)
class Rehearsal:
    """What a command line would do.

    Attributes:
        cells: The runs.
        jobs: Each of them, ready to start.
        sweep: The sweep that they are; None for one run.
        measure: Whether costs that nobody remembers are measured.
    """

    cells: tuple[Cell, ...]
    jobs: tuple[Job, ...]
    sweep: Sweep | None = None
    measure: bool = True

    def show(self, out: Console, *, progress: Progress) -> None:
        """Print cells, costs and jobs; no run is written to and nothing is submitted.

        Args:
            out: Where to.
            progress: Shows the pilots by which costs are measured.
        """
        if self.sweep is None:
            (cell,) = self.cells
            standings = [stand_run(RunDirectory(Path(cell.directory)))]
            wanted = [] if standings[0].state == "done" and not cell.always else [cell]
        else:
            wanted, standings = missing(self.sweep)
        costs, unknown = self._costs(standings, progress)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for heading in ("state", "run", "cell"):
            table.add_column(heading, overflow="fold", no_wrap=heading in ("state", "run"))
        for heading in ("job", "tokens", "time"):
            table.add_column(heading, justify="right", no_wrap=heading != "tokens")
        places = self._places(wanted)
        for cell, standing in zip(self.cells, standings, strict=True):
            place = ",".join(map(str, places.get(cell.run_id, [])))
            table.add_row(*_row(cell, standing, place, costs.get(cell.run_id)))
        out.print(table)
        for line in unknown:
            out.print(Text(printable(line), style="yellow"), soft_wrap=True)
        done = sum(standing.state == "done" for standing in standings)
        out.print(Text(f"{len(self.cells)} cells, {done} done; {self._jobs_line(wanted)}"))
        self._show_sum(out, wanted, costs)

    def _costs(
        self, standings: Sequence[Standing], progress: Progress
    ) -> tuple[dict[str, Cost | None], list[str]]:
        """Give the costs of the cells that are not done, by run id, and what cannot be measured."""
        left = [k for k, standing in enumerate(standings) if standing.state != "done"]
        jobs = [self.jobs[k] for k in left]
        found, unknown = costs_of(jobs, measure=self.measure, progress=progress)
        ids = [self.cells[k].run_id for k in left]
        return dict(zip(ids, found, strict=True)), unknown

    def _places(self, wanted: list[Cell]) -> dict[str, list[int]]:
        """Give the numbers of the jobs that each cell would go into."""
        if self.sweep is None:
            return {}
        places: dict[str, list[int]] = {}
        for number, job in enumerate(jobs_for(wanted, self.jobs[0].cluster) if wanted else []):
            for cell in job:
                places.setdefault(cell.run_id, []).append(number)
        return places

    def _jobs_line(self, wanted: list[Cell]) -> str:
        if not wanted:
            return "nothing would be computed"
        if self.sweep is None:
            return "one run would be computed, in this process"
        cluster = self.jobs[0].cluster
        number = len(jobs_for(wanted, cluster))
        jobs = f"{number} job{'s' if number != 1 else ''}"
        return f"{len(wanted)} would go out in {jobs} on {cluster.name}"

    def _show_sum(self, out: Console, wanted: list[Cell], costs: Mapping[str, Cost | None]) -> None:
        """Print what all that would go out costs together, and the longest job."""
        each = [costs.get(cell.run_id) for cell in wanted]
        found = [cost for cost in each if cost is not None]
        if not found:
            return
        ends = [[getattr(c.tokens, end) for c in found] for end in ("lower", "upper")]
        total = sum(c.tokens.estimate for c in found)
        tokens = _tokens(total, *(_sum(end) for end in ends), unit=" tokens")
        seconds = sum(c.seconds.estimate for c in found)
        devices = ", ".join(sorted({c.device for c in found}))
        line = f"together about {tokens}, {duration(seconds)} on {devices} as measured here"
        if len(found) < len(each):
            line += f"; {len(each) - len(found)} cells apart, whose cost is not known"
        longest = self._longest(wanted, costs)
        if longest is not None:
            line += f"; the longest job takes {duration(longest)}"
        out.print(Text(line), soft_wrap=True)

    def _longest(self, wanted: list[Cell], costs: Mapping[str, Cost | None]) -> float | None:
        if self.sweep is None:
            return None
        cluster = self.jobs[0].cluster
        known = {run_id: cost.seconds.estimate for run_id, cost in costs.items() if cost}
        return max(
            sum(known.get(cell.run_id, 0.0) / cluster.shards for cell in job)
            for job in jobs_for(wanted, cluster)
        )


def _row(cell: Cell, standing: Standing, place: str, cost: Cost | None) -> list[str | Text]:
    own = Text(printable(" ".join(standing.overrides)))
    if standing.state == "done":
        return [standing.state, cell.directory, own, place, "", ""]
    if cost is None:
        return [standing.state, cell.directory, own, place, UNKNOWN, UNKNOWN]
    tokens = _tokens(cost.tokens.estimate, cost.tokens.lower, cost.tokens.upper)
    return [standing.state, cell.directory, own, place, tokens, duration(cost.seconds.estimate)]


def _sum(values: Sequence[float | None]) -> float | None:
    """Add ends of intervals: as wide as if all erred to the same side."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _tokens(estimate: float, lower: float | None, upper: float | None, *, unit: str = "") -> str:
    """Write a number of tokens to three digits, with its interval."""
    if lower is None or upper is None:
        return f"{_digits(estimate)}{unit}"
    return f"{_digits(estimate)}{unit} [{_digits(lower)}, {_digits(upper)}]"


def _digits(value: float) -> str:
    return f"{float(f'{value:.3g}'):,.0f}"
