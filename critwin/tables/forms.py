"""A table as Markdown, CSV and HTML."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable

from critwin.tables.latex import latex
from critwin.tables.numbers import Cell
from critwin.tables.table import Table

_ACTIVE = re.compile(r"([\\`*_{}\[\]()#+!|<>&~$^])")
"""Signs that Markdown reads as more than themselves."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of a text that a spreadsheet would take for a formula."""


def markdown(table: Table) -> str:
    """Write a table as Markdown of GitHub's kind: caption, table, note."""
    columns = table.columns
    head = [_marked(column.heading) for column in columns]
    rule = ["---" if column.kind == "text" else "---:" for column in columns]
    rows = [
        [_marked(c.text) if c.text is not None else c.shown for c in row.cells]
        for row in table.rows
    ]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]
    note = ["", _marked(table.note)] if table.note else []
    return "\n".join([_marked(table.description.caption), "", *lines, *note]) + "\n"


def csv_text(table: Table) -> str:
    """Write a table as CSV: numbers in full, the ends of intervals in columns of their own."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    heads: list[str] = []
    for column in table.columns:
        heads.append(column.heading)
        if column.kind == "interval":
            heads += [f"{column.heading}, lower", f"{column.heading}, upper"]
    writer.writerow([*heads, "run"])
    for row in table.rows:
        cells: list[object] = []
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell.text is not None:
                cells.append(f"'{cell.text}" if cell.text.startswith(_FORMULA) else cell.text)
                continue
            numbers = [_count(cell), cell.lower, cell.upper]
            cells += numbers if column.kind == "interval" else numbers[:1]
        writer.writerow([*("" if cell is None else cell for cell in cells), row.run.run_id])
    return out.getvalue()


def html_table(table: Table) -> str:
    """Write a table as an HTML element, everything escaped."""
    heads = "".join(f'<th scope="col">{_text(c.heading)}</th>' for c in table.columns)
    rows = []
    for row in table.rows:
        cells = "".join(
            f"<td>{_text(c.text)}</td>"
            if c.text is not None
            else f'<td class="number">{_text(c.shown)}</td>'
            for c in row.cells
        )
        rows.append(f"<tr>{cells}</tr>")
    body = "\n".join(rows)
    note = f'<p class="note">{_text(table.note)}</p>\n' if table.note else ""
    return (
        f'<div class="table"><table>\n<caption>{_text(table.description.caption)}</caption>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>\n{note}"
    )


FORMS: dict[str, Callable[[Table], str]] = {
    "tex": latex,
    "md": markdown,
    "csv": csv_text,
    "html": html_table,
}
"""How a table is written, by the ending of the file."""


def _count(cell: Cell) -> float | int | None:
    """Give a number in full; one that is shown without digits after the point has none."""
    value = cell.value
    return int(value) if value is not None and not cell.digits and value.is_integer() else value


def _marked(text: str) -> str:
    return _ACTIVE.sub(r"\\\1", " ".join(text.split()))


def _text(value: str) -> str:
    return html.escape(value, quote=True)
