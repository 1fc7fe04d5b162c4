"""A finished run made by a tiny model whose law is known, for tests of summary, figures and page.

An answer wanders for a while, then one word decides it ("takes" leads to 1, "gives" to 2), then it
wanders on, with a small chance to notice a slip and turn round, and ends in its label.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from critwin.curve import curves_table, grid_curves
from critwin.feature import UNSCORED
from critwin.problem import PlantedBranch, Problem
from critwin.records import ORIGINALS, RESAMPLES, RunDirectory
from critwin.summary import summarise
from critwin.window import windows_table
from critwin.windows.paper_jump import PaperJump

FRACTIONS = (0.0, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9)
BEFORE, AFTER, SLIP, TRAIL_OFF = 0.05, 0.04, 0.15, 0.06
END = "<eos>"
TURN = {" takes": " gives", " gives": " takes"}
ANSWER = {" takes": " 1", " gives": " 2"}


def write_synthetic_run(
    path: Path, *, problems: int, originals: int, draws: int, seed: int = 0, evil: str = ""
) -> list[Problem]:
    """Write a whole run directory but for figures and page; `evil` is put into every text."""
    rng = np.random.default_rng(seed)
    branch = PlantedBranch("sign", ("Ann takes some", "Ann gives some"), (0.5, 0.5))
    made = [
        Problem(f"p{i:03d}", f"What does Ann{evil} do? ({i})", "1", (branch,))
        for i in range(problems)
    ]
    rows, cuts = [], []
    for problem in made:
        easy = rng.beta(1.5, 0.8)
        for number in range(originals):
            tokens = [" Let", f" us{evil}", " see", "."]
            surprisal = [0.01, 0.02, 0.0, 0.0]
            _continue(tokens, surprisal, easy, rng)
            original_id = f"{problem.problem_id}-{number}"
            rows.append(_original(original_id, problem, number, tokens, surprisal))
            for position in sorted({int(f * len(tokens) + 1e-9) for f in FRACTIONS}):
                for replicate in range(draws):
                    kept = tokens[:position]
                    _continue(kept, [], easy, rng)
                    cuts.append(_resample(rows[-1], position, replicate, kept))
    directory = RunDirectory(path)
    directory.write("originals", pa.Table.from_pylist(rows, schema=ORIGINALS))
    directory.write("resamples", pa.Table.from_pylist(cuts, schema=RESAMPLES))
    _analyse(directory, made)
    return made


def _continue(
    tokens: list[str], surprisal: list[float], easy: float, rng: np.random.Generator
) -> None:
    def draw(options: Sequence[str], probabilities: Sequence[float]) -> None:
        i = int(rng.choice(len(options), p=probabilities))
        tokens.append(options[i])
        surprisal.append(float(-np.log(probabilities[i])))

    while not tokens or tokens[-1] != END:
        sign = next((token for token in reversed(tokens) if token in TURN), None)
        if len(tokens) < 4:
            draw([" Let"], [1.0])
        elif tokens[-1] == " Ann":
            draw([" takes", " gives"], [easy, 1 - easy])
        elif sign is None:
            draw([" so", ",", " Ann"], [0.7, 0.3 - BEFORE, BEFORE])
        elif tokens[-1] in TURN:
            draw([" some"], [1.0])
        elif tokens[-1] == " Wait":
            draw([TURN[sign]], [1.0])
        elif tokens[-1] == " is":
            draw([ANSWER[sign], "..."], [1 - TRAIL_OFF, TRAIL_OFF])
        elif tokens[-1] in (" 1", " 2", "..."):
            draw([END], [1.0])
        elif len(tokens) > 80:
            draw([" is"], [1.0])
        else:
            slip = SLIP * AFTER
            draw([" then", ".", " Wait", " is"], [0.8 - slip, 0.2 - AFTER, slip, AFTER])


def _label(tokens: Sequence[str]) -> str:
    return tokens[-2].strip() if tokens[-2] in (" 1", " 2") else UNSCORED


def _original(
    original_id: str,
    problem: Problem,
    number: int,
    tokens: list[str],
    surprisal: list[float],
) -> dict[str, Any]:
    label = _label(tokens)
    return {
        "original_id": original_id,
        "problem_id": problem.problem_id,
        "replicate": number,
        "prompt": problem.question,
        "prompt_ids": [],
        "text": "".join(tokens[:-1]),
        "token_ids": list(range(len(tokens))),
        "tokens": tokens,
        "surprisal": surprisal,
        "label": label,
        "truth": problem.truth,
        "correct": None if label == UNSCORED else label == problem.truth,
        "unscored": label == UNSCORED,
        "finish_reason": "end",
        "seed": 0,
    }


def _resample(
    original: dict[str, Any], position: int, replicate: int, tokens: list[str]
) -> dict[str, Any]:
    label = _label(tokens)
    unread = UNSCORED in (label, original["label"])
    return {
        "original_id": original["original_id"],
        "position": position,
        "t": 1 - position / len(original["tokens"]),
        "replicate": replicate,
        "kind": "grid",
        "first_token": 0,
        "text": "".join(tokens[position:-1]),
        "label": label,
        "agrees": None if unread else label == original["label"],
        "unscored": label == UNSCORED,
        "finish_reason": "end",
        "tokens_generated": len(tokens) - position,
        "seed": 0,
    }


def _analyse(directory: RunDirectory, problems: list[Problem]) -> None:
    originals = directory.read("originals").to_pandas()
    resamples = directory.read("resamples").to_pandas()
    curves = grid_curves(originals, resamples)
    rule = PaperJump()
    found = [w for c in curves if c.own and c.label != UNSCORED for w in rule.find(c)]
    tokens = dict(zip(originals["original_id"], originals["tokens"], strict=True))
    directory.write("curves", curves_table(curves))
    directory.write("windows", windows_table(found, tokens))
    windows = directory.read("windows").to_pandas()
    summary = summarise(originals, resamples, curves, windows, problems, compared=rule.fractions)
    directory.write_json("summary", summary)
    directory.write_json(
        "provenance",
        {
            "run_id": "0123456789abcdef",
            "experiment": "llm_math",
            "schema_version": 1,
            "status": "running",
            "start": "2025-01-01T00:00:00+00:00",
            "identity": {"class": "x.LlmMath", "model": {"class": "tests.critwin.TinyModel"}},
            "git_commit": "f" * 40,
            "git_dirty": True,
        },
    )


@pytest.fixture(scope="session")
def synthetic_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with 8 problems, 3 originals each, 10 draws per position."""
    path = tmp_path_factory.mktemp("synthetic")
    write_synthetic_run(path, problems=8, originals=3, draws=10)
    return path
