"""What an experiment tells while it works: to a tracking service, and to the person who waits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Tracker(Protocol):
    """Mirrors a run elsewhere. It never raises and never holds a run up."""

    def log(self, row: Mapping[str, float]) -> None:
        """Record scalars of the run so far; the experiment's `axis` is among them."""

    def publish(self, run: Path) -> None:
        """Mirror the tables, figures and the page of a finished run directory."""


class Progress(Protocol):
    """Shows how far a long piece of work has come."""

    def begin(self, stage: str, total: int, *, unit: str, done: int = 0) -> None:
        """Open a stage of `total` units, of which `done` were there already."""

    def advance(self, units: int, **facts: float) -> None:
        """Count units of the open stage as done; `facts` are shown beside the count."""

    def remaining(self, seconds: float) -> None:
        """Say how long the open stage will still take, where that is known better than by units."""

    def end(self) -> None:
        """Close the open stage."""


class Silent:
    """A tracker and a progress that say nothing."""

    def log(self, row: Mapping[str, float]) -> None:
        """Drop the row."""

    def publish(self, run: Path) -> None:
        """Do nothing."""

    def begin(self, stage: str, total: int, *, unit: str, done: int = 0) -> None:
        """Do nothing."""

    def advance(self, units: int, **facts: float) -> None:
        """Do nothing."""

    def remaining(self, seconds: float) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""
