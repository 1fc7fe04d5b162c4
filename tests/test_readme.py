"""What the README shows is what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_example_prints_what_stands_below_it() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    (printed,) = re.findall(r"```text\n(0 .*?)```", README, flags=re.S)
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == printed.split()


def test_every_file_that_is_linked_is_there() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_every_make_command_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in set(re.findall(r"make ([a-z]+)", README)):
        assert re.search(rf"^{command}:", makefile, flags=re.M), command
