"""Tables from real runs of an exact chain: written, checked, and caught when anything changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from critwin.errors import ParameterError
from critwin.features.final_word import FinalWord
from critwin.problems.arithmetic import ArithmeticProblems
from critwin.prompt import PromptTemplate
from critwin.protocol import Fractions
from critwin.records import RunDirectory
from critwin.samplers.markov_string import MarkovString
from critwin.tables.trace import StoredTableError
from critwin.windows.paper_jump import PaperJump
from experiments import analysis
from experiments.experiment import carry_out
from experiments.llm_math import LlmMath
from experiments.paper_tables import PaperTables
from experiments.tracker import Silent
from tests.critwin.tables.paper_descriptions import DESCRIPTIONS
from tests.critwin.tables.runs_on_paper import write_run

SILENT = Silent()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two runs, two seeds of one chain; their own figures are left out, for the time's sake."""
    folder = tmp_path_factory.mktemp("measured")
    patch = pytest.MonkeyPatch()
    patch.setattr(analysis, "write_figures", lambda *_, **__: None)
    for seed in (0, 1):
        experiment = LlmMath(
            model=MarkovString(max_new_tokens=8),
            dataset=ArithmeticProblems(n_problems=3),
            prompt=PromptTemplate(),
            sampler=Fractions(n=4),
            feature=FinalWord(),
            window=PaperJump(),
            originals_per_problem=2,
            seed=seed,
        )
        directory = RunDirectory(folder / experiment.run_id())
        carry_out(experiment, directory, config="", tracker=SILENT, progress=SILENT)
    yield folder
    patch.undo()


@pytest.fixture
def runs(measured: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(measured, tmp_path / "runs"))


def tables(runs: Path, **changed: Any) -> PaperTables:
    parts: dict[str, Any] = {"runs": (str(runs),), "tables": DESCRIPTIONS, "names": {}}
    return PaperTables(**(parts | {"figures": False} | changed))


def done(experiment: PaperTables, outputs: Path) -> Path:
    experiment.check()
    directory = RunDirectory(outputs / experiment.run_id())
    carry_out(experiment, directory, config="", tracker=SILENT, progress=SILENT)
    return directory.path


def test_tables_and_page_are_written(runs: Path, tmp_path: Path) -> None:
    made = done(tables(runs), tmp_path)
    names = {path.stem.partition(".")[0] for path in (made / "tables").iterdir()}
    assert names == {"windows", "matched", "cost"}, "of a chain no answer is right"
    page = (made / "index.html").read_text()
    for run in runs.iterdir():
        assert f"runs/{run.name}/report.html" in page
    assert "<script" not in page
    summary = json.loads((made / "summary.json").read_text())
    assert summary["made"]["windows"] == 2
    assert any("not made" in line and "table1" in line for line in summary["remarks"])


def test_the_same_records_give_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    made = done(tables(runs), tmp_path)
    before = {path.name: path.read_bytes() for path in (made / "tables").iterdir()}
    moved = Path(shutil.copytree(runs, tmp_path / "elsewhere" / "deeper"))
    again = done(tables(moved), tmp_path / "other")
    assert {path.name: path.read_bytes() for path in (again / "tables").iterdir()} == before
    assert again.name == made.name
    (made / "tables" / "old.md").write_text("of an earlier start")
    assert done(tables(runs), tmp_path) == made
    assert not (made / "tables" / "old.md").exists()


def test_a_check_finds_that_nothing_changed(runs: Path, tmp_path: Path) -> None:
    made = done(tables(runs), tmp_path)
    stored = {path.name: path.read_bytes() for path in (made / "tables").iterdir()}
    checked = done(tables(runs, checking=True), tmp_path)
    assert checked != made
    assert json.loads((checked / "summary.json").read_text())["tables"][0]["rows"][0][-1] == 0
    assert {path.name: path.read_bytes() for path in (made / "tables").iterdir()} == stored


def _summary(runs: Path, made: Path) -> None:
    path = min(runs.iterdir()) / "summary.json"
    summary = json.loads(path.read_text())
    summary["with_window"]["all"]["estimate"] += 0.01
    path.write_text(json.dumps(summary))


