"""A sweep of eight cells under faults at random, seeded times equals a quiet one, byte for byte.

Short by default; `CRITWIN_FAULTS=60` asks for so many faults and for the embedded model's sweeps
(docs/sweeps.md has what that gave), `CRITWIN_FAULTS_SEED` for other times. Where a sweep is over
before there were so many faults, another one of other seeds follows.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.faults.harm import Torment, small_disk
from tests.faults.sweeping import MARKOV, launch, records, status

pytestmark = pytest.mark.faults

LONG = "CRITWIN_FAULTS" in os.environ
FAULTS = int(os.environ.get("CRITWIN_FAULTS", "10"))
SEED = int(os.environ.get("CRITWIN_FAULTS_SEED", "1"))

CHAIN = (*MARKOV, "dataset.n_problems=22", "sampler.n=20")
EMBEDDED = (
    "+exp=llm_math",
    "sampler=fractions",
    "sampler.n=1",
    "sampler.temperature=1.0",
    "originals_per_problem=2",
    "dataset.n_problems=20",
)
CLUSTERS = {
    "slurm": ("cluster=slurm", "cluster.cpus_per_task=1", "cluster.max_parallel=2"),
    "local": ("cluster=local", "cluster.max_parallel=2"),
    "shards": ("cluster=local", "cluster.max_parallel=2", "cluster.shards=2"),
}
DISK_MB = 48

slurm = pytest.mark.xdist_group("slurm")
long = pytest.mark.skipif(not LONG, reason="long: CRITWIN_FAULTS=60 asks for it")


@pytest.mark.parametrize(
    "where",
    [pytest.param("slurm", marks=slurm), "local", pytest.param("shards", marks=long)],
)
def test_records_are_those_of_a_quiet_sweep(tmp_path: Path, where: str, request, capsys) -> None:
    if where == "slurm":
        request.getfixturevalue("slurm")
    with small_disk(tmp_path / "outputs", megabytes=DISK_MB) as disk:
        torment = Torment(
            tmp_path, CHAIN, cluster=CLUSTERS[where], seed=SEED, disk=disk, tell=teller(capsys)
        )
        flips = survive(torment)
        summarise(capsys, where, torment, flips)
        assert flips == 0
        assert records(tmp_path / "outputs") == records(tmp_path / "quiet")
        assert not list((tmp_path / "outputs").rglob(".parts"))


@long
@slurm
@pytest.mark.parametrize("deterministic", [True, False], ids=["deterministic", "fast"])
def test_the_embedded_model_under_faults(tmp_path: Path, deterministic: bool, capsys) -> None:
    where = os.environ.get("CRITWIN_FAULTS_ON") or ("slurm" if has_slurm() else "local")
    cells = (*EMBEDDED, f"model.deterministic={str(deterministic).lower()}")
    with small_disk(tmp_path / "outputs", megabytes=DISK_MB) as disk:
        torment = Torment(
            tmp_path,
            cells,
            cluster=CLUSTERS[where],
            seed=SEED,
            disk=disk,
            pauses=(0.5, 5.0),
            tell=teller(capsys),
        )
        flips = survive(torment)
        summarise(capsys, f"deterministic={deterministic}, {where}", torment, flips)
        if deterministic:
            assert flips == 0
            assert records(tmp_path / "outputs") == records(tmp_path / "quiet")


def survive(torment: Torment) -> int:
    """Do all harm, compute the same cells in quiet, compare rows; give how many texts differ."""
    folder = torment.folder
    torment.carry_out(FAULTS)
    shown = status(folder, *(f"round-{number}" for number in range(torment.rounds)))
    assert shown.returncode == 0, shown.stdout
    for number in range(torment.rounds):
        still = ("outputs=quiet", "multirun=still", "cluster=debug", "tracker=none", "-m")
        launch(folder, *torment.cells, torment.seeds(number), *still)
    keys = keys_of(folder / "outputs")
    assert len(keys) == len(set(keys)), "no row twice"
    assert set(keys) == set(keys_of(folder / "quiet")), "none missing"
    return count_flips(folder / "outputs", folder / "quiet")


def teller(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Show every fault of the long form as it is done."""

    def show(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{datetime.now():%H:%M:%S} {line}")
            sys.stdout.flush()

    return show if LONG else lambda _: None


def summarise(capsys: pytest.CaptureFixture[str], what: str, torment: Torment, flips: int) -> None:
    rows = len(keys_of(torment.folder / "quiet"))
    with capsys.disabled():
        sys.stdout.write(
            f"\n{what}: {torment.faults} faults {dict(torment.done)}, {torment.rounds} sweeps, "
            f"{torment.submissions} submissions; {flips} of {rows} resamples differ\n"
        )


def has_slurm() -> bool:
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(["sinfo"], capture_output=True, timeout=20).returncode == 0
    return False


def keys_of(outputs: Path) -> list[tuple]:
    columns = ["original_id", "kind", "position", "replicate", "seed"]
    found = []
    for path in sorted(outputs.rglob("resamples.parquet")):
        rows = pq.read_table(path, columns=columns).to_pylist()
        found += [(path.parent.name, *row.values()) for row in rows]
    return found


def count_flips(one: Path, other: Path) -> int:
    """Count resamples with the same seed and another text."""
    differ = 0
    for path in sorted(one.rglob("resamples.parquet")):
        texts = [
            pq.read_table(where, columns=["text"])["text"].to_pylist()
            for where in (path, other / path.relative_to(one))
        ]
        differ += sum(a != b for a, b in zip(*texts, strict=True))
    return differ
