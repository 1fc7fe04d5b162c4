"""What a person sees while a run works: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from experiments import tracker

SECONDS_BETWEEN_LINES = 5.0
LOG_WIDTH = 120


def console(*, stderr: bool = False) -> Console:
    """Give a console that writes text as it is; as wide as logs may be where it is no terminal."""
    made = Console(stderr=stderr, highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = LOG_WIDTH
    return made


def progress_for(console: Console) -> tracker.Progress:
    """Give bars where the console is a terminal, plain lines elsewhere."""
    return Bars(console) if console.is_terminal else Lines(console)


class Left(TimeRemainingColumn):
    """Time left: what the work itself expects, where it does, else by the units done."""

    def render(self, task: Task) -> Text:
        """Write it as hours, minutes and seconds."""
        until = task.fields.get("until")
        if until is None or task.finished:
            return super().render(task)
        minutes, seconds = divmod(max(round(until - time.monotonic()), 0), 60)
        hours, minutes = divmod(minutes, 60)
        return Text(f"{hours}:{minutes:02d}:{seconds:02d}", style="progress.remaining")


class Bars:
    """One bar per stage."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Progress | None = None
        self._task = TaskID(0)

    def begin(self, stage: str, total: int, *, unit: str, done: int = 0) -> None:
        """Open a bar."""
        self.end()
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}", markup=False),
            TextColumn("{task.fields[facts]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            Left(),
            console=self._console,
            refresh_per_second=4,
        )
        self._bars.start()
        self._task = self._bars.add_task(
            stage, total=total, completed=done, unit=unit, facts="", until=None
        )

    def advance(self, units: int, **facts: float) -> None:
        """Move the bar on."""
        if self._bars is not None:
            self._bars.update(self._task, advance=units, facts=told(facts))

    def remaining(self, seconds: float) -> None:
        """Count down from there."""
        if self._bars is not None:
            self._bars.update(self._task, until=time.monotonic() + seconds)

    def end(self) -> None:
        """Leave the bar as it stands."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None


@dataclass
class _Stage:
    name: str
    total: int
    unit: str
    before: int
    started: float
    done: int
    told: float
    facts: str = ""
    until: float | None = None


class Lines:
    """A line at the beginning and the end of each stage, and every few seconds between."""

    def __init__(self, console: Console, *, every: float = SECONDS_BETWEEN_LINES) -> None:
        self._console = console
        self._every = every
        self._stage: _Stage | None = None

    def begin(self, stage: str, total: int, *, unit: str, done: int = 0) -> None:
        """Say what begins."""
        self.end()
        now = time.monotonic()
        self._stage = _Stage(stage, total, unit, before=done, started=now, done=done, told=now)
        there = f", {done} there already" if done else ""
        self._write(f"{stage}: {total} {unit}{there}")

    def advance(self, units: int, **facts: float) -> None:
        """Say how far it is, if the last line is a while ago."""
        stage, now = self._stage, time.monotonic()
        if stage is None:
            return
        stage.done += units
        stage.facts = told(facts)
        if now - stage.told >= self._every:
            stage.told = now
            rate = (stage.done - stage.before) / max(now - stage.started, 1e-9)
            left = duration((stage.total - stage.done) / rate) if rate > 0 else "?"
            if stage.until is not None:
                left = duration(max(stage.until - now, 0.0))
            self._write(
                f"{stage.name}: {stage.done}/{stage.total} {stage.unit}, "
                f"{rate:.3g} {stage.unit}/s, {left} left{_after(stage.facts)}"
            )

    def remaining(self, seconds: float) -> None:
        """Say it at once where nothing else has been said, and keep it for the lines to come."""
        stage = self._stage
        if stage is not None:
            if stage.until is None:
                self._write(f"{stage.name}: about {duration(seconds)} left")
            stage.until = time.monotonic() + seconds

    def end(self) -> None:
        """Say how long the stage took."""
        stage, self._stage = self._stage, None
        if stage is not None:
            took = duration(time.monotonic() - stage.started)
            self._write(
                f"{stage.name}: {stage.done}/{stage.total} {stage.unit} in {took}"
                f"{_after(stage.facts)}"
            )

    def _write(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def told(facts: dict[str, float]) -> str:
    """Write facts beside a count: `tokens/s 1520, windows 12`."""
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in facts.items())


def duration(seconds: float) -> str:
    """Write a duration: `42 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _after(facts: str) -> str:
    return f", {facts}" if facts else ""
