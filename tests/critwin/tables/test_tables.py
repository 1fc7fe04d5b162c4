"""Tables filled from runs: what stands where, in which order, and why two runs are told apart."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from critwin.attack_detection import Recall
from critwin.errors import ParameterError
from critwin.tables.description import TableDescription
from critwin.tables.facts import follow
from critwin.tables.forms import FORMS, csv_text, markdown
from critwin.tables.table import fill
from critwin.tables.trace import traced, write_table
from tests.critwin.tables.paper_descriptions import DESCRIPTIONS, filled
from tests.critwin.tables.runs_on_paper import interval, summary, write_run

GOLDEN = """\
Accuracy \\(Δ\\).

| data | Δ acc | N |
| --- | ---: | ---: |
| gsm8k | 0.41 [0.31, 0.51] | 30 |
"""


def described(**changed: Any) -> TableDescription:
    parts: dict[str, Any] = {
        "caption": "Accuracy (Δ).",
        "label": "tab:x",
        "rows": "run",
        "columns": (
            {"heading": "data", "value": "run.dataset"},
            {
                "heading": "Δ acc",
                "value": "summary.accuracy_difference",
                "kind": "interval",
                "digits": 2,
            },
            {"heading": "N", "value": "summary.accuracy_difference.problems", "kind": "number"},
        ),
    }
    return TableDescription(**(parts | changed))


def texts(table: Any) -> list[list[str]]:
    return [[cell.shown for cell in row.cells] for row in table.rows]


def test_a_table_reads_as_it_is_known_to(tmp_path: Path) -> None:
    table = fill("x", described(), [write_run(tmp_path)])
    assert table is not None
    assert markdown(table) == GOLDEN
    assert csv_text(table).splitlines() == [
        'data,Δ acc,"Δ acc, lower","Δ acc, upper",N,run',
        f"gsm8k,0.41,{0.41 - 0.1},{0.41 + 0.1},30,0123456789abcdef",
    ]


def test_the_order_of_the_runs_changes_no_byte(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path, f"{i:016x}", model=f"org/m{i % 3}", numbers=summary(i / 100))
        for i in range(12)
    ]
    one = {
        n: [f(t) for f in FORMS.values()] + [json.dumps(traced(t))] for n, t in filled(runs).items()
    }
    back = filled(runs[::-1])
    other = {n: [f(t) for f in FORMS.values()] + [json.dumps(traced(t))] for n, t in back.items()}
    assert one == other
    assert {"table1", "matched", "windows", "cost"} <= one.keys()


def test_settings_that_runs_do_not_share_stand_in_the_table(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path, "a" * 16, changed={"sampler.n": 25}),
        write_run(tmp_path, "b" * 16, changed={"sampler.n": 100}),
    ]
    table = fill("x", described(), runs)
    assert table is not None
    assert [c.heading for c in table.columns] == ["data", "n", "Δ acc", "N"]
    assert [row[1] for row in texts(table)] == ["25", "100"]
    assert table.differences[0].values == {"a" * 16: 25, "b" * 16: 100}
    # a name that a column of the table has is written out
    columns = (*described().columns, {"heading": "n", "value": "run.tokens", "kind": "number"})
    told = fill("x", described(columns=columns), runs)
    assert told is not None
    assert told.columns[1].heading == "sampler.n"


def test_many_settings_are_told_by_a_letter(tmp_path: Path) -> None:
    forks = {"sampler": {"class": "critwin.protocol.ForkProtocol", "half_width": 0.05}}
    more = {"prompt.prefix": "Think.", "window.threshold": 0.1}
    runs = [write_run(tmp_path, "a" * 16), write_run(tmp_path, "b" * 16, changed=forks | more)]
    table = fill("x", described(), runs)
    assert table is not None
    assert [row[1] for row in texts(table)] == ["a", "b"]
    assert "a: prompt prefix , sampler Fractions, window threshold 0.5" in table.note
    assert "b: prompt prefix Think., sampler ForkProtocol, window threshold 0.1" in table.note
    assert "half" not in table.note, "what only one kind has is no difference"


def test_runs_that_would_read_the_same_are_told_apart(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, f"{s}" * 16, changed={"seed": s}) for s in (0, 1)]
    table = fill("x", described(), runs)
    assert table is not None
    assert [c.heading for c in table.columns] == ["data", "seed", "Δ acc", "N"]
    assert not table.differences, "two seeds may stand in one table"


def test_a_run_without_the_number_gives_no_row(tmp_path: Path) -> None:
    nothing = summary() | {"accuracy_difference": interval(None)}
    runs = [write_run(tmp_path, "a" * 16, numbers=nothing)]
    needing = described(needs=("summary.accuracy_difference",))
    assert fill("x", needing, runs) is None
    table = fill("x", described(), runs)
    assert table is not None
    assert texts(table)[0][1] == "\N{EN DASH}", "no number is no zero"


def test_rows_of_a_table_file(tmp_path: Path) -> None:
    """What jailbreak_likelihood_ratio writes: a row per score, attack and sign."""
    run = write_run(tmp_path, experiment="jailbreak_likelihood_ratio", numbers={"headline": []})
    found = [
        Recall("GCG", score, 1, theory, recall, recall - 0.1, recall + 0.1, 45, 50, 1, 99)
        for score, theory, recall in (("MLP", True, 0.9), ("ratio", True, 0.3), ("ratio", False, 0))
    ]
    table = pa.Table.from_pylist([asdict(recall) for recall in found])
    pq.write_table(table, run.path / "recall.parquet")
    rows = texts(filled([run])["jailbreak"])
    assert [row[1:] for row in rows] == [
        ["MLP", "GCG", "0.900 [0.800, 1.000]", "50", "99", "1"],
        ["ratio", "GCG", "0.300 [0.200, 0.400]", "50", "99", "1"],
    ]


def test_the_companion_leads_from_a_cell_to_its_record(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    table = fill("x", described(), [run])
    assert table is not None
    write_table(table, tmp_path / "tables")
    companion = json.loads((tmp_path / "tables/x.trace.json").read_text())
    cell = companion["cells"][1]
    name, _, path = cell["from"].partition(": ")
    (run_id,) = cell["runs"]
    assert companion["runs"][run_id]["records"][name] == run.digests[name]
    assert companion["runs"][run_id]["git_commit"] == run.provenance["git_commit"]
    assert companion["runs"][run_id]["config_sha256"] == run.digests["config.yaml"]
    found = follow(json.loads((run.path / name).read_text()), path)
    assert {key: cell[key] for key in ("lower", "upper")} == {
        k: found[k] for k in ("lower", "upper")
    }
    assert cell["value"] == found["estimate"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"label": "a b"}, "label is 'a b'; allowed: letters"),
        ({"columns": ()}, r"columns is \[\]; allowed"),
        ({"columns": ({"heading": "x", "value": "y.z"},)}, r"columns\[0\].value is 'y.z'; allowed"),
        ({"columns": ({"heading": "x", "value": "run.model", "colour": 1},)}, r"\]\.colour is 1"),
        ({"columns": ({"value": "run.model"},)}, "a column with heading and value"),
        ({"columns": ({"heading": "x", "value": "run.model", "kind": "z"},)}, "kind is 'z'"),
        ({"columns": ({"heading": "x", "value": "run.model", "digits": -1},)}, "digits is -1"),
        ({"columns": ({"heading": "x", "value": "row.a", "lower": "row.b"},)}, "both, or neither"),
        ({"needs": ("x",)}, "needs is 'x'"),
        ({"only": {"run.model": "("}}, "a regular expression"),
        ({"rows": "published"}, "published is None"),
        ({"rows": "published", "published": "nobody"}, "published is 'nobody'; allowed: blink"),
    ],
)
def test_a_description_that_cannot_be_filled_is_refused(changed: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        described(**changed)


def test_paths_select_entries() -> None:
    value = {"a": [{"c": 0.5, "k": None, "v": 1}, {"c": 0.1, "k": "x.y", "v": 2}]}
    assert follow(value, "a[c=0.1].v") == 2
    assert follow(value, "a[k=x.y].v") == 2
    assert follow(value, "a[k=null,c=0.5].v") == 1
    assert follow(value, "a[1].c") == 0.1
    assert follow(value, "a[c=7].v") is None
    assert follow(value, "a.v") is None
    assert follow({"a": [{"c": 1}, {"c": 1}]}, "a[c=1]") is None, "two entries are no entry"


def test_a_text_that_a_spreadsheet_would_run_is_none(tmp_path: Path) -> None:
    run = write_run(tmp_path, model='org/=HYPERLINK("x")')
    columns = ({"heading": "model", "value": "run.model"},)
    table = fill("x", described(columns=columns), [run])
    assert table is not None
    (_, row) = csv.reader(io.StringIO(csv_text(table)))
    assert row[0].startswith("'=")


def test_every_description_says_what_it_is_made_of() -> None:
    labels = [described.label for described in DESCRIPTIONS.values()]
    assert len(set(labels)) == len(labels), "a manuscript takes several of them"
