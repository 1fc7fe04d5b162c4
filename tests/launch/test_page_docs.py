"""What docs/page.md says is so."""

from __future__ import annotations

import inspect
from pathlib import Path

from critwin.page_draws import SHOWN_PER_POSITION, SHOWN_POSITIONS
from launch.catalogue import CONF
from launch.dashboard import Dashboard
from launch.wandb_media import PAGE_BYTES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "page.md").read_text(encoding="utf-8")


def test_its_numbers_and_keys_are_those_of_the_code() -> None:
    said = " ".join(PAGE.split())
    assert f"the {SHOWN_POSITIONS} tokens with the largest jumps" in said
    assert (SHOWN_PER_POSITION, "four each" in said) == (4, True)
    assert f"larger than {PAGE_BYTES // 10**6} MB" in said
    assert (CONF / "exp" / "dashboard.yaml").is_file()
    for key in inspect.signature(Dashboard).parameters:
        assert f"`{key}`" in said or f"{key}=" in said, key
    assert (ROOT / "docs" / "figures" / "page.png").is_file()
