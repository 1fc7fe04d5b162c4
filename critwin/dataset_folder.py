"""Records of runs as a folder that `datasets.load_dataset` loads, with a card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from critwin import records
from critwin.files import write_text
from critwin.preference_pairs import PAIRS
from critwin.tables.facts import RunFacts

SCHEMAS = {
    "originals": records.ORIGINALS,
    "pairs": PAIRS,
    "problems": records.PROBLEMS,
    "resamples": records.RESAMPLES,
    "curves": records.CURVES,
    "windows": records.WINDOWS,
    "verdicts": records.VERDICTS,
    "attribution": records.ATTRIBUTION,
    "plans": records.PLANS,
}
"""Tables that are exported, each a configuration of the data set; the first is the default."""

WORDS = {
    "originals": "answers: text, token ids, surprisal of each token, label, truth",
    "pairs": "certified jumps as pairs for preference training: prompt, chosen, rejected",
    "problems": "the questions and their reference answers",
    "resamples": "continuations of beginnings of answers, with their labels",
    "curves": "probability of every label over the tokens kept, with 95 % intervals",
    "windows": "critical windows: place, tokens, jump with its interval",
    "verdicts": "what is certain about windows of each answer",
    "attribution": "by how much each token changed the probability of the label",
    "plans": "how many forks were drawn where",
}

KNOWN = frozenset(
    (
        *("mit", "apache-2.0", "bsd-3-clause", "cc0-1.0", "unlicense", "gpl-3.0", "odc-by"),
        *("cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "openrail"),
    )
)
"""Licences by the names that cards of the hub know."""

ADDED = (("run_id", pa.string()), ("model", pa.string()), ("dataset", pa.string()))
"""Columns in front of each table: where a row comes from."""


@dataclass(frozen=True)
class Part:
    """What a run gives.

    Attributes:
        run: The run.
        tables: Its tables by name.
        licence: Of its problems, as cards name it.
    """

    run: RunFacts
    tables: Mapping[str, pa.Table]
    licence: str


def write_dataset(folder: Path, parts: Sequence[Part], *, names: Mapping[str, str]) -> list[str]:
    """Write `data/<table>/<run id>.parquet` and the card `README.md`.

    The same records give the same bytes.

    Args:
        folder: Where to.
        parts: The runs, each once.
        names: What to call models and problem sets, by what runs call them.

    Returns:
        The tables that were written; of a table that some runs lack, the others' rows.
    """
    ordered = sorted(parts, key=lambda part: part.run.run_id)
    written = []
    for name, schema in SCHEMAS.items():
        having = [part for part in ordered if name in part.tables]
        if not having:
            continue
        whole = _union(schema, [part.tables[name].schema for part in having])
        for part in having:
            table = _with_origin(_fit(part.tables[name], whole), part.run, names)
            path = folder / "data" / name / f"{part.run.run_id}.parquet"
            records.write_table(table, path)
        written.append(name)
    write_text(folder / "README.md", card(ordered, written, names=names))
    return written


def card(parts: Sequence[Part], tables: Sequence[str], *, names: Mapping[str, str]) -> str:
    """Write the card: what was drawn from which model, how, and under which terms."""
    licences = sorted({card_licence(part.licence) for part in parts})
    head: dict[str, Any] = {
        "license": licences[0] if len(licences) == 1 else "other",
        "pretty_name": "Critical windows",
        "tags": ["critical-windows", "critwin"],
        "configs": [
            {"config_name": name, "data_files": f"data/{name}/*.parquet"}
            | ({"default": True} if number == 0 else {})
            for number, name in enumerate(tables)
        ],
    }
    front = yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
    lines = [
        f"---\n{front}---\n",
        "# Critical windows\n",
        "Answers of language models, continuations of their beginnings, and where the answers",
        "were decided, as critwin measured it. `run_id` says which of the runs below a row comes",
        "from.\n",
        "```python",
        "from datasets import load_dataset\n",
        f'load_dataset("FOLDER", "{tables[0]}", split="train")',
        "```\n",
        *(f"- `{name}`: {WORDS[name]}" for name in tables),
        "\n## Terms\n",
        *(_terms(part, names) for part in _each_dataset(parts)),
        "\nThe texts were written by the models named below; their licences may bind their use.",
        "\n## Runs\n",
        *(_told(part, names) for part in parts),
    ]
    return "\n".join(lines) + "\n"


def card_licence(told: str) -> str:
    """Give a licence as cards name it: `mit`, `cc-by-sa-4.0`; `other` for what has no such name."""
    name = told.strip().lower().replace("cc by", "cc-by").replace(" ", "-")
    if name in KNOWN:
        return name
    return "unknown" if name.startswith("unknown") else "other"


def _each_dataset(parts: Sequence[Part]) -> list[Part]:
    return list({(part.run.run["dataset"], part.licence): part for part in parts}.values())


def _terms(part: Part, names: Mapping[str, str]) -> str:
    name = part.run.run["dataset"] or "the problems"
    return f"- {names.get(name, name)}: {part.licence}"


def _told(part: Part, names: Mapping[str, str]) -> str:
    """Describe a run: identity, model, prompt, sampler, counts."""
    run = part.run
    model = str(run.run["model"] or "none")
    described = {
        key: {k: v for k, v in (run.identity.get(key) or {}).items() if k != "content"}
        for key in ("model", "prompt", "sampler", "feature", "window", "dataset")
        if run.identity.get(key)
    }
    facts = {"experiment": run.experiment, "commit": run.provenance.get("git_commit"), **described}
    counts = ", ".join(f"{table.num_rows} {name}" for name, table in part.tables.items())
    text = json.dumps(facts, indent=2, ensure_ascii=False)
    fence = "`" * max(3, 1 + max((len(run) for run in _ticks(text)), default=0))
    block = f"{fence}json\n{text}\n{fence}\n"
    return f"### {run.run_id}\n\n{names.get(model, model)}: {counts}.\n\n{block}"


def _ticks(text: str) -> list[str]:
    """Give the runs of backticks in a text: the fence around it has to be longer."""
    return ["`" * len(part) for part in "".join(c if c == "`" else " " for c in text).split()]


def _union(schema: pa.Schema, others: Sequence[pa.Schema]) -> pa.Schema:
    """Give the table's own columns, and those that some run has besides."""
    fields = {field.name: field for field in schema}
    for other in others:
        for field in other:
            fields.setdefault(field.name, field)
    return pa.schema(list(fields.values()))


def _fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table[field.name].cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _with_origin(table: pa.Table, run: RunFacts, names: Mapping[str, str]) -> pa.Table:
    values = [run.run_id, *(run.run[key] for key in ("model", "dataset"))]
    for place, ((name, kind), value) in enumerate(zip(ADDED, values, strict=True)):
        shown = names.get(value, value) if isinstance(value, str) else value
        column = pa.array([shown] * table.num_rows, kind)
        table = table.add_column(place, name, column)
    return table
