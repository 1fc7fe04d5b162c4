"""Run directories for pages, of any size: answers with forks at tokens, and pictures over levels.

No model: curves, windows and continuations are put down so that they fit each other, since a page
shows tables and computes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from critwin.feature import UNSCORED
from critwin.picture_records import PICTURES, png_of
from critwin.records import (
    ATTRIBUTION,
    CURVES,
    ORIGINALS,
    RESAMPLES,
    VERDICTS,
    WINDOWS,
    RunDirectory,
)

WORDS = ("so", " then", " we", " add", " the", " number", ",", " and", ".", " of", " it", "\n")
OTHERS = ("12", "no", UNSCORED)
JUMP = 0.7
EVERY = 7
"""Every so many tokens there was a choice, and forks."""


def write_forked_run(path: Path, *, originals: int, tokens: int, evil: str = "") -> None:
    """Write a run by forks; answer i is decided at token `decided_at(i, tokens)`.

    Every third answer is right, one wrong, one unscored; windows are found in answers 0, 1 of 4.

    Args:
        path: The run directory.
        originals: Answers, two per problem.
        tokens: Tokens of each.
        evil: Put into every text that a model, a problem or a feature gives.
    """
    rng = np.random.default_rng(0)
    rows: dict[str, list[Any]] = {name: [] for name in ("originals", "windows", "verdicts")}
    curves, forks, resamples = [], [], []
    for i in range(originals):
        original = _original(i, tokens, rng, evil)
        decided = decided_at(i, tokens)
        rows["originals"].append(original)
        curves += _curves(original, decided, rng)
        at = np.unique([*range(EVERY, tokens - 2, EVERY), decided])
        forks += [_fork(original, int(p), int(p) == decided, evil) for p in at]
        resamples += [_resample(original, int(p), n, evil) for p in at[:60] for n in range(6)]
        if decided not in at[:60]:
            resamples += [_resample(original, decided, n, evil) for n in range(6)]
        found = i % 4 < 2
        if found:
            rows["windows"].append(_window(original, decided))
        rows["verdicts"].append(_verdict(original, "window" if found else VERDICT[i % 4]))
    directory = RunDirectory(path)
    directory.write("curves", pa.concat_tables(curves))
    for name, schema, given in (
        ("originals", ORIGINALS, rows["originals"]),
        ("windows", WINDOWS, rows["windows"]),
        ("verdicts", VERDICTS, rows["verdicts"]),
        ("attribution", ATTRIBUTION, forks),
        ("resamples", RESAMPLES, resamples),
    ):
        directory.write(name, pa.Table.from_pylist(given, schema=schema))
    _describe(directory, evil)


VERDICT = {2: "none", 3: "undecided"}


def decided_at(i: int, tokens: int) -> int:
    """Give the token, counted from 0, at which answer i is decided."""
    return (tokens // 5 + 3 * i) % (tokens - 4) + 1


def _original(i: int, tokens: int, rng: np.random.Generator, evil: str) -> dict[str, Any]:
    label = UNSCORED if i % 3 == 2 else f"{40 + i}{evil}"
    text = [WORDS[k] for k in rng.integers(0, len(WORDS), tokens - 1)]
    text[1] += evil
    surprisal = rng.exponential(0.05, tokens)
    surprisal[EVERY::EVERY] = rng.exponential(1.2, len(surprisal[EVERY::EVERY]))
    return {
        "original_id": f"problem-{i // 2:04d}/{i % 2}",
        "problem_id": f"problem-{i // 2:04d}",
        "replicate": i % 2,
        "prompt": f"Question {i // 2}: how many{evil}?",
        "prompt_ids": [],
        "text": "".join(text),
        "token_ids": list(range(tokens)),
        "tokens": [*text, "<eos>"],
        "surprisal": surprisal.tolist(),
        "label": label,
        "truth": f"{40 + i}{evil}" if i % 3 == 0 else "0",
        "correct": None if i % 3 == 2 else i % 3 == 0,
        "unscored": i % 3 == 2,
        "finish_reason": "end",
        "seed": i,
    }


def _curves(original: dict[str, Any], decided: int, rng: np.random.Generator) -> list[pa.Table]:
    n = len(original["tokens"])
    position = np.arange(n + 1)
    wandering = np.clip(np.cumsum(rng.normal(0, 0.002, n + 1)), -0.09, 0.09)
    rise = 0.1 + 0.1 * position / n + JUMP * (position > decided) + wandering
    rise[-1] = 1.0
    labels = [original["label"], *(label for label in OTHERS if label != original["label"])]
    made = []
    for number, label in enumerate(labels):
        own = number == 0
        p = rise if own else (1 - rise) / (len(labels) - 1)
        constant = {"estimator": "forks", "label": label, "own": own, "unscored": 0.0}
        columns: dict[str, Any] = {
            "original_id": [original["original_id"]] * (n + 1),
            **{name: [value] * (n + 1) for name, value in constant.items()},
            "position": position,
            "t": 1 - position / n,
            "kept": position / n,
            "agreement": p,
            "lower": np.maximum(p - 0.08, 0),
            "upper": np.minimum(p + 0.08, 1),
            "trials": np.maximum(0, (n - position) // EVERY * 6),
        }
        made.append(pa.table(columns, schema=CURVES))
    return made


def _fork(original: dict[str, Any], position: int, jumps: bool, evil: str) -> dict[str, Any]:
    own = original["label"]
    jump = JUMP if jumps else 0.01
    led = [("12", 4), (own, 1)] if jumps else [(own, 4), ("12", 1)]
    return {
        "original_id": original["original_id"],
        "label": own,
        "position": position,
        "token_id": position,
        "token": original["tokens"][position],
        "probability": 0.3,
        "jump": jump,
        "jump_lower": jump - 0.2,
        "jump_upper": jump + 0.1,
        "value": 0.8 if jumps else 0.2,
        "elsewhere": 0.1,
        "elsewhere_lower": 0.0,
        "elsewhere_upper": 0.4,
        "forks": 6,
        "window": jumps,
        "alternatives": [
            {
                "token_id": 7,
                "token": f" other{evil}",
                "forks": 5,
                "labels": [{"label": label, "forks": count} for label, count in led],
            },
            {
                "token_id": 8,
                "token": " rare",
                "forks": 1,
                "labels": [{"label": "no", "forks": 1}],
            },
        ],
    }


def _resample(original: dict[str, Any], position: int, number: int, evil: str) -> dict[str, Any]:
    first = " rare" if number == 5 else f" other{evil}"
    label = "no" if number == 5 else "12" if number < 4 else original["label"]
    ending = " and so on" * 25 if number % 2 else " at once"
    return {
        "original_id": original["original_id"],
        "position": position,
        "t": 1 - position / len(original["tokens"]),
        "replicate": number,
        "kind": "fork",
        "first_token": 7,
        "first_token_text": first,
        "text_start": len("".join(original["tokens"][:position])),
        "text": f"{first} turn {number // 2}{ending}: {label}",
        "label": label,
        "agrees": None if original["unscored"] else label == original["label"],
        "unscored": label == UNSCORED,
        "finish_reason": "end",
        "tokens_generated": 5,
        "seed": number,
    }


def _window(original: dict[str, Any], decided: int) -> dict[str, Any]:
    return {
        "original_id": original["original_id"],
        "label": original["label"],
        "rule": "confident_jump",
        "direction": "rise",
        "position_start": decided,
        "position_end": decided + 2,
        "jump": JUMP,
        "jump_lower": JUMP - 0.2,
        "jump_upper": JUMP + 0.1,
        "tokens": 2,
    }


def _verdict(original: dict[str, Any], verdict: str) -> dict[str, Any]:
    return {
        "original_id": original["original_id"],
        "label": original["label"],
        "rule": "confident_jump",
        "direction": "rise",
        "threshold": 0.5,
        "max_width": 10.0,
        "unit": "tokens",
        "verdict": verdict,
        "change_upper": 0.8,
        "everywhere": True,
    }


def write_picture_run(path: Path, *, originals: int = 3, levels: int = 6, evil: str = "") -> None:
    """Write a run of images: 12 x 12 pixels, the label decided half way.

    Args:
        path: The run directory.
        originals: Pictures.
        levels: Levels from which they were denoised anew.
        evil: Put into every label.
    """
    rng = np.random.default_rng(1)
    rows, pictures, curves = [], [], []
    for i in range(originals):
        name, label = f"picture-{i}", f"digit {i}{evil}"
        rows.append(_bare_original(name, label))
        pictures.append(_picture(name, None, label, rng))
        position = np.arange(levels + 1)
        p = np.where(2 * position > levels, 0.95, 0.2)
        p[-1] = 1.0
        for own, probability in ((True, p), (False, 1 - p)):
            columns: dict[str, Any] = {
                "original_id": [name] * (levels + 1),
                "estimator": ["grid"] * (levels + 1),
                "label": [label if own else "another digit"] * (levels + 1),
                "own": [own] * (levels + 1),
                "position": position,
                "t": 1 - position / levels,
                "kept": position / levels,
                "agreement": probability,
                "lower": np.maximum(probability - 0.1, 0),
                "upper": np.minimum(probability + 0.1, 1),
                "trials": [20] * levels + [0],
                "unscored": [0.0] * (levels + 1),
            }
            curves.append(pa.table(columns, schema=CURVES))
        for level in range(levels):
            pictures.append(_picture(name, level, None, rng))
            for number in range(8):
                drawn = label if number < 8 * p[level] else "another digit"
                pictures.append(_picture(name, level, drawn, rng, number))
    directory = RunDirectory(path)
    directory.write("originals", pa.Table.from_pylist(rows, schema=ORIGINALS))
    directory.write("curves", pa.concat_tables(curves))
    directory.write("windows", WINDOWS.empty_table())
    directory.write("pictures", pa.Table.from_pylist(pictures, schema=PICTURES))
    _describe(directory, evil)


def _bare_original(name: str, label: str) -> dict[str, Any]:
    row = dict.fromkeys(ORIGINALS.names)
    return row | {
        "original_id": name,
        "problem_id": "images",
        "prompt": "",
        "label": label,
        "unscored": False,
        "tokens": [],
        "surprisal": [],
    }


def _picture(
    name: str,
    position: int | None,
    label: str | None,
    rng: np.random.Generator,
    number: int | None = None,
) -> dict[str, Any]:
    return {
        "original_id": name,
        "position": position,
        "replicate": number,
        "label": label,
        "png": png_of(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)),
    }


def _describe(directory: RunDirectory, evil: str) -> None:
    row = {"name": f"accuracy{evil}", "estimate": 0.5, "lower": 0.3, "upper": 0.7}
    directory.write_json(
        "summary",
        {"headline": [row | {"n": 12, "problems": 6, "note": f"a note{evil}"}], "counts": {}},
    )
    directory.write_json(
        "provenance",
        {"run_id": "0123456789abcdef", "experiment": f"llm_math{evil}", "identity": {}},
    )
