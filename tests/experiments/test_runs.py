"""Naming finished runs: directories, sweeps, folders, patterns; what is left out is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from critwin.errors import ParameterError, RecordsError
from experiments.runs import collect, run_directories
from tests.critwin.tables.runs_on_paper import write_run

A, B, C = (letter * 16 for letter in "abc")


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Two finished runs, one that stopped, and a sweep of all three and one never begun."""
    folder = tmp_path / "outputs" / "llm_math"
    write_run(folder, A)
    write_run(folder, B)
    write_run(folder, C, status="stopped")
    sweep = tmp_path / "multirun" / "llm_math" / "s"
    sweep.mkdir(parents=True)
    cells = [{"run_id": n, "directory": f"outputs/llm_math/{n}"} for n in (A, B, C, "d" * 16)]
    manifest = {"started_in": str(tmp_path), "cells": cells}
    (sweep / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


@pytest.mark.parametrize(
    "names",
    [
        ["outputs/llm_math/" + A, "outputs/llm_math/" + B],
        ["outputs/llm_math/[ab]*"],
        ["outputs"],
        ["multirun"],
        ["multirun/llm_math/s"],
        ["multirun/*/s"],
    ],
)
def test_every_way_to_name_runs_leads_to_the_same(outputs: Path, names: list[str]) -> None:
    found = collect("runs", [str(outputs / name) for name in names])
    assert [run.run_id for run in found.runs] == [A, B]
    told = " ".join(found.left_out)
    assert (C in told) == (len(names) == 1 and "[ab]" not in names[0])
    assert ("status is stopped" in told) == (C in told)
    assert ("never begun" in told) == ("multirun" in names[0])


def test_the_home_folder(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(outputs))
    assert run_directories("runs", [f"~/outputs/llm_math/{A}"]) == [
        outputs / f"outputs/llm_math/{A}"
    ]
    assert len(run_directories("runs", ["~/outputs/llm_math/*"])) == 3


def test_a_run_twice_is_told_with_why(outputs: Path) -> None:
    one = str(outputs / "outputs/llm_math" / A)
    (copy := outputs / "copy").mkdir()
    write_run(copy, A)
    write_run(other := outputs / "other", A)
    (other / A / "windows.parquet").write_bytes(b"")
    found = collect("runs", [one, one, str(copy), str(other)])
    assert [run.path for run in found.runs] == [Path(one)]
    assert [line.partition(": ")[2] for line in found.left_out] == [
        "it is named twice",
        f"it is run {A} as {one}, the same records",
        f"it is run {A} as {one}, but other records",
    ]


@pytest.mark.parametrize("names", [[], ["nowhere"], ["outputs/none*"], ["empty"]])
def test_a_name_that_leads_nowhere_is_refused(outputs: Path, names: list[str]) -> None:
    (outputs / "empty").mkdir()
    with pytest.raises(ParameterError, match=r"runs is .*allowed: .*a folder of a sweep"):
        collect("runs", [str(outputs / name) for name in names])


def test_a_damaged_sweep_says_so(outputs: Path) -> None:
    (outputs / "multirun/llm_math/s/manifest.json").write_text("{}")
    with pytest.raises(RecordsError, match=r"manifest\.json cannot be read"):
        collect("runs", [str(outputs / "multirun")])


def test_damaged_runs_are_left_out_and_named(outputs: Path) -> None:
    folder = outputs / "outputs/llm_math"
    (folder / A / "summary.json").write_text("[")
    (folder / B / "provenance.json").write_text('{"status": "complete"}')
    found = collect("runs", [str(folder)])
    assert not found.runs
    assert "summary.json is damaged" in found.left_out[0]
    assert "lacks run_id" in found.left_out[1]
