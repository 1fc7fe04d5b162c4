"""Finished runs as tables see them, written in a millisecond each."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from critwin.tables.facts import RunFacts, read_facts

IDENTITY: dict[str, Any] = {
    "class": "experiments.llm_math.LlmMath",
    "model": {"class": "critwin.samplers.language.LanguageSampler", "temperature": 1.0},
    "dataset": {"class": "critwin.problems.gsm8k.Gsm8k", "limit": 30, "seed": 0},
    "prompt": {"class": "critwin.prompt.PromptTemplate", "template": "{question}", "prefix": ""},
    "sampler": {"class": "critwin.protocol.Fractions", "fractions": [0.1, 0.5], "n": 25},
    "feature": {"class": "critwin.features.math_answer.MathAnswer"},
    "window": {"class": "critwin.windows.paper_jump.PaperJump", "threshold": 0.5},
    "seed": 0,
}


def interval(estimate: float | None, half: float = 0.1, **counts: int) -> dict[str, Any]:
    ends = (None, None) if estimate is None else (estimate - half, estimate + half)
    return {"estimate": estimate, "lower": ends[0], "upper": ends[1]} | {
        "n": counts.get("n", 120),
        "problems": counts.get("problems", 30),
    }


def summary(shift: float = 0.0) -> dict[str, Any]:
    """Give the headline numbers of a run; `shift` moves them all."""
    tested = interval(0.1 + shift) | {"p_value": 0.04}
    return {
        "counts": {"problems": 30, "originals": 120, "resamples": 6000, "unscored": 3},
        "accuracy_difference": interval(0.41 + shift),
        "window_difference": interval(-0.05 + shift),
        "with_window": {name: interval(0.25 + shift) for name in ("all", "right", "wrong")},
        "contrasts": {
            "paper": {"dAcc": interval(0.4 + shift), "dCW": interval(0.2 + shift)},
            "within_questions": tested,
            "matched": tested | {"within": 0.1},
        },
        "places": [
            {"from": a / 10, "to": (a + 1) / 10, "all": a, "right": 0, "wrong": a}
            for a in range(10)
        ],
        "headline": [],
    }


def write_run(
    folder: Path,
    run_id: str = "0123456789abcdef",
    *,
    model: str = "org/some-model",
    changed: dict[str, Any] | None = None,
    numbers: dict[str, Any] | None = None,
    status: str = "complete",
    experiment: str = "llm_math",
) -> RunFacts:
    """Write a run; `changed` holds identity values by dotted key."""
    identity = json.loads(json.dumps(IDENTITY))
    for key, value in (changed or {}).items():
        node = identity
        *path, last = key.split(".")
        for name in path:
            node = node.setdefault(name, {})
        node[last] = value
    path = folder / run_id
    path.mkdir(parents=True)
    provenance = {
        "run_id": run_id,
        "experiment": experiment,
        "status": status,
        "start": "2026-01-01T00:00:00+00:00",
        "restarts": 0,
        "identity": identity,
        "sources": [],
        "git_commit": hashlib.sha1(b"commit").hexdigest(),
        "git_dirty": False,
        "tokens_generated": 12345,
        "seconds": {"originals": 1.0, "resamples": 2.5},
        "device": "cpu",
    }
    (path / "provenance.json").write_text(json.dumps(provenance))
    (path / "summary.json").write_text(json.dumps(numbers or summary()))
    (path / "config.yaml").write_text(f"model:\n  path: {json.dumps(model)}\n")
    pq.write_table(pa.table({"original_id": [run_id]}), path / "windows.parquet")
    return read_facts(path) if status == "complete" else RunFacts(path, provenance, {})
