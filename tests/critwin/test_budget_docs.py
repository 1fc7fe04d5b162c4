"""The pages on the variance budget and on comparing say what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / name for name in ("uncertainty_budget.md", "branching_and_comparing.md")]


def test_the_example_prints_what_stands_below_it() -> None:
    page = PAGES[0].read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.S)
    (printed,) = re.findall(r"```text\n(.*?)```", page, flags=re.S)
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == printed.split()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_files_and_experiments_are_there(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?://)([^)#]+)\)", page):
        assert (path.parent / link).exists(), link
    for file in re.findall(r"`((?:critwin|tests)/[\w/.]+)`", page):
        assert (ROOT / file).exists(), file
    for name in re.findall(r"\+exp=(\w+)", page):
        assert (ROOT / "conf" / "exp" / f"{name}.yaml").exists(), name
