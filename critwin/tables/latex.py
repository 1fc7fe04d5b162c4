"""A table as LaTeX: booktabs, numbers aligned by siunitx, everything else escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from critwin.tables.description import Column
from critwin.tables.numbers import MISSING, Cell
from critwin.tables.table import Row, Table

PREAMBLE = "\\usepackage{booktabs,siunitx}\n\\usepackage[T1]{fontenc}\n"
"""What a manuscript needs for the tables."""

ROWS = 42
"""A longer table goes on in another float."""

LONGEST, WRAPPED = 26, "2.9cm"
"""Characters of a text that stand on one line; the width of a column with longer ones."""

_BREAKS = re.compile(r"(\\_|\{-\}|[/.:])")
"""Signs after which a long text may go on in another line."""

_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "-": r"{-}",
    "\N{EN DASH}": "--",
    "—": "---",
    "…": r"\ldots{}",
    "∞": r"$\infty$",
    "Δ": r"$\Delta$",
    "ε": r"$\varepsilon$",
    "δ": r"$\delta$",
    "θ": r"$\theta$",
    "μ": r"$\mu$",
    "\N{GREEK SMALL LETTER SIGMA}": r"$\sigma$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    "→": r"$\to$",
    "²": r"\textsuperscript{2}",
    "\N{MINUS SIGN}": r"$-$",
    "\u00a0": "~",
}


def escaped(text: str) -> str:
    """Write any text so that LaTeX shows it; characters that its fonts lack by their number."""
    made = "".join(_SIGNS.get(sign) or _plain(sign) for sign in " ".join(text.split()))
    return made.replace(",,", ",{},")  # no ligatures: a text keeps its signs


def latex(table: Table) -> str:
    """Write a table as LaTeX, to be put into a manuscript unchanged."""
    lines = [
        f"% {table.name}: written by python -m launch +exp=paper_tables; do not edit",
        "% \\usepackage{booktabs,siunitx} and \\usepackage[T1]{fontenc}",
    ]
    starts = range(0, len(table.rows), ROWS)
    for part, start in enumerate(starts, start=1):
        rows = table.rows[start : start + ROWS]
        lines += _float(table, rows, part=part, parts=len(starts))
    return "\n".join(lines) + "\n"


def _float(table: Table, rows: Sequence[Row], *, part: int, parts: int) -> list[str]:
    described = table.description
    kind = "table*" if described.wide else "table"
    caption = escaped(described.caption)
    if part > 1:
        caption = f"{caption} (continued, {part} of {parts})"
    label = f"\\label{{{described.label}}}" if part == 1 else ""
    lines = [
        f"\\begin{{{kind}}}[tp]",
        *(["\\addtocounter{table}{-1}"] if part > 1 else []),
        "\\centering",
        f"\\caption{{{caption}}}{label}",
        "\\vspace{2pt}",
        "\\footnotesize",
        "\\setlength{\\tabcolsep}{3.5pt}",
        f"\\begin{{tabular}}{{@{{}}{''.join(_specs(table))}@{{}}}}",
        "\\toprule",
        " & ".join(_heading(column, table, i) for i, column in enumerate(table.columns)) + r" \\",
        "\\midrule",
        *_body(table, rows),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    if table.note:
        width = "\\textwidth" if described.wide else "\\columnwidth"
        lines += ["", "\\smallskip", f"\\parbox{{{width}}}{{\\scriptsize {escaped(table.note)}}}"]
    return [*lines, f"\\end{{{kind}}}"]


def _body(table: Table, rows: Sequence[Row]) -> list[str]:
    """Write rows; what the first column repeats is left away, and a little room stands between."""
    lines = [" & ".join(_cells(table, row)) + r" \\" for row in rows]
    if not rows or table.columns[0].kind != "text":
        return lines
    made = lines[:1]
    for (before, row), line in zip(pairwise(rows), lines[1:], strict=True):
        if before.cells[0].text == row.cells[0].text:
            made.append(" &" + line.partition(" &")[2])
        else:
            grouped = sum(r.cells[0].text == row.cells[0].text for r in rows) > 1
            made += ["\\addlinespace", line] if grouped else [line]
    return made


def _specs(table: Table) -> list[str]:
    """Give the columns' specifications; an interval takes two."""
    specs = []
    for place, column in enumerate(table.columns):
        if column.kind == "text":
            wraps = _wraps(table, place)
            specs.append(f">{{\\raggedright\\arraybackslash}}p{{{WRAPPED}}}" if wraps else "l")
            continue
        cells = [row.cells[place] for row in table.rows]
        form = f"S[table-format={_format(cells, column)}]"
        specs.append(f"{form}@{{\\;}}r" if _has_ends(table, place) else form)
    return specs


def _wraps(table: Table, place: int) -> bool:
    """Tell whether a column's texts are too long for one line."""
    texts = [row.cells[place].text or "" for row in table.rows]
    return max(map(len, texts), default=0) > LONGEST


def _has_ends(table: Table, place: int) -> bool:
    return table.columns[place].kind == "interval" and any(
        row.cells[place].ends is not None for row in table.rows
    )


def _format(cells: Sequence[Cell], column: Column) -> str:
    """Give siunitx's format: the sign if there is one, digits before and after the point."""
    written = [cell.number for cell in cells if cell.value is not None]
    sign = "-" if any(text.startswith("-") for text in written) else ""
    before = max((len(text.lstrip("-").partition(".")[0]) for text in written), default=1)
    return f"{sign}{before}.{column.digits}" if column.digits else f"{sign}{before}"


def _heading(column: Column, table: Table, place: int) -> str:
    text = escaped(column.heading)
    if column.kind == "text":
        return text
    if _has_ends(table, place):
        return f"\\multicolumn{{2}}{{c}}{{{text}}}"
    return f"{{{text}}}"


def _cells(table: Table, row: Row) -> list[str]:
    written = []
    for place, cell in enumerate(row.cells):
        if cell.text is not None:
            text = escaped(cell.text)
            written.append(_BREAKS.sub(r"\1\\allowbreak{}", text) if _wraps(table, place) else text)
            continue
        missing = f"{{{escaped(cell.missing)}}}"
        written.append(missing if cell.value is None else cell.number)
        if _has_ends(table, place):
            written.append(_ends(cell, table, place))
    return written


def _ends(cell: Cell, table: Table, place: int) -> str:
    """Write an interval; where others have a minus, room for one is left."""
    if cell.ends is None:
        return ""
    every = [row.cells[place].ends for row in table.rows]
    made = []
    for side, end in enumerate(cell.ends):
        signed = any(ends is not None and ends[side].startswith("-") for ends in every)
        room = "\\phantom{-}" if signed and not end.startswith("-") else ""
        made.append("\\infty" if end == "∞" else room + end.replace(MISSING, "\\text{--}"))
    return f"$[{made[0]},\\,{made[1]}]$"


def _plain(sign: str) -> str:
    """Give letters of Western and Central European languages as they are, others by their code."""
    if " " <= sign <= "~" or "\u00c0" <= sign <= "\u017e":
        return sign
    return f"[U+{ord(sign):04X}]"
