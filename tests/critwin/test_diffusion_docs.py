"""What docs/diffusion.md names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "diffusion.md").read_text(encoding="utf-8")


def test_every_choice_and_file_of_the_page_is_there() -> None:
    for group, choice in re.findall(r"\b(model|exp|feature)=([a-z]\w+)", PAGE):
        assert (ROOT / "conf" / group / f"{choice}.yaml").is_file(), (group, choice)
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.M)
    assert len(listed) >= 6
    for choice in listed:
        assert (ROOT / "conf" / "feature" / f"{choice}.yaml").is_file(), choice
    for figure in re.findall(r"\(figures/(\S+?)\)", PAGE):
        assert (ROOT / "docs" / "figures" / figure).is_file(), figure
    for path in re.findall(r"`(critwin/\S+?\.py)`", PAGE):
        assert (ROOT / path).is_file(), path


def test_the_example_is_python() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    compile(code, "docs/diffusion.md", "exec")
