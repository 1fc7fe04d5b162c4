"""The example of docs/windows.md prints what stands below it, and what the page names is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "windows.md").read_text(encoding="utf-8")


def test_the_example_prints_what_stands_below_it() -> None:
    """Words and estimates exactly; ends of intervals to .1, because intervals get sharper."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    (printed,) = re.findall(r"```text\n(.*?)```", PAGE, flags=re.S)
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for seen, told in zip(shown.stdout.split(), printed.split(), strict=True):
        if re.fullmatch(r"\d\.\d+", told):
            assert float(seen) == pytest.approx(float(told), abs=0.1)
        else:
            assert seen == told
    rise = shown.stdout.splitlines()[0].split()
    estimate, lower, upper = (float(value) for value in rise[3:])
    assert estimate == 0.58
    assert lower <= 0.6 <= upper  # the true rise


def test_every_rule_and_column_of_the_page_is_there() -> None:
    rules = {path.stem for path in (ROOT / "conf" / "window").glob("*.yaml")}
    table = {
        name
        for row in PAGE.splitlines()
        if row.startswith("| `")
        for name in row.split("|")[1].split("`")[1::2]
    }
    assert table == rules
    records = (ROOT / "critwin" / "records.py").read_text(encoding="utf-8")
    for column in (
        "pairs",
        "left_out",
        "change_upper",
        "place_lower",
        "alive_before",
        "alive_after",
    ):
        assert f"`{column}`" in PAGE
        assert f'("{column}"' in records
