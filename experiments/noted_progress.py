"""Progress that others can read: a small file in the run directory beside what a person sees."""

from __future__ import annotations

import time
from contextlib import suppress

from critwin.errors import RecordsError
from critwin.records import RunDirectory
from experiments.tracker import Progress

NAME = ".progress"
"""Name of the file, without its ending."""

SECONDS_BETWEEN_NOTES = 2.0


class NotedProgress:
    """Shows progress, and notes it in the run directory every few seconds.

    What cannot be written is left out: a run does not stop for it.
    """

    def __init__(self, shown: Progress, directory: RunDirectory) -> None:
        self._shown = shown
        self._directory = directory
        self._note: dict[str, object] = {}
        self._done = 0
        self._before = 0
        self._began = 0.0
        self._noted = 0.0

    def begin(self, stage: str, total: int, *, unit: str, done: int = 0) -> None:
        """Open a stage."""
        self._shown.begin(stage, total, unit=unit, done=done)
        self._done = self._before = done
        self._began = time.monotonic()
        self._note = {"stage": stage, "unit": unit, "total": total}
        self._write()

    def advance(self, units: int, **facts: float) -> None:
        """Count units as done."""
        self._shown.advance(units, **facts)
        self._done += units
        if "tokens/s" in facts:
            self._note["tokens_per_second"] = facts["tokens/s"]
        rate = (self._done - self._before) / max(time.monotonic() - self._began, 1e-9)
        self._note["units_per_second"] = rate
        if time.monotonic() - self._noted >= SECONDS_BETWEEN_NOTES:
            self._write()

    def remaining(self, seconds: float) -> None:
        """Say how long the stage will still take."""
        self._shown.remaining(seconds)
        self._note["seconds_left"] = seconds

    def end(self) -> None:
        """Close the stage."""
        self._shown.end()
        self._write()

    def forget(self) -> None:
        """Remove the note of a run that is complete."""
        with suppress(OSError):
            (self._directory.path / f"{NAME}.json").unlink()

    def _write(self) -> None:
        self._noted = time.monotonic()
        with suppress(RecordsError):
            self._directory.write_json(NAME, {**self._note, "done": self._done})
