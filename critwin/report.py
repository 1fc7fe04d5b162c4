"""The page of a run: one file to look at offline, with every original, its curve and its windows.

Whatever a model wrote stays text: it travels as JSON in which `<`, `>` and `&` are escaped, or
packed into letters and digits; the script puts it on the page as text only, and the page forbids
itself every request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from critwin.files import write_text
from critwin.page_data import PageData, PageTables, page_data
from critwin.page_numbers import numbers_section
from critwin.page_pictures import shown_pictures
from critwin.plain_page import escaped
from critwin.records import RunDirectory

SCRIPTS = ("base", "list", "text", "curve", "token", "pictures", "page")
"""The parts of the page's script, in order."""

LEADS = {
    "tokens": "Each answer was cut and finished anew by the model, over and over. Where the share "
    "of new endings that agree with it jumps, it was decided: a critical window.",
    "steps": "Each picture was noised and denoised anew, over and over. Where the share of new "
    "pictures with its label jumps, the label was decided: a critical window.",
}


def write_report(run: Path) -> Path:
    """Write `report.html` of a run whose tables, summary and figures stand.

    Args:
        run: The run directory. What it does not hold is left out: originals are shown where they
            have tokens or pictures (`critwin.page_pictures` says which), numbers always.

    Returns:
        The page's path.

    Raises:
        RecordsError: A table or a picture is damaged.
    """
    directory = RunDirectory(run)
    provenance = directory.read_json("provenance") or {}
    summary: dict[str, Any] = directory.read_json("summary") or {}
    tables = _tables(directory)
    parts = {
        "title": escaped(f"{provenance.get('experiment', 'run')} {provenance.get('run_id', '')}"),
        "style": _template("page.css"),
        "numbers": numbers_section(run, summary, provenance, opened=tables is None),
        "originals": "",
        "data": _script(_template("theme.js")),
    }
    if tables is not None:
        parts |= _originals(page_data(tables), summary.get("verdict_names") or {})
    write_text(run / "report.html", _filled(_template("page.html"), parts))
    return run / "report.html"


def embedded_json(value: object) -> str:
    """Give JSON that can stand inside a script element: no text in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _tables(directory: RunDirectory) -> PageTables | None:
    """Read what is shown of originals; None where they have neither tokens nor pictures."""
    originals = _table(directory, "originals")
    if originals is None:
        return None
    pictures = _table(directory, "pictures")
    if pictures is None and not any(len(tokens) for tokens in originals["tokens"].dropna()):
        return None
    names = ("curves", "windows", "resamples", "attribution", "verdicts")
    tables = {name: _table(directory, name) for name in names}
    return PageTables(
        originals=originals,
        **_of_first_feature(tables),
        pictures=None if pictures is None else shown_pictures(pictures),
    )


def _of_first_feature(tables: Mapping[str, pd.DataFrame | None]) -> dict[str, pd.DataFrame | None]:
    """Keep of a run with several features what is about the first, that of the column `label`."""
    curves, verdicts = tables["curves"], tables["verdicts"]
    if curves is None or "feature" not in curves or not len(curves):
        return dict(tables)
    first = curves["feature"].iloc[0]
    kept = {
        name: table[table["feature"] == first]
        for name, table in tables.items()
        if table is not None and "feature" in table
    }
    if verdicts is not None and len(verdicts):
        about = kept["curves"][["original_id", "label"]].drop_duplicates()
        kept["verdicts"] = verdicts.merge(about, on=["original_id", "label"])
    return {**tables, **kept}


def _table(directory: RunDirectory, name: str) -> pd.DataFrame | None:
    if not (directory.path / f"{name}.parquet").exists():
        return None
    table: pd.DataFrame = directory.read(name).to_pandas()
    return table


def _originals(data: PageData, names: Mapping[str, str]) -> dict[str, str]:
    unit = data.index["unit"]
    inner = {
        "noun": "Answers" if unit == "tokens" else "Pictures",
        "lead": LEADS[unit],
        "legend": _template("legend_tokens.html" if unit == "tokens" else "legend_pictures.html"),
    }
    blocks = "\n".join([data.texts, *data.details])
    script = "".join(_template(f"{name}.js") for name in SCRIPTS)
    return {
        "originals": _filled(_template("originals.html"), inner),
        "data": _script(_template("theme.js"))
        + _data("index", "application/json", embedded_json(data.index | {"names": dict(names)}))
        + _data("blocks", "text/plain", blocks)
        + _script(script),
    }


def _script(code: str) -> str:
    return f"<script>\n{code}</script>\n"


def _data(name: str, kind: str, text: str) -> str:
    return f'<script type="{kind}" id="{name}">{text}</script>\n'


def _filled(template: str, parts: Mapping[str, str]) -> str:
    """Put parts into a template in one pass: what is put in is not searched for markers again."""
    return re.sub(r"<!--put:(\w+)-->", lambda found: parts[found[1]], template)


def _template(name: str) -> str:
    return (resources.files("critwin") / "templates" / "page" / name).read_text(encoding="utf-8")
