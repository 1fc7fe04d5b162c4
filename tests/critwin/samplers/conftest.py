"""Checkpoints of many families, each made once per test run, when first asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.critwin.samplers.families import FAMILIES, REFUSED, write_checkpoint

Checkpoints = Callable[[str], Path]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    """Give the folder of a family's tiny checkpoint."""

    @cache
    def folder_of(family: str) -> Path:
        folder = tmp_path_factory.mktemp(family)
        write_checkpoint({**FAMILIES, **REFUSED}[family](), folder)
        return folder

    return folder_of
