"""The page of an exact experiment: its table, figure and notes, in one file that works offline.

The page of language models shows texts that are cut; there is nothing of the kind here.
"""

from __future__ import annotations

import base64
import html
from importlib import resources
from typing import Any

from critwin.files import write_text
from critwin.records import RunDirectory

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>{style}
figure {{ margin: 1rem 0; }} img {{ max-width: 100%; }} td {{ text-align: right; }}
td:last-child {{ text-align: left; }} .differs {{ font-weight: bold; }}
body {{ max-width: 60rem; margin: 0 auto; padding: 1rem; }}</style>
</head>
<body>
<h1>{title}</h1>
{figures}
{tables}
<h2>Notes</h2>
<ul>{notes}</ul>
</body>
</html>
"""


def write_page(directory: RunDirectory) -> None:
    """Write `report.html` of a run whose summary and figures stand."""
    summary: dict[str, Any] = directory.read_json("summary") or {}
    provenance = directory.read_json("provenance") or {}
    title = f"{provenance.get('experiment', 'run')} {provenance.get('run_id', '')}"
    style = (resources.files("critwin") / "templates" / "report.css").read_text(encoding="utf-8")
    figures = [
        f'<figure><img alt="{_text(path.stem)}" src="data:image/png;base64,'
        f'{base64.b64encode(path.read_bytes()).decode("ascii")}"></figure>'
        for path in sorted((directory.path / "figures").glob("*.png"))
    ]
    notes = "".join(f"<li>{_text(note)}</li>" for note in summary.get("notes", []))
    page = PAGE.format(
        title=_text(title),
        style=style,
        figures="\n".join(figures),
        tables="\n".join(_table(one) for one in summary.get("tables", [])),
        notes=notes or "<li>none</li>",
    )
    write_text(directory.path / "report.html", page)


def _table(described: dict[str, Any]) -> str:
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in described["columns"])
    rows = []
    for row in described["rows"]:
        mark = ' class="differs"' if row[-1] == "differs" else ""
        first = f'<th scope="row">{_text(row[0])}</th>'
        cells = "".join(f"<td>{_text(_shown(cell))}</td>" for cell in row[1:])
        rows.append(f"<tr{mark}>{first}{cells}</tr>")
    body = "\n".join(rows)
    return (
        f"<h2>{_text(described['title'])}</h2>\n"
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"
    )


def _shown(cell: object) -> str:
    if cell is None:
        return "-"
    return f"{cell:.4f}" if isinstance(cell, float) else str(cell)


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)
