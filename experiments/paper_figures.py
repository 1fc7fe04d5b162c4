"""Figures across runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from critwin.tables.facts import RunFacts


def write_paper_figures(
    runs: Sequence[RunFacts], folder: Path, *, names: Mapping[str, str]
) -> list[Path]:
    return []
