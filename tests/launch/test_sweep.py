"""Sweeps: cells as Hydra's sweeper makes them, the same folder for the same runs, a manifest."""

import json
from pathlib import Path

from launch.preflight import preflight
from launch.sweep import Cell, Sweep, twins


def test_the_experiments_own_sweep(fake, flags) -> None:
    plan = preflight(flags("+exp=fake", "-m"))
    assert [cell.overrides for cell in plan.sweep.cells] == [
        ("seed=1", "+exp=fake"),
        ("seed=2", "+exp=fake"),
    ]
    assert plan.arguments == (f"hydra.sweep.dir='{plan.sweep.folder}'",)
    assert not Path("multirun").exists()


def test_values_on_the_command_line_replace_it(fake, flags) -> None:
    sweep = preflight(flags("+exp=fake", "seed=5", "size=2,3", "-m")).sweep
    assert [cell.overrides for cell in sweep.cells] == [
        ("seed=5", "+exp=fake", "size=2"),
        ("seed=5", "+exp=fake", "size=3"),
    ]


def test_hydra_mode_is_a_sweep_too(fake, flags) -> None:
    assert len(preflight(flags("+exp=fake", "hydra.mode=MULTIRUN")).sweep.cells) == 2


def test_the_same_runs_have_the_same_folder(fake, flags) -> None:
    one = preflight(flags("+exp=fake", "seed=1,2", "-m")).sweep
    two = preflight(flags("+exp=fake", "seed=2,1", "tracker=none", "-m")).sweep
    other = preflight(flags("+exp=fake", "seed=1,3", "-m")).sweep
    assert one.folder == two.folder
    assert one.folder != other.folder
    assert one.folder.parent == Path("multirun/fake")


def test_the_manifest(fake, flags) -> None:
    sweep = preflight(flags("+exp=fake", "-m")).sweep
    sweep.write_manifest()
    manifest = json.loads((sweep.folder / "manifest.json").read_text())
    assert manifest["sweep"] == sweep.sweep_id
    assert manifest["experiment"] == "fake"
    assert {"git_commit", "git_dirty", "submitted"} <= set(manifest)
    assert manifest["cells"] == [
        {
            "run_id": cell.run_id,
            "directory": f"outputs/fake/{cell.run_id}",
            "overrides": list(cell.overrides),
        }
        for cell in sweep.cells
    ]


def test_twins() -> None:
    cells = [Cell(name, name, ()) for name in ("a", "b", "a")]
    assert twins(cells) == (0, 2)
    assert twins(cells[:2]) is None
    assert Sweep("e", Path(), tuple(cells[:2])).sweep_id
