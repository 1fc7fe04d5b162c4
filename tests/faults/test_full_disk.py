"""A disk without room: the run says so, loses nothing, and goes on when there is room."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.faults.sweeping import MARKOV, launch, records, sweep_folder

pytestmark = pytest.mark.faults


@pytest.fixture
def small(tmp_path: Path):
    """A file system of one megabyte."""
    folder = tmp_path / "outputs"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small file system takes root and the right to mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_the_cell_fails_with_the_reason_and_goes_on_with_room(small: Path, tmp_path: Path) -> None:
    cells = (*MARKOV, "dataset.n_problems=50", "sampler.n=100", "seed=1", "tracker=none")
    swept = (*cells, "cluster=local", "-m")
    done = launch(tmp_path, *swept, check=False)
    assert done.returncode == 1
    assert "No space left on device" in done.stdout
    notes = list((sweep_folder(tmp_path) / "failures").iterdir())
    assert len(notes) == 1
    parts = {path: path.read_bytes() for path in small.rglob(".parts/*.parquet")}
    assert parts, "what was written before stands"
    subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
    again = launch(tmp_path, *swept)
    assert again.returncode == 0
    assert "done" in again.stdout
    launch(tmp_path, *cells, "outputs=quiet")
    assert records(small) == records(tmp_path / "quiet")
