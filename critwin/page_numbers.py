"""What a page says in numbers, as plain HTML that needs no script: tables, facts, figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from critwin.plain_page import escaped, picture

CARDS = 4
"""Headline numbers that stand at the top of the page."""

CAPTIONS = {
    "mean_curves": "Resamples that agree with the answer, over the share of it that is kept",
    "direct_answer": "Agreement with the final answer: resampled, and asked directly at the cut",
    "window_positions": "Where the windows fall",
    "trajectory": "Answers, their curves and their windows",
}


def numbers_section(
    run: Path, summary: Mapping[str, Any], provenance: Mapping[str, Any], *, opened: bool
) -> str:
    """Give the part of a page that every run has.

    Args:
        run: The run directory, for its figures.
        summary: What `summary.json` holds.
        provenance: What `provenance.json` holds.
        opened: Whether tables and figures are shown at once: nothing else is on the page.
    """
    headline: Sequence[Mapping[str, Any]] = summary.get("headline") or []
    tables = [*([_headline(headline)] if headline else []), *map(_table, summary.get("tables", []))]
    notes = "".join(f"<li>{escaped(note)}</li>" for note in summary.get("notes", []))
    folds = {
        "All numbers": "\n".join(tables) + (f"<ul>{notes}</ul>" if notes else ""),
        "Figures": figures(run / "figures"),
        "What was run": f'<dl class="facts">{_facts(provenance, summary)}</dl>',
    }
    parts = []
    for name, body in folds.items():
        shown = " open" if opened and name != "What was run" else ""
        if body:
            parts.append(f"<details{shown}><summary>{name}</summary>{body}</details>")
    return (
        f'<section aria-label="Numbers">{_cards(headline)}'
        f'<div class="more">{"".join(parts)}</div></section>'
    )


def _cards(rows: Sequence[Mapping[str, Any]]) -> str:
    first = [row for row in rows if row["estimate"] is not None and row["name"][:1] != " "]
    cards = []
    for row in first[:CARDS]:
        value, interval = _measured(row)
        name = escaped(row["name"])
        cards.append(f"<li><b>{value}</b><span>{interval} {name}</span></li>")
    return f'<ul class="cards">{"".join(cards)}</ul>' if cards else ""


def _headline(rows: Sequence[Mapping[str, Any]]) -> str:
    heads = ("what", "estimate", "95 % over problems", "n", "problems", "note")
    made = []
    for row in rows:
        name = str(row["name"])
        nested = ' class="nested"' if name.startswith(" ") else ""
        values = (*_measured(row), row["n"], row["problems"])
        cells = "".join(f"<td>{escaped(value)}</td>" for value in values)
        note = f'<td class="note">{escaped(row["note"])}</td>'
        made.append(f'<tr><th scope="row"{nested}>{escaped(name.strip())}</th>{cells}{note}</tr>')
    return _html_table(heads, made)


def _table(described: Mapping[str, Any]) -> str:
    """Show a table that a summary describes: title, columns, rows and its note, if it has one."""
    rows = []
    for row in described["rows"]:
        mark = ' class="differs"' if row and row[-1] == "differs" else ""
        cells = "".join(f"<td>{escaped(_cell(cell))}</td>" for cell in row[1:])
        rows.append(f'<tr{mark}><th scope="row">{escaped(_cell(row[0]))}</th>{cells}</tr>')
    note = f'<p class="quiet">{escaped(described["note"])}</p>' if described.get("note") else ""
    return f"<h2>{escaped(described['title'])}</h2>{_html_table(described['columns'], rows)}{note}"


def _html_table(heads: Sequence[object], rows: Sequence[str]) -> str:
    head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in heads)
    body = "\n".join(rows)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _measured(row: Mapping[str, Any]) -> tuple[str, str]:
    if row["estimate"] is None:
        return "not available", ""
    ends = row["lower"], row["upper"]
    return f"{row['estimate']:.3f}", "" if None in ends else f"[{ends[0]:.3f}, {ends[1]:.3f}]"


def figures(folder: Path) -> str:
    """Give every PNG of a folder as a figure, the known ones with their captions."""
    made = []
    for path in sorted(folder.glob("*.png")):
        caption = CAPTIONS.get(path.stem, path.stem.replace("_", " "))
        shown = picture(path, caption).removesuffix("</figure>")
        made.append(f"{shown}<figcaption>{escaped(caption)}</figcaption></figure>")
    return f'<div class="figures">{"".join(made)}</div>' if made else ""


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
    sources = provenance.get("sources", [])
    if len(sources) == 1:
        (source,) = sources
        what = "labels anew" if "feature" in facts else "reads"
        facts[what] = f"{source['experiment']} {source['run_id']}"
        for name, text in _components(source["identity"]).items():
            facts.setdefault(name, text)
    elif sources:
        facts["reads"] = f"{len(sources)} runs"
    counts = summary.get("counts", {})
    facts["counts"] = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items())
    return "".join(f"<dt>{escaped(k)}</dt><dd>{escaped(v)}</dd>" for k, v in facts.items() if v)


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
