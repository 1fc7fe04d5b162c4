"""The page of a run: one file to look at offline, with every original, its curve and its windows.

Whatever a model wrote stays text: it travels as JSON in which `<`, `>` and `&` are escaped, the
script puts it on the page as text only, and the page forbids itself every request.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from critwin.files import write_text
from critwin.page_data import page_data
from critwin.records import RunDirectory

_FIGURES = {
    "mean_curves": "Resamples that agree with the answer, over the share of it that is kept",
    "window_positions": "Where the windows fall",
    "direct_answer": "Agreement with the final answer: resampled, and asked directly at the cut",
}


def write_report(run: Path) -> Path:
    """Write `report.html` of a run whose tables, summary and figures stand.

    Args:
        run: The run directory; figures that are not there are left out.

    Returns:
        The page's path.

    Raises:
        RecordsError: A table is missing or damaged.
    """
    directory = RunDirectory(run)
    tables = {name: directory.read(name).to_pandas() for name in ("originals", "curves", "windows")}
    resamples = directory.read("resamples").to_pandas()
    forked = (run / "attribution.parquet").exists()
    attribution = directory.read("attribution").to_pandas() if forked else None
    judged = (run / "verdicts.parquet").exists()
    verdicts = directory.read("verdicts").to_pandas() if judged else None
    provenance = directory.read_json("provenance") or {}
    summary: dict[str, Any] = directory.read_json("summary") or {}
    parts = {
        "title": _text(f"{provenance.get('experiment', 'run')} {provenance.get('run_id', '')}"),
        "style": _template("report.css"),
        "facts": _facts(provenance, summary),
        "headline": _headline(summary.get("headline", [])),
        "figures": _figures(run / "figures"),
        "data": embedded_json(
            page_data(**tables, resamples=resamples, attribution=attribution, verdicts=verdicts)
        ),
        "script": _template("report.js"),
    }
    # One pass: what is put in is never searched for markers again.
    page = re.sub(r"<!--put:(\w+)-->", lambda found: parts[found[1]], _template("report.html"))
    write_text(run / "report.html", page)
    return run / "report.html"


def embedded_json(value: object) -> str:
    """Give JSON that can stand inside a script element: no text in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _facts(provenance: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """Say what was run: identity, code, and each component with its plain settings."""
    commit = provenance.get("git_commit")
    dirty = " with local changes" if provenance.get("git_dirty") else ""
    facts = {
        "run": provenance.get("run_id"),
        "experiment": provenance.get("experiment"),
        "commit": f"{commit}{dirty}" if commit else "not in a git checkout",
        "started": provenance.get("start"),
    }
    facts |= _components(provenance.get("identity") or {})
    for source in provenance.get("sources", []):
        facts["labels anew"] = f"{source['experiment']} {source['run_id']}"
        for name, text in _components(source["identity"]).items():
            facts.setdefault(name, text)
    counts = summary.get("counts", {})
    facts["counts"] = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items())
    rows = [f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in facts.items() if v]
    return "\n".join(rows)


def _components(identity: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: _component(component)
        for name, component in identity.items()
        if isinstance(component, Mapping) and "class" in component
    }


def _component(component: Mapping[str, Any]) -> str:
    settings = [
        f"{name}={value}"
        for name, value in component.items()
        if name not in ("class", "content") and isinstance(value, str | int | float | list)
    ]
    content = str(component.get("content", ""))[:12]
    name = str(component["class"]).rsplit(".", 1)[-1]
    return " ".join([name, *settings, *([f"content={content}"] if content else [])])


def _headline(rows: Sequence[Mapping[str, Any]]) -> str:
    made = []
    for row in rows:
        name = str(row["name"])
        nested = ' class="nested"' if name.startswith(" ") else ""
        value, interval = _measured(row)
        cells = "".join(
            f"<td>{_text(v)}</td>" for v in (value, interval, row["n"], row["problems"])
        )
        note = f'<td class="note">{_text(row["note"])}</td>'
        made.append(f'<tr><th scope="row"{nested}>{_text(name.strip())}</th>{cells}{note}</tr>')
    return "\n".join(made)


def _measured(row: Mapping[str, Any]) -> tuple[str, str]:
    if row["estimate"] is None:
        return "not available", ""
    ends = row["lower"], row["upper"]
    return f"{row['estimate']:.3f}", "" if None in ends else f"[{ends[0]:.3f}, {ends[1]:.3f}]"


def _figures(folder: Path) -> str:
    made = []
    for name, caption in _FIGURES.items():
        path = folder / f"{name}.png"
        if path.exists():
            data = base64.b64encode(path.read_bytes()).decode("ascii")
            image = f'<img alt="{_text(caption)}" src="data:image/png;base64,{data}">'
            made.append(f"<figure>{image}<figcaption>{_text(caption)}</figcaption></figure>")
    return "\n".join(made)


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)


def _template(name: str) -> str:
    return (resources.files("critwin") / "templates" / name).read_text(encoding="utf-8")
