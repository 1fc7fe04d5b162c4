"""Grading a file and direct answers from the command line, bad input included."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.demos.launching import launch_in


def launch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return launch_in(folder, *arguments, HOME=str(folder))


@pytest.mark.demos
def test_verdicts_on_a_file_and_its_malformed_row(tmp_path: Path) -> None:
    rows = [
        {"gold": r"\frac{\sqrt{3}}{2}", "text": r"So it is $\boxed{\frac{\sqrt3}{2}}$."},
        {"gold": "1,200", "pred": "1200"},
        {"gold": "7", "pred": "8"},
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = launch(tmp_path, "+exp=grade_file", "path=~/answers.jsonl", "feature=math_answer")
    assert shown.returncode == 0, shown.stderr
    assert "right, of the answers that could be read" in shown.stdout
    (run,) = (tmp_path / "outputs/grade_file").iterdir()
    lines = (run / "verdicts.jsonl").read_text().splitlines()
    assert [json.loads(line)["equal"] for line in lines] == [True, True, False]
    path.write_text(path.read_text() + '{"gold": "7"}\n')
    refused = launch(tmp_path, "+exp=grade_file", "path=answers.jsonl", "outputs=new")
    assert refused.returncode == 2
    assert "line 4: it has neither of pred and text" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.demos
def test_direct_answers_of_the_embedded_model(tmp_path: Path) -> None:
    keys = ("dataset.n_problems=4", "originals_per_problem=2", "sampler.n=4")
    shown = launch(tmp_path, "+exp=direct_answer", *keys)
    assert shown.returncode == 0, shown.stderr
    assert "Agreement with the final answer: resampled, and asked directly" in shown.stdout
    (run,) = (tmp_path / "outputs/direct_answer").iterdir()
    assert (run / "figures/direct_answer.pdf").is_file()
    found = json.loads((run / "summary.json").read_text())["direct"]
    # with nine tenths kept the answer is said, or all but said
    assert found["by_fraction"][-1]["direct"]["estimate"] > 0.5
    refused = launch(tmp_path, "+exp=direct_answer", "sampler=forks", "window=confident_jump")
    assert refused.returncode == 2
    assert "direct answers are asked for at cuts" in refused.stderr
