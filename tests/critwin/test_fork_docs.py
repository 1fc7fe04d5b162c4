"""The example of docs/forks.md prints what stands below it, and covers what it should."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "forks.md").read_text(encoding="utf-8")


def test_the_example_prints_what_stands_below_it() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    (printed,) = re.findall(r"```text\n(.*?)```", PAGE, flags=re.S)
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == printed.split()
    for line in printed.splitlines():
        numbers = [float(v) for v in re.findall(r"\d\.\d+", line)]
        _, lower, upper, exact = numbers
        assert lower <= exact <= upper


def test_every_name_in_the_page_is_there() -> None:
    sources = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "critwin").glob("*.py"))
    for name in set(re.findall(r"`([a-z_]+)`", PAGE)):
        assert f"def {name}(" in sources, name
    for path in set(re.findall(r"`((?:critwin|tests)/[\w/.]+)`", PAGE)):
        assert (ROOT / path).exists()
