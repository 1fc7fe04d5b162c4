"""What is drawn equals what the tables say, in the same bytes every time; odd text is drawn."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from critwin.curve import curves_table, grid_curves, read_curves
from critwin.drawing import drawable, save
from critwin.figures import mean_curves, window_positions, write_figures
from critwin.protocol import PAPER_FRACTIONS
from critwin.records import RunDirectory
from critwin.trajectory import TextBlock, trajectory

VISITED = (0.0, *PAPER_FRACTIONS)


@pytest.fixture(scope="module")
def tables(synthetic_run: Path) -> dict[str, pd.DataFrame]:
    directory = RunDirectory(synthetic_run)
    names = ("originals", "resamples", "curves", "windows")
    return {name: directory.read(name).to_pandas() for name in names}


def test_same_records_give_the_same_bytes(synthetic_run: Path) -> None:
    written = write_figures(synthetic_run, visited=VISITED, compared=PAPER_FRACTIONS)
    assert {path.name for path in written} >= {"mean_curves.pdf", "window_positions.png"}
    before = {path: path.read_bytes() for path in written}
    assert write_figures(synthetic_run, visited=VISITED, compared=PAPER_FRACTIONS) == written
    assert {path: path.read_bytes() for path in written} == before
    assert all(b"CreationDate" not in data for data in before.values())


def test_mean_curve_is_the_mean(tables: dict[str, pd.DataFrame]) -> None:
    figure = mean_curves(read_curves(tables["curves"]), tables["originals"], VISITED)
    line = next(line for line in figure.axes[0].lines if line.get_marker() == "s")
    wrong = tables["originals"][[c is False for c in tables["originals"]["correct"]]]
    resamples = tables["resamples"][
        tables["resamples"]["original_id"].isin(wrong["original_id"])
    ].copy()
    lengths = wrong.set_index("original_id")["tokens"].map(len)
    length = resamples["original_id"].map(lengths).to_numpy()
    for fraction, drawn in zip(line.get_xdata(), line.get_ydata(), strict=True):
        at = resamples[resamples["position"] == np.floor(fraction * length + 1e-9)]
        hits = at["label"] == at["original_id"].map(wrong.set_index("original_id")["label"])
        assert drawn == pytest.approx(hits.mean())


def test_bars_are_shares_with_a_window(tables: dict[str, pd.DataFrame]) -> None:
    curves = read_curves(tables["curves"])
    figure = window_positions(tables["windows"], curves, tables["originals"], PAPER_FRACTIONS)
    verdict = tables["originals"].set_index("original_id")["correct"]
    for container, correct in zip(figure.axes[0].containers[::2], (True, False), strict=True):
        members = [c is correct for c in verdict]
        found = sum(verdict[name] is correct for name in tables["windows"]["original_id"])
        heights = sum(bar.get_height() for bar in container)
        assert heights == pytest.approx(found / sum(members))


def test_curves_survive_the_table(tables: dict[str, pd.DataFrame]) -> None:
    curves = grid_curves(tables["originals"], tables["resamples"])
    again = read_curves(curves_table(curves).to_pandas())
    assert [(c.original_id, c.label, c.own, c.length) for c in again] == [
        (c.original_id, c.label, c.own, c.length) for c in curves
    ]
    np.testing.assert_array_equal(again[3].position, curves[3].position)


@pytest.mark.parametrize("verdict", [None, True])
def test_groups_that_are_missing(
    tables: dict[str, pd.DataFrame], tmp_path: Path, verdict: bool | None
) -> None:
    originals = tables["originals"].assign(correct=verdict)
    curves, nothing = read_curves(tables["curves"]), tables["windows"].iloc[:0]
    save(mean_curves(curves, originals, VISITED), tmp_path / "mean")
    save(window_positions(nothing, curves, originals, PAPER_FRACTIONS), tmp_path / "windows")
    assert (tmp_path / "windows.png").stat().st_size > 1000


def test_odd_text_is_drawn_as_text(tables: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    """Neither mathtext nor missing characters may warn or fail (warnings are errors here)."""
    curve = next(c for c in read_curves(tables["curves"]) if c.own)
    odd = ["$\\frac{1$", "_^{", "漢字", "\n", "\t", "é", "<b>"]
    original = {"tokens": odd * 400, "label": "$\\frac{漢", "correct": None}
    window = {"position_start": 900, "position_end": 905, "jump": 0.6}
    windows = pd.DataFrame([window | {"jump_lower": 0.1, "jump_upper": 0.9}])
    save(trajectory(original, curve, windows), tmp_path / "odd")
    assert drawable("a漢\n") == "a□↵"


def test_text_block_shows_every_token_or_the_surroundings() -> None:
    block = TextBlock.of([" word"] * 40, around=0, width=1.0, at_most=20)
    assert [number for *_, number in block.pieces] == list(range(40))
    assert max(column + len(text) for _, column, text, _ in block.pieces) <= block.columns
    long = TextBlock.of([" word"] * 4000, around=2000, width=1.0, at_most=3)
    shown = [number for *_, number in long.pieces]
    assert shown[0] == shown[-1] == -1
    assert 2000 in shown
    assert long.lines == 3


def test_pyplot_is_never_imported() -> None:
    code = (
        "import sys, critwin.figures; assert 'matplotlib' not in sys.modules;"
        "from critwin.drawing import drawing\n"
        "with drawing(1, 1): pass\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
