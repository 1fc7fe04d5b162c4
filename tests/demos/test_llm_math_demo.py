"""The main job from the command line: embedded model, real benchmark format, exact chain."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from critwin.features.math_answer import MathAnswer
from critwin.problem import read_problems
from critwin.records import ATTRIBUTION, CURVES, ORIGINALS, PLANS, RESAMPLES, WINDOWS
from critwin.samplers.markov_string import MarkovString
from tests.launch.dashboard_keys import keys_that_lack

ROOT = Path(__file__).parents[2]
SCHEMAS = {
    "originals": ORIGINALS,
    "resamples": RESAMPLES,
    "curves": CURVES,
    "windows": WINDOWS,
}
OF_FORKS = {"plans": PLANS, "attribution": ATTRIBUTION}
TINY = ("dataset.n_problems=8", "originals_per_problem=2")


def launch(outputs: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "launch", "+exp=llm_math", f"outputs={outputs}", *overrides],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "WANDB_MODE": "offline", "COLUMNS": "120"},
    )


def run_of(outputs: Path) -> Path:
    (run,) = (outputs / "llm_math").iterdir()
    return run


def tables(run: Path) -> dict[str, pd.DataFrame]:
    forks = (run / "plans.parquet").exists()
    for name, schema in (SCHEMAS | (OF_FORKS if forks else {})).items():
        assert pq.read_schema(run / f"{name}.parquet").equals(schema), name
    return {path.stem: pd.read_parquet(path) for path in run.glob("*.parquet")}


def summary_of(run: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return summary


# wandb-workspaces (0.4.13) declares validators in a way that pydantic calls old
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")
@pytest.mark.demos
def test_embedded_model_to_the_end_and_nothing_twice(tmp_path: Path) -> None:
    # a low threshold: some right and some wrong answers have a window, and some have none
    rule = ("window=paper_jump", "window.threshold=0.05")
    shown = launch(tmp_path, *TINY, *rule, "sampler.half_width=0.1")
    assert shown.returncode == 0, shown.stderr
    run = run_of(tmp_path)
    found = tables(run)
    originals, resamples = found["originals"], found["resamples"]
    assert len(originals) == 16
    assert set(resamples["kind"]) == {"fork", "pilot"}
    assert not resamples.duplicated(["original_id", "kind", "position", "replicate"]).any()
    planned = found["plans"].set_index("original_id")["main_forks"]
    drawn = resamples[resamples["kind"] == "fork"].groupby("original_id").size()
    assert drawn.reindex(planned.index, fill_value=0).eq(planned).all()
    assert summary_of(run)["counts"]["originals"] == 16
    for told in ("accuracy", "choices in an answer, H", "half-width reached", "leads to"):
        assert told in shown.stdout
    assert str(run / "report.html") in shown.stdout
    for name in ("report.html", "config.yaml", "provenance.json", "figures/mean_curves.pdf"):
        assert (run / name).is_file(), name
    assert keys_that_lack(run, tmp_path) == {}  # every panel of the dashboard has its keys
    # the kept tokens stand in every resample, and the text is whole: its label can be read again
    problems = {
        problem.problem_id: problem
        for problem in read_problems(pq.read_table(run / "problems.parquet"))
    }
    problem_of = originals.set_index("original_id")["problem_id"]
    text = originals.set_index("original_id")["text"]
    for row in resamples.itertuples():
        whole = text[row.original_id][: row.text_start] + row.text
        assert whole.startswith(text[row.original_id][: row.text_start])
        problem = problems[problem_of[row.original_id]]
        assert MathAnswer().labels([whole], problem) == [row.label]
    record = json.loads((run / "provenance.json").read_text())
    drawn = originals["token_ids"].map(len).sum() + resamples["tokens_generated"].sum()
    assert record["tokens_generated"] == drawn
    assert record["rounding"]["redrawn"] == 64

    before = {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file()}
    again = launch(tmp_path, *TINY, *rule, "sampler.half_width=0.1")
    assert again.returncode == 0, again.stderr
    assert "accuracy" in again.stdout
    after = {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file()}
    assert after == before


@pytest.mark.demos
@pytest.mark.parametrize("sampler", ["forks", "every_token"])
def test_products_that_were_lost_are_made_again_from_the_records(
    tmp_path: Path, sampler: str
) -> None:
    chain = ("model=markov_string", "feature=final_word", "tracker=none")
    tiny = (*chain, f"sampler={sampler}", "dataset.n_problems=3", "model.max_new_tokens=20")
    assert launch(tmp_path, *tiny).returncode == 0
    run = run_of(tmp_path)
    before = {p.name: p.read_bytes() for p in run.iterdir() if p.suffix in (".parquet", ".html")}
    record = json.loads((run / "provenance.json").read_text())
    lost = ["report.html", "summary.json", "curves.parquet"]
    lost += ["attribution.parquet"] if sampler == "forks" else []
    for name in lost:
        (run / name).unlink()
    again = launch(tmp_path, *tiny)
    assert again.returncode == 0, again.stderr
    assert "resamples" not in again.stderr  # nothing was drawn
    after = {p.name: p.read_bytes() for p in run.iterdir() if p.suffix in (".parquet", ".html")}
    assert after.keys() == before.keys()
    assert all(after[name] == before[name] for name in after if name.endswith(".parquet"))
    renewed = json.loads((run / "provenance.json").read_text())
    for key in ("tokens_generated", "seconds", "rounding", "start"):
        assert renewed[key] == record[key]


@pytest.mark.demos
def test_real_format_and_a_model_that_knows_nothing(tmp_path: Path, tiny_llama: Path) -> None:
    """A benchmark in its upstream format, a chat template, and answers that are all nonsense."""
    problems = tmp_path / "test.jsonl"
    rows = [
        {
            "question": f"A box holds {n} pens and a bag holds {n + 1}. How many pens are there?",
            "answer": f"There are {n}+{n + 1}=<<{n}+{n + 1}={2 * n + 1}>>{2 * n + 1} pens.\n"
            f"#### {2 * n + 1}",
        }
        for n in (3, 700, 12)
    ]
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = launch(
        tmp_path / "out",
        "model=hf",
        f"model.path={tiny_llama}",
        "dataset=gsm8k",
        f"dataset.path={problems}",
        "prompt=step_by_step",
        "sampler.max_new_tokens=24",
        "sampler.max_forks=60",
        "originals_per_problem=2",
        "tracker=none",
    )
    assert shown.returncode == 0, shown.stderr
    run = run_of(tmp_path / "out")
    originals = tables(run)["originals"]
    assert len(originals) == 6
    assert originals["prompt"].str.contains("<|user|>", regex=False).all()
    assert originals["prompt"].str.endswith("Let's think step by step:").all()
    assert (originals["unscored"] | (originals["correct"] == False)).all()  # noqa: E712
    summary = summary_of(run)
    assert summary["counts"]["right"] == 0
    assert summary["counts"]["unscored"] == int(originals["unscored"].sum())
    assert summary["forks"]["half_width"]["met"] < 6  # what 60 forks reach is said
    assert (run / "report.html").is_file()


@pytest.mark.demos
def test_a_model_that_has_no_choice(tmp_path: Path) -> None:
    shown = launch(tmp_path, *TINY, "sampler.temperature=0", "tracker=none")
    assert shown.returncode == 0, shown.stderr
    run = run_of(tmp_path)
    assert summary_of(run)["leave_mass"]["highest"] == 0
    found = tables(run)
    assert len(found["resamples"]) == len(found["attribution"]) == 0
    own = found["curves"][found["curves"]["own"]]
    assert (own["lower"] == 1).all()


@pytest.mark.demos
def test_markov_string_curves_meet_the_exact_law(tmp_path: Path) -> None:
    """The whole path on an exact sampler: intervals hold the closed form as often as they say."""
    shown = launch(
        tmp_path,
        "model=markov_string",
        "feature=final_word",
        "sampler=fractions",
        "dataset.n_problems=40",
        "originals_per_problem=2",
        "sampler.n=100",
        "tracker=none",
    )
    assert shown.returncode == 0, shown.stderr
    found = tables(run_of(tmp_path))
    chain = MarkovString()
    ids = found["originals"].set_index("original_id")["token_ids"]
    curves = found["curves"]
    curves = curves[curves["own"] & (curves["trials"] > 0)]
    inside = []
    for row in curves.itertuples():
        law = chain.last_symbol_law([int(i) for i in ids[row.original_id][: row.position]])
        exact = law[chain.symbols.index(row.label)]
        inside.append(row.lower - 1e-12 <= exact <= row.upper + 1e-12)
    # Clopper-Pearson covers at least .95; 4 standard errors over this many independent values
    assert np.mean(inside) >= 0.95 - 4 * np.sqrt(0.95 * 0.05 / len(inside))
