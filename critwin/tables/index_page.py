"""The page across runs: tables, figures and the pages of the runs, linked from one place."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from critwin.files import write_text
from critwin.plain_page import escaped, picture, plain_page
from critwin.tables.facts import RunFacts
from critwin.tables.forms import FORMS, html_table
from critwin.tables.table import Table
from critwin.tables.trace import TRACE

STYLE = """th, td { text-align: left; } td.number { text-align: right; }
a { color: var(--accent); } .table { margin: .8rem 0 .2rem; }
caption { color: var(--quiet); padding-bottom: .3rem; position: sticky; left: 0;
  max-width: min(70rem, calc(100vw - 3rem)); }
body { max-width: 74rem; }"""

SHOWN_ROWS = 200
"""A longer table is only linked."""

SHOWN_RUNS = 2000

OPEN = 6
"""More remarks than that are folded away."""


def write_index(
    folder: Path, tables: Sequence[Table], runs: Sequence[RunFacts], remarks: Sequence[str]
) -> Path:
    """Write `index.html` beside `tables/` and `figures/`.

    Args:
        folder: The folder of both.
        tables: The tables that stand in `tables/`.
        runs: The runs that were read.
        remarks: What was left out and what differs, a line each.

    Returns:
        The page; it holds its figures, and links files beside it and the runs' pages.
    """
    parts = [
        f"<p>{len(runs)} finished runs, {len(tables)} tables. Every table has a companion that "
        "says which run, file and number each cell comes from.</p>",
        _remarks(remarks),
        "<h2>Tables</h2>",
        *(_table(table) for table in tables),
        "<h2>Figures</h2>",
        *(_figure(png) for png in sorted((folder / "figures").glob("*.png"))),
        "<h2>Runs</h2>",
        _runs(folder, runs),
    ]
    page = plain_page("Tables and figures", "\n".join(parts), more_style=STYLE)
    write_text(folder / "index.html", page)
    return folder / "index.html"


def _remarks(remarks: Sequence[str]) -> str:
    if not remarks:
        return ""
    lines = "".join(f"<li>{escaped(line)}</li>" for line in remarks)
    return (
        f"<details{' open' if len(remarks) <= OPEN else ''}><summary>What was left out and in what "
        f"runs differ ({len(remarks)})</summary><ul>{lines}</ul></details>"
    )


def _table(table: Table) -> str:
    ends = {**{end: end for end in FORMS}, "where each cell comes from": TRACE.removeprefix(".")}
    links = " · ".join(_link(f"tables/{table.name}.{end}", words) for words, end in ends.items())
    if len(table.rows) > SHOWN_ROWS:
        shown = f"<p>{escaped(table.description.caption)} {len(table.rows)} rows.</p>"
    else:
        shown = html_table(table)
    return f"<h3>{escaped(table.name)}</h3>\n{shown}\n<p>{links}</p>"


def _figure(png: Path) -> str:
    name = png.stem
    links = " · ".join(_link(f"figures/{name}.{end}", end) for end in ("pdf", "png"))
    return f"<h3>{escaped(name.replace('_', ' '))}</h3>\n{picture(png, name)}\n<p>{links}</p>"


def _runs(folder: Path, runs: Sequence[RunFacts]) -> str:
    rows = []
    for run in sorted(runs, key=lambda run: (run.experiment, run.run_id))[:SHOWN_RUNS]:
        page = run.path / "report.html"
        name = escaped(run.run_id)
        if page.is_file():
            name = _link(os.path.relpath(page.resolve(), folder.resolve()), run.run_id)
        cells = [run.run[key] or "" for key in ("model", "dataset", "commit")]
        rows.append(
            f"<tr><td>{name}</td><td>{escaped(run.experiment)}</td>"
            + "".join(f"<td>{escaped(cell)}</td>" for cell in cells)
            + "</tr>"
        )
    heads = "".join(
        f'<th scope="col">{word}</th>' for word in ("run", "experiment", "model", "data", "commit")
    )
    more = "" if len(runs) <= SHOWN_RUNS else f"<p>and {len(runs) - SHOWN_RUNS} more</p>"
    return (
        f'<div class="table"><table><thead><tr>{heads}</tr></thead>\n<tbody>'
        + "\n".join(rows)
        + f"</tbody></table></div>{more}"
    )


def _link(path: str, words: str) -> str:
    return f'<a href="{escaped(quote(path))}">{escaped(words)}</a>'
