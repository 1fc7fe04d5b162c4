"""Cells into jobs: a shared model is loaded once per job, no job is longer than it may be."""

from __future__ import annotations

import itertools

import pytest

from launch.packing import merge, pack, split_arrays
from launch.sweep import Cell


def cells(**models: int) -> list[Cell]:
    """Give so many cells of each model, mixed."""
    own = [[Cell(f"{m}{i}", "", (), loads=m) for i in range(n)] for m, n in models.items()]
    return [cell for row in itertools.zip_longest(*own) for cell in row if cell is not None]


@pytest.mark.parametrize(
    ("at_once", "per_job"), [(1, None), (3, None), (256, None), (4, 2), (9, 1)]
)
def test_every_cell_once_and_one_model_per_job(at_once: int, per_job: int | None) -> None:
    wanted = cells(a=7, b=2, c=1)
    jobs = pack(wanted, at_once=at_once, per_job=per_job)
    assert sorted(c.run_id for job in jobs for c in job) == sorted(c.run_id for c in wanted)
    assert all(len({cell.loads for cell in job}) == 1 for job in jobs)
    size = per_job or -(-len(wanted) // at_once)
    assert all(len(job) <= size for job in jobs)


def test_as_many_jobs_as_may_run_when_nothing_else_is_said() -> None:
    assert len(pack(cells(a=8), at_once=256, per_job=None)) == 8
    assert [len(job) for job in pack(cells(a=8), at_once=2, per_job=None)] == [4, 4]


def test_a_cell_in_shards_goes_into_different_jobs() -> None:
    jobs = pack(cells(a=2), at_once=8, per_job=1, shards=3)
    assert sorted(job[0].run_id for job in jobs) == ["a0"] * 3 + ["a1"] * 3
    merged = merge(jobs, 2)
    assert all(len({cell.run_id for cell in job}) == len(job) for job in merged)
    assert {cell.run_id for job in merged for cell in job} == {"a0", "a1"}


def test_no_more_jobs_than_may_run_at_once() -> None:
    jobs = pack(cells(a=3, b=3, c=3), at_once=2, per_job=1)
    merged = merge(jobs, 2)
    assert len(merged) == 2
    assert sum(map(len, merged)) == 9
    assert merge([], 2) == []


def test_arrays_are_split() -> None:
    assert split_arrays(7, 3) == [range(0, 3), range(3, 6), range(6, 7)]
    assert split_arrays(3, 3) == [range(0, 3)]
