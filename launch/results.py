"""What a person sees when a run is done: headline numbers, and three trajectories in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from critwin.feature import UNSCORED
from launch.trajectories import Trajectory, printable, read_trajectories

WIDE = 110
"""Columns from which on notes stand in the table, not under it."""

CHARACTERS = 1200
"""A longer text is cut outside its windows."""

FILES = {
    "index.html": "index",
    "report.html": "page",
    "tables": "tables",
    "dataset": "dataset",
    "summary.json": "numbers",
    "figures": "figures",
    "originals.parquet": "originals",
    "pictures.parquet": "pictures",
    "curves.parquet": "curves",
    "windows.parquet": "windows",
    "verdicts.parquet": "verdicts",
    "cells.parquet": "cells",
    "attribution.parquet": "tokens",
    "plans.parquet": "plans",
    "model": "model",
}


def show_results(console: Console, run: Path, summary: Mapping[str, object]) -> None:
    """Print the summary table, three trajectories with their windows, and where the files are."""
    headline = summary.get("headline")
    if isinstance(headline, list):
        show_headline(console, headline)
    tables = summary.get("tables")
    for table in tables if isinstance(tables, list) else []:
        show_table(console, table)
    for caption, trajectory in read_trajectories(run):
        _show_trajectory(console, caption, trajectory)
    show_files(console, run)


def show_headline(console: Console, headline: Sequence[Mapping[str, Any]]) -> None:
    """Print the headline numbers: each with its interval and what it stands on."""
    wide = console.width >= WIDE
    table = Table(title="Summary", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("quantity")
    for column in ("estimate", "95 % interval", "n", "problems"):
        table.add_column(column, justify="right", no_wrap=True)
    if wide:
        table.add_column("note", style="dim")
    for row in headline:
        ends = (row["lower"], row["upper"])
        cells = [
            str(row["name"]),
            number(row["estimate"]),
            "" if None in ends else f"[{number(ends[0])}, {number(ends[1])}]",
            number(row["n"]),
            number(row["problems"]),
            *([str(row["note"] or "")] if wide else []),
        ]
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    for row in headline:
        if row["note"] and not wide:
            console.print(Text(f"  {str(row['name']).strip()}: {row['note']}", style="dim"))


def show_table(console: Console, described: Mapping[str, Any]) -> None:
    """Print a table that a summary holds: title, columns, rows, and its note where it has one."""
    title = str(described["title"])
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for column, cells in zip(
        described["columns"], zip(*described["rows"], strict=True), strict=True
    ):
        text = all(isinstance(cell, str) for cell in cells)
        table.add_column(column, justify="left" if text else "right", no_wrap=not text)
    for row in described["rows"]:
        table.add_row(*(Text(number(cell)) for cell in row))
    console.print(table)
    if described.get("note"):
        console.print(Text(f"  {described['note']}", style="dim"))


def number(value: object) -> str:
    """Write a number as a table shows it; a dash for null."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"
    return str(value)


def _show_trajectory(console: Console, caption: str, trajectory: Trajectory) -> None:
    console.print()
    console.print(Text(caption, style="bold"))
    asked = f"{trajectory.problem_id}: label {printable(trajectory.label)}"
    if trajectory.truth is not None:
        asked += f", truth {trajectory.truth}"
    console.print(Text(asked, style="dim"))
    marked = marked_text(trajectory, colour=console.color_system is not None)
    console.print(Padding(marked, (0, 0, 0, 2), expand=False))
    if not trajectory.kept:
        return
    measured = "unscored" if trajectory.label == UNSCORED else "agreement"
    for name, values in (
        ("tokens", map(str, trajectory.position)),
        ("kept", map(share, trajectory.kept)),
        (measured, map(share, trajectory.agreement)),
    ):
        console.print(Text(f"  {name:<10}" + "".join(f"{value:>5}" for value in values)))
    if trajectory.certain is not None:
        console.print(Text(f"  windows    {trajectory.certain}"))
    if (at := trajectory.decision) is not None:
        jump = f"{at.jump:+.2f} [{at.lower:+.2f}, {at.upper:+.2f}]"
        console.print(
            Text(
                f"  token {at.number} '{at.token}' (probability {share(at.probability)}): {jump}; "
                f"'{at.instead}' leads to {at.label}"
            )
        )


def share(value: float) -> str:
    """Write a share in two digits: `.05`, `.50`, `1`, `0`."""
    text = f"{value:.2f}"
    return {"0.00": "0", "1.00": "1"}.get(text, text.removeprefix("0"))


def marked_text(trajectory: Trajectory, *, colour: bool) -> Text:
    """Write the text with its windows in reverse, or between ⟦ ⟧ where there is no colour.

    Text of a model is never read as markup.
    """
    pieces = trajectory.pieces()
    outside = sum(len(text) for text, inside in pieces if not inside)
    room = max(CHARACTERS // 4, 0) if outside > CHARACTERS else outside
    marked = Text()
    for text, inside in pieces:
        if inside:
            marked.append(text if colour else f"⟦{text}⟧", style="bold reverse")
        elif len(text) > room:
            marked.append(f"{text[: room // 2]} [...] {text[-room // 2 :]}")
        else:
            marked.append(text)
    return marked


def show_files(console: Console, run: Path) -> None:
    """Print where the files of a run are."""
    console.print()
    console.print(Text(f"run directory: {run}"), soft_wrap=True)
    for name, what in FILES.items():
        if (run / name).exists():
            console.print(Text(f"  {what + ':':<11}{run / name}"), soft_wrap=True)
