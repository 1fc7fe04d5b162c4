"""What docs/tables.md names is there, and its example of a description can be filled."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from critwin.tables.description import TableDescription
from critwin.tables.table import fill
from tests.critwin.tables.paper_descriptions import DESCRIPTIONS
from tests.critwin.tables.runs_on_paper import interval, summary, write_run

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")


def test_every_table_is_described() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| .* \|$", PAGE.partition("## The tables")[2], re.M)
    known = set(DESCRIPTIONS)
    assert known <= set(rows)
    composed = (ROOT / "conf/exp/paper_tables.yaml").read_text(encoding="utf-8")
    assert {n for n in known if f"- /table@tables.{n}: {n}\n" in composed} == known


def test_the_example_of_a_description_can_be_filled(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.S)
    values = yaml.safe_load(text)
    values.pop("_target_")
    made = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    numbers = summary() | {"leave_mass": {"mean": 1.5}, "accuracy": interval(0.7)}
    table = fill("lengths", TableDescription(**made), [write_run(tmp_path, numbers=numbers)])
    assert table is not None
    assert [cell.shown for cell in table.rows[0].cells] == [
        *("gsm8k", "some-model", "1.50", "0.70 [0.60, 0.80]")
    ]


def test_what_the_page_names_is_there() -> None:
    for path in set(re.findall(r"`((?:critwin|experiments|conf)/[\w/.]+)`", PAGE)):
        assert (ROOT / path).exists(), path
    jailbreak = DESCRIPTIONS["jailbreak"]
    for column in jailbreak.table_columns:
        name = column.value.removeprefix("row.")
        assert column.value.startswith("run.") or f"`{name}`" in PAGE, name
