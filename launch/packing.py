"""Which cells go into one job."""

from __future__ import annotations

from collections.abc import Sequence

from launch.sweep import Cell


def pack(
    cells: Sequence[Cell], *, at_once: int, per_job: int | None, shards: int = 1
) -> list[list[Cell]]:
    """Put cells into jobs: those of one job are computed one after the other and share a model.

    Args:
        cells: What is to be computed.
        at_once: Jobs that may run at the same time, >= 1.
        per_job: Cells of a job at most; None for as many as give every one of `at_once` jobs some.
        shards: Jobs that each cell goes into, >= 1.

    Returns:
        The cells of each job; a cell in several jobs is in different ones.
    """
    size = per_job or -(-len(cells) * shards // at_once) or 1
    alike: dict[str, list[Cell]] = {}
    for cell in cells:
        alike.setdefault(cell.loads, []).append(cell)
    jobs = []
    for group in alike.values():
        number = -(-len(group) // size)
        jobs += [group[i::number] for i in range(number) for _ in range(shards)]
    return jobs


def merge(jobs: Sequence[Sequence[Cell]], at_once: int) -> list[list[Cell]]:
    """Make at most `at_once` jobs of many, for machines that start all of them together."""
    merged = [[cell for job in jobs[i::at_once] for cell in job] for i in range(at_once)]
    return [list({cell.run_id: cell for cell in job}.values()) for job in merged if job]


def split_arrays(jobs: int, longest: int) -> list[range]:
    """Split the numbers of jobs into arrays of at most `longest`."""
    return [range(i, min(i + longest, jobs)) for i in range(0, jobs, longest)]
