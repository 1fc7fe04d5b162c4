"""The table "paper item -> command -> expected value": every command runs, and gives what is told.

The table stands in docs/paper_items.md, and wherever else (the README) a table has the same head:
that one has to have the same rows. Its last commands put the runs of the first into tables; the
same runs are then altered, and the check has to find it.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from critwin.tables.facts import follow
from tests.demos.launching import launch_in

ROOT = Path(__file__).parents[2]
HEAD = "| paper item | command |"
PAGES = (ROOT / "docs" / "paper_items.md", ROOT / "README.md")
EXPECTED = re.compile(r"`([^`]+)` (-?[\d.]+) ± ([\d.]+)")


@dataclass(frozen=True)
class Item:
    name: str
    command: tuple[str, ...]
    expected: tuple[tuple[str, float, float], ...]


def items(page: Path) -> list[Item]:
    lines = page.read_text(encoding="utf-8").splitlines()
    if not any(line.startswith(HEAD) for line in lines):
        return []
    start = next(i for i, line in enumerate(lines) if line.startswith(HEAD))
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        name, command, _, expected, cost = (cell.strip() for cell in line.strip("|").split(" | "))
        assert cost, line
        words = shlex.split(command.strip("`"))
        assert words[:3] == ["python", "-m", "launch"], line
        told = tuple((n, float(v), float(e)) for n, v, e in EXPECTED.findall(expected))
        assert told, f"{name}: an expected value is `what` value ± error"
        found.append(Item(name, tuple(words[3:]), told))
    return found


ITEMS = items(PAGES[0])


def launch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return launch_in(folder, *arguments, HOME=str(folder))


def written(folder: Path, shown: str) -> dict[str, Any]:
    """Read the summary of the run that a command told the directory of."""
    (run,) = re.findall(r"^run directory: (.+)$", shown, flags=re.M)
    summary: dict[str, Any] = json.loads((folder / run / "summary.json").read_text())
    return summary


def found(summary: dict[str, Any], name: str) -> float:
    """Find a number: by its path, or as `row: column` of a table (`title: column` of one row)."""
    value = follow(summary, name) if ": " not in name else None
    if isinstance(value, dict):
        value = value["estimate"]
    if value is None:
        value = next(_cells(summary, *name.rsplit(": ", 1)))
    return float(value)


def _cells(summary: dict[str, Any], row: str, column: str) -> Iterator[Any]:
    for table in summary["tables"]:
        if column in table["columns"]:
            place = table["columns"].index(column)
            yield from (r[place] for r in table["rows"] if row in (r[0], table["title"]))


def test_other_pages_have_the_same_table() -> None:
    for page in PAGES[1:]:
        assert items(page) in ([], ITEMS), page


@pytest.mark.demos
def test_every_command_gives_what_is_told_and_altered_records_are_caught(tmp_path: Path) -> None:
    for item in ITEMS:
        shown = launch(tmp_path, *item.command)
        assert shown.returncode == 0, (item, shown.stderr)
        summary = written(tmp_path, shown.stdout)
        for name, value, error in item.expected:
            assert abs(found(summary, name) - value) <= error, (item.name, name)
    _look_at_the_tables(tmp_path)
    _alter_and_check(tmp_path)


def _look_at_the_tables(folder: Path) -> None:
    made = next(p for p in (folder / "outputs/paper_tables").iterdir() if (p / "tables").is_dir())
    for end in ("tex", "md", "csv", "html", "trace.json"):
        assert (made / "tables" / f"windows.{end}").is_file()
    drawn = {path.name for path in (made / "figures").iterdir()}
    wanted = ("mean_curves", "accuracy_by_jump", "theory_against_measured", "tokens_and_precision")
    assert {f"{name}.{end}" for name in wanted for end in ("pdf", "png")} <= drawn
    page = (made / "index.html").read_text(encoding="utf-8")
    runs = [*(folder / "outputs/llm_math").iterdir()]
    assert len(runs) == 2
    assert all(f"../../llm_math/{run.name}/report.html" in page for run in runs)


def _alter_and_check(folder: Path) -> None:
    one, other = sorted((folder / "outputs/llm_math").iterdir())
    summary = json.loads((one / "summary.json").read_text())
    summary["with_window"]["all"]["estimate"] += 0.25
    (one / "summary.json").write_text(json.dumps(summary))
    windows = pq.read_table(other / "windows.parquet")
    noted = windows.append_column("note", pa.nulls(windows.num_rows))
    pq.write_table(noted, other / "windows.parquet")
    shown = launch(folder, "+exp=paper_tables", "runs=[outputs]", "check=true")
    assert shown.returncode == 1
    assert "Traceback" not in shown.stderr
    assert re.search(r"windows, row \d \(.*\), all: stored .*, the records say", shown.stderr)
    assert f"every cell of run {one.name}: changed since: summary.json" in shown.stderr
    assert f"every cell of run {other.name}: changed since: windows.parquet" in shown.stderr
    assert "with_window.all.estimate: stored" in shown.stderr


@pytest.mark.demos
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs=[empty]"], "runs is 'empty'; allowed: a folder of a sweep"),
        (["runs=[empty]", "tables.table1.label='a b'"], "tables.table1.label is 'a b'"),
    ],
)
def test_what_cannot_be_put_into_tables_is_refused(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    shown = launch(tmp_path, "+exp=paper_tables", *arguments)
    assert shown.returncode == 2, shown.stdout
    assert message in shown.stderr
    assert "Traceback" not in shown.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty"], "a refusal writes nothing"
