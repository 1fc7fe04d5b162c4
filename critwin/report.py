"""The page of a run: one file to look at offline, with every original, its curve and its windows.

Whatever a model wrote stays text: it travels as JSON in which `<`, `>` and `&` are escaped, the
script puts it on the page as text only, and the page forbids itself every request.
"""

from __future__ import annotations

import base64
import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from critwin.records import RunDirectory, write_text

SHOWN_PER_POSITION = 4
"""Different continuations on the page per original and position, at most; labels take turns."""

SHOWN_CHARACTERS = 600
"""Characters of each continuation on the page, at most."""

SHOWN_LABELS = 5
"""Curves of other labels per original, at most: the most probable ones."""

_FIGURES = {
    "mean_curves": "Resamples that agree with the answer, over the share of it that is kept",
    "window_positions": "Where the windows fall",
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
    provenance = directory.read_json("provenance") or {}
    summary: dict[str, Any] = directory.read_json("summary") or {}
    parts = {
        "title": _text(f"{provenance.get('experiment', 'run')} {provenance.get('run_id', '')}"),
        "style": _template("report.css"),
        "facts": _facts(provenance, summary),
        "headline": _headline(summary.get("headline", [])),
        "figures": _figures(run / "figures"),
        "data": embedded_json(page_data(**tables, resamples=resamples)),
        "script": _template("report.js"),
    }
    # One pass: what is put in is never searched for markers again.
    page = re.sub(r"<!--put:(\w+)-->", lambda found: parts[found[1]], _template("report.html"))
    write_text(run / "report.html", page)
    return run / "report.html"


def page_data(
    *,
    originals: pd.DataFrame,
    curves: pd.DataFrame,
    windows: pd.DataFrame,
    resamples: pd.DataFrame,
) -> dict[str, Any]:
    """Choose what the page shows of each original, fit for JSON.

    Args:
        originals: The originals table.
        curves: The curves table.
        windows: The windows table.
        resamples: The resamples table.

    Returns:
        `originals`, in the table's order: identity, texts, tokens with surprisal (nats), verdict,
        largest jump, windows, curves, and for each position a choice of continuations.
    """
    by_original = [_grouped(table) for table in (curves, windows, resamples)]
    made = []
    for row in originals.to_dict("records"):
        own_curves, own_windows, own_resamples = (
            groups.get(row["original_id"]) for groups in by_original
        )
        shown = [] if own_curves is None else _curves(own_curves)
        made.append(
            {
                "id": row["original_id"],
                "problem": row["problem_id"],
                "prompt": row["prompt"],
                "truth": _known(row["truth"]),
                "label": row["label"],
                "correct": _known(row["correct"]),
                "unscored": bool(row["unscored"]),
                "finish": row["finish_reason"],
                "tokens": list(row["tokens"]),
                "surprisal": [_number(value, 2) for value in row["surprisal"]],
                "jump": _largest_jump(shown),
                "windows": [] if own_windows is None else _windows(own_windows),
                "curves": shown,
                "others": 0 if own_curves is None else int(own_curves["label"].nunique()) - 1,
                "draws": {} if own_resamples is None else _draws(own_resamples),
            }
        )
    return {"originals": made}


def embedded_json(value: object) -> str:
    """Give JSON that can stand inside a script element: no text in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _grouped(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(name): rows for name, rows in table.groupby("original_id", sort=False)}


def _curves(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Give the own label's curve first, then those of the most probable other labels."""
    curves: list[dict[str, Any]] = []
    for label, values in rows.groupby("label", sort=False):
        values = values.sort_values("position")
        curves.append(
            {
                "label": label,
                "own": bool(values["own"].iloc[0]),
                "position": [int(p) for p in values["position"]],
                "agreement": [_number(a, 4) for a in values["agreement"]],
                "lower": [_number(a, 4) for a in values["lower"]],
                "upper": [_number(a, 4) for a in values["upper"]],
                "trials": [int(n) for n in values["trials"]],
                "unscored": [_number(u, 4) for u in values["unscored"]],
            }
        )
    curves.sort(key=lambda curve: (not curve["own"], -max(curve["agreement"]), curve["label"]))
    return curves[: 1 + SHOWN_LABELS]


def _largest_jump(curves: Sequence[Mapping[str, Any]]) -> float | None:
    """Give the largest rise of the own label between neighbouring positions that were resampled."""
    own = [curve for curve in curves if curve["own"]]
    measured = [a for c in own for a, n in zip(c["agreement"], c["trials"], strict=True) if n > 0]
    return _number(np.diff(measured).max(), 4) if len(measured) > 1 else None


def _windows(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "label": row["label"],
            "direction": row["direction"],
            "start": int(row["position_start"]),
            "end": int(row["position_end"]),
            "jump": _number(row["jump"], 4),
            "lower": _number(row["jump_lower"], 4),
            "upper": _number(row["jump_upper"], 4),
        }
        for row in rows.to_dict("records")
    ]


def _draws(rows: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Choose different continuations per position: frequent first, labels taking turns."""
    counted = rows.groupby(["position", "label", "text"]).size().rename("count").reset_index()
    counted["often"] = counted.groupby(["position", "label"])["count"].transform("sum")
    counted = counted.sort_values(["position", "count", "text"], ascending=[True, False, True])
    counted["turn"] = counted.groupby(["position", "label"]).cumcount()
    counted = counted.sort_values(
        ["position", "turn", "often", "label"], ascending=[True, True, False, True]
    )
    chosen: dict[str, list[dict[str, Any]]] = {}
    for row in counted.groupby("position").head(SHOWN_PER_POSITION).to_dict("records"):
        drawn = {"label": row["label"], "text": _shortened(row["text"]), "count": row["count"]}
        chosen.setdefault(str(row["position"]), []).append(drawn)
    return chosen


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _known(value: Any) -> Any:
    return None if value is None or value is pd.NA or value != value else value


def _number(value: float, decimals: int) -> float | None:
    return round(float(value), decimals) if math.isfinite(value) else None


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
    for name, component in (provenance.get("identity") or {}).items():
        if isinstance(component, Mapping) and "class" in component:
            facts[name] = _component(component)
    counts = summary.get("counts", {})
    facts["counts"] = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items())
    rows = [f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in facts.items() if v]
    return "\n".join(rows)


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
    return f"{row['estimate']:.3f}", f"[{row['lower']:.3f}, {row['upper']:.3f}]"


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
