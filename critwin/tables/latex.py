"""A table as LaTeX: booktabs, numbers aligned by siunitx, everything else escaped."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from critwin.tables.description import Column
from critwin.tables.numbers import MISSING, Cell
from critwin.tables.table import Row, Table

PREAMBLE = "\\usepackage{booktabs,siunitx}\n\\usepackage[T1]{fontenc}\n"
"""What a manuscript needs for the tables."""

ROWS = 42
"""A longer table goes on in another float."""

WIDE, LETTER, SEPARATION = 400, 3.9, 3.5
"""Points: width of both columns of an article, of a letter in footnotes, room beside a column."""

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
    starts, layouts = range(0, len(table.rows), ROWS), _layouts(table)
    for part, start in enumerate(starts, start=1):
        rows = table.rows[start : start + ROWS]
        lines += _float(table, rows, layouts, part=part, parts=len(starts))
    return "\n".join(lines) + "\n"


def _float(
    table: Table, rows: Sequence[Row], layouts: Sequence[_Layout], *, part: int, parts: int
) -> list[str]:
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
        _size(table),
        f"\\setlength{{\\tabcolsep}}{{{SEPARATION}pt}}",
        f"\\begin{{tabular}}{{@{{}}{''.join(one.spec for one in layouts)}@{{}}}}",
        "\\toprule",
        " & ".join(map(_heading, table.columns, layouts)) + r" \\",
        "\\midrule",
        *_body(table, rows, layouts),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    if table.note:
        width = "\\textwidth" if described.wide else "\\columnwidth"
        lines += ["", "\\smallskip", f"\\parbox{{{width}}}{{\\scriptsize {escaped(table.note)}}}"]
    return [*lines, f"\\end{{{kind}}}"]


def _size(table: Table) -> str:
    """Choose the size of the letters: a table that would not fit the page gets smaller ones."""
    letters = 0
    for place, column in enumerate(table.columns):
        longest = max(len(row.cells[place].shown) for row in table.rows)
        shown = min(longest, LONGEST) if column.kind == "text" else longest
        letters += max(shown, len(column.heading))
    width = LETTER * letters + 2 * SEPARATION * len(table.columns)
    fits = width <= (WIDE if table.description.wide else WIDE / 2.1)
    return "\\footnotesize" if fits else "\\scriptsize"


def _body(table: Table, rows: Sequence[Row], layouts: Sequence[_Layout]) -> list[str]:
    """Write rows; what the first column repeats is left away, and a little room stands between."""
    lines = [" & ".join(_cells(row, layouts)) + r" \\" for row in rows]
    if not rows or table.columns[0].kind != "text":
        return lines
    made = lines[:1]
    counts = Counter(row.cells[0].text for row in rows)
    for (before, row), line in zip(pairwise(rows), lines[1:], strict=True):
        if before.cells[0].text == row.cells[0].text:
            made.append(" &" + line.partition(" &")[2])
        else:
            made += ["\\addlinespace", line] if counts[row.cells[0].text] > 1 else [line]
    return made


@dataclass(frozen=True)
class _Layout:
    """How a column is set, from all its cells.

    Attributes:
        spec: Its specification; an interval's is of two columns.
        wraps: Whether its texts are too long for one line.
        ends: Whether some cell has an interval.
        signed: Whether some lower end, and some upper end, has a minus.
    """

    spec: str
    wraps: bool
    ends: bool
    signed: tuple[bool, bool]


def _layouts(table: Table) -> list[_Layout]:
    return [
        _layout(column, [row.cells[place] for row in table.rows])
        for place, column in enumerate(table.columns)
    ]


def _layout(column: Column, cells: Sequence[Cell]) -> _Layout:
    if column.kind == "text":
        wraps = max((len(cell.text or "") for cell in cells), default=0) > LONGEST
        spec = f">{{\\raggedright\\arraybackslash}}p{{{WRAPPED}}}" if wraps else "l"
        return _Layout(spec, wraps, False, (False, False))
    known = [ends for ends in (cell.ends for cell in cells) if ends is not None]
    signed = [any(ends[side].startswith("-") for ends in known) for side in (0, 1)]
    form = f"S[table-format={_format(cells, column)}]"
    spec = f"{form}@{{\\;}}r" if known else form
    return _Layout(spec, False, bool(known), (signed[0], signed[1]))


def _format(cells: Sequence[Cell], column: Column) -> str:
    """Give siunitx's format: the sign if there is one, digits before and after the point."""
    written = [cell.number for cell in cells if cell.value is not None]
    sign = "-" if any(text.startswith("-") for text in written) else ""
    before = max((len(text.lstrip("-").partition(".")[0]) for text in written), default=1)
    return f"{sign}{before}.{column.digits}" if column.digits else f"{sign}{before}"


def _heading(column: Column, layout: _Layout) -> str:
    text = escaped(column.heading)
    if column.kind == "text":
        return text
    return f"\\multicolumn{{2}}{{c}}{{{text}}}" if layout.ends else f"{{{text}}}"


def _cells(row: Row, layouts: Sequence[_Layout]) -> list[str]:
    written = []
    for cell, layout in zip(row.cells, layouts, strict=True):
        if cell.text is not None:
            text = escaped(cell.text)
            written.append(_BREAKS.sub(r"\1\\allowbreak{}", text) if layout.wraps else text)
            continue
        missing = f"{{{escaped(cell.missing)}}}"
        written.append(missing if cell.value is None else cell.number)
        if layout.ends:
            written.append(_ends(cell, layout))
    return written


def _ends(cell: Cell, layout: _Layout) -> str:
    """Write an interval; where others have a minus, room for one is left."""
    ends = cell.ends
    if ends is None:
        return ""
    made = []
    for end, signed in zip(ends, layout.signed, strict=True):
        room = "\\phantom{-}" if signed and not end.startswith("-") else ""
        made.append("\\infty" if end == "∞" else room + end.replace(MISSING, "\\text{--}"))
    return f"$[{made[0]},\\,{made[1]}]$"


def _plain(sign: str) -> str:
    """Give letters of Western and Central European languages as they are, others by their code."""
    if " " <= sign <= "~" or "\u00c0" <= sign <= "\u017e":
        return sign
    return f"[U+{ord(sign):04X}]"