def _windows(runs: Path, made: Path) -> None:
    """Take a window away: only counting the records anew tells that the summary is wrong."""
    for run in sorted(runs.iterdir()):
        windows = pq.read_table(run / "windows.parquet")
        if windows.num_rows:
            pq.write_table(windows.slice(1), run / "windows.parquet")
            return
    raise AssertionError("no run has a window")


def _labels(runs: Path, made: Path) -> None:
    path = min(runs.iterdir()) / "originals.parquet"
    originals = pq.read_table(path)
    unscored = pa.array([True] * originals.num_rows)
    place = originals.column_names.index("unscored")
    pq.write_table(originals.set_column(place, "unscored", unscored), path)
    assert pc.all(pq.read_table(path)["unscored"]).as_py()


def _text(runs: Path, made: Path) -> None:
    path = made / "tables" / "windows.tex"
    path.write_text(path.read_text().replace("0", "1", 1))


def _cell(runs: Path, made: Path) -> None:
    path = made / "tables" / "windows.trace.json"
    companion = json.loads(path.read_text())
    next(c for c in companion["cells"] if c["column"] == "all")["value"] += 1
    path.write_text(json.dumps(companion))


def _table(runs: Path, made: Path) -> None:
    for path in (made / "tables").glob("matched.*"):
        path.unlink()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_summary, r"windows, row 1 \(.*\), all: stored .*, the records say"),
        (_summary, r"run \w+: summary\.json, with_window\.all\.estimate: stored"),
        (_windows, r"windows, every cell of run \w+: changed since: windows\.parquet"),
        (_windows, r"summary\.json, counts\.windows: stored \d+, the records give"),
        (_labels, r"summary\.json, counts\.unscored: stored 0, the records give 6"),
        (_text, r"windows\.tex was changed or removed after it was written"),
        (_cell, r"windows, row 1 \(.*\), all: stored \["),
        (_table, r"matched: no such table is stored"),
    ],
)
def test_a_change_is_found_and_named(
    change: Callable[[Path, Path], None], told: str, runs: Path, tmp_path: Path
) -> None:
    made = done(tables(runs), tmp_path)
    change(runs, made)
    with pytest.raises(StoredTableError, match=told):
        done(tables(runs, checking=True), tmp_path)


def test_tables_that_were_copied_can_be_checked(runs: Path, tmp_path: Path) -> None:
    made = done(tables(runs), tmp_path)
    paper = Path(shutil.copytree(made / "tables", tmp_path / "paper"))
    done(tables(runs, checking=True, stored=str(paper)), tmp_path)
    with pytest.raises(StoredTableError, match="holds no tables"):
        done(tables(runs, checking=True), tmp_path / "nothing")


def test_unfinished_runs_are_named_and_refused_where_asked(runs: Path, tmp_path: Path) -> None:
    write_run(runs, "f" * 16, status="failed")
    remarks = tables(runs)._remarks()
    assert any("f" * 16 in line and "its status is failed" in line for line in remarks)
    with pytest.raises(ParameterError, match=r"each once, as strict=true asks: .*status is failed"):
        tables(runs, strict=True).check()


def test_runs_that_differ_are_refused_where_asked(tmp_path: Path) -> None:
    for name, n in (("a", 25), ("b", 100)):
        write_run(tmp_path, name * 16, changed={"sampler.n": n})
    tables(tmp_path).check()
    with pytest.raises(ParameterError, match=r"differ in sampler\.n: 25 \(1\), 100 \(1\)"):
        tables(tmp_path, strict=True).check()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"stored": "x"}, "stored is 'x'; allowed: null, but with check=true"),
        ({"stored": "nowhere", "checking": True}, "stored is 'nowhere'; allowed: a folder of"),
        ({"tables": {}}, "tables is {}"),
        ({"tables": {"x": DESCRIPTIONS["times"]}}, "runs with a part in x; these are of llm_math"),
    ],
)
def test_what_cannot_be_done_is_refused(runs: Path, changed: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        tables(runs, **changed).check()
