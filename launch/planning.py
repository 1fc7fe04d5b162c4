"""What of a sweep is missing, and the jobs that would compute it."""

from __future__ import annotations

from collections.abc import Sequence

from launch.clusters import Cluster, Slurm
from launch.packing import merge, pack
from launch.standing import Standing, stand
from launch.sweep import Cell, Sweep


def missing(sweep: Sweep) -> tuple[list[Cell], list[Standing]]:
    """Give the cells that nobody computed and nobody is going to, and where all of them stand."""
    standings = stand(sweep)
    pairs = zip(sweep.cells, standings, strict=True)
    return [cell for cell, standing in pairs if not _taken(cell, standing)], standings


def _taken(cell: Cell, standing: Standing) -> bool:
    if standing.state == "done":
        return not cell.always
    return standing.state == "running" or (standing.state == "waiting" and standing.sent)


def jobs_for(cells: Sequence[Cell], cluster: Cluster) -> list[list[Cell]]:
    """Share cells out to jobs."""
    jobs = pack(
        cells, at_once=cluster.at_once(), per_job=cluster.cells_per_job, shards=cluster.shards
    )
    return jobs if isinstance(cluster, Slurm) else merge(jobs, cluster.at_once())
