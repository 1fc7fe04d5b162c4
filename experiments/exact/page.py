"""The page of an exact experiment: its table, figure and notes, in one file that works offline.

The page of language models shows texts that are cut; there is nothing of the kind here.
"""

from __future__ import annotations

from typing import Any

from critwin.files import write_text
from critwin.plain_page import escaped, picture, plain_page
from critwin.records import RunDirectory

STYLE = """td { text-align: right; } td:last-child { text-align: left; }
.differs { font-weight: bold; }"""


def write_page(directory: RunDirectory) -> None:
    """Write `report.html` of a run whose summary and figures stand."""
    summary: dict[str, Any] = directory.read_json("summary") or {}
    provenance = directory.read_json("provenance") or {}
    title = f"{provenance.get('experiment', 'run')} {provenance.get('run_id', '')}"
    figures = [picture(p, p.stem) for p in sorted((directory.path / "figures").glob("*.png"))]
    notes = "".join(f"<li>{escaped(note)}</li>" for note in summary.get("notes", []))
    body = [
        *figures,
        *(_table(one) for one in summary.get("tables", [])),
        f"<h2>Notes</h2>\n<ul>{notes or '<li>none</li>'}</ul>",
    ]
    page = plain_page(title, "\n".join(body), more_style=STYLE)
    write_text(directory.path / "report.html", page)


def _table(described: dict[str, Any]) -> str:
    head = "".join(f'<th scope="col">{escaped(column)}</th>' for column in described["columns"])
    rows = []
    for row in described["rows"]:
        mark = ' class="differs"' if row[-1] == "differs" else ""
        first = f'<th scope="row">{escaped(row[0])}</th>'
        cells = "".join(f"<td>{escaped(_shown(cell))}</td>" for cell in row[1:])
        rows.append(f"<tr{mark}>{first}{cells}</tr>")
    body = "\n".join(rows)
    return (
        f"<h2>{escaped(described['title'])}</h2>\n"
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"
    )


def _shown(cell: object) -> str:
    if cell is None:
        return "-"
    return f"{cell:.4f}" if isinstance(cell, float) else str(cell)
