"""Verdicts on a file of answers."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from critwin.errors import ParameterError
from critwin.feature import Feature
from critwin.features.correctness import Correctness
from critwin.features.math_answer import MathAnswer
from critwin.features.multiple_choice import MultipleChoice
from critwin.records import RunDirectory
from experiments.experiment import carry_out
from experiments.grade_file import GradeFile
from experiments.tracker import Silent

ROWS = [
    {"gold": "1/2", "pred": "0.5", "note": "kept"},
    {"gold": "12", "text": "So 3 + 4 = 7. The answer is 7."},
    {"gold": 12, "text": "It goes on and", "equal": False},
    {"gold": None, "pred": "12"},
    {"gold": "12", "pred": "The answer is 12.", "kind": "text", "equal": True},
]


def write(path: Path, rows: list[Any]) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def graded(path: Path, feature: Feature, folder: Path, **keys: Any) -> tuple[list[Any], Any]:
    experiment = GradeFile(path=str(path), feature=feature, **keys)
    experiment.check()
    directory = RunDirectory(folder)
    carry_out(experiment, directory, config="", tracker=Silent(), progress=Silent())
    text = (folder / "verdicts.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()], directory.read_json("summary")


def test_verdicts_keep_the_row(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", ROWS)
    verdicts, summary = graded(path, MathAnswer(), tmp_path / "run")
    assert [v["equal"] for v in verdicts] == [True, False, None, None, True]
    assert [v["label"] for v in verdicts] == ["1/2", "7", "UNSCORED", "12", "12"]
    assert verdicts[0] == {**ROWS[0], "label": "1/2", "equal": True}
    assert verdicts[2]["equal_given"] is False
    assert summary["counts"] == {
        "rows": 5,
        "equal": 2,
        "different": 1,
        "unscored": 1,
        "without_gold": 1,
        "left_out": 0,
    }
    shares = {row["name"]: row for row in summary["headline"]}
    assert shares["right, of the answers that could be read"]["estimate"] == pytest.approx(2 / 3)
    assert shares["could not be read"]["n"] == 5
    # null agrees with neither verdict of the file
    assert shares["agrees with the file's own `equal`"]["estimate"] == 0.5


def test_letters_of_a_packed_file(tmp_path: Path) -> None:
    rows = [
        {"gold": "(B)", "pred": "b", "n_options": 4},
        {"gold": "B", "text": "The answer is (E).", "n_options": 4, "letter": None},
        {"gold": "A", "text": "The answer is blue", "options": ["red", "blue"], "letter": "B"},
        {"gold": "A", "pred": "a) red", "options": ["red", "blue"]},
    ]
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    verdicts, summary = graded(path, MultipleChoice(), tmp_path / "run")
    assert [v["label"] for v in verdicts] == ["B", "UNSCORED", "B", "A"]
    assert [v["equal"] for v in verdicts] == [True, None, False, True]
    assert summary["headline"][2]["estimate"] == 1.0


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("not json", "no JSON"),
        ("[1]", "one JSON object"),
        ({"pred": "1"}, "no gold"),
        ({"gold": "1"}, "neither of pred and text"),
        ({"gold": "1", "pred": "1", "text": "1"}, "both of pred and text"),
        ({"gold": True, "pred": "1"}, "gold is True"),
        ({"gold": "1", "text": 3}, "text is 3"),
        ({"gold": "A", "pred": "A", "n_options": 1}, "n_options is 1"),
        ({"gold": "A", "pred": "A", "n_options": 3, "options": ["x", "y"]}, "there are 2 options"),
    ],
)
def test_a_row_that_cannot_be_graded_is_named(row: Any, said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [ROWS[0], "", row, row])
    with pytest.raises(ParameterError, match=r"rows\.jsonl, line 3") as error:
        GradeFile(path=str(path), feature=MathAnswer()).check()
    assert said in str(error.value)
    assert "on_error=skip" in str(error.value)
    _, summary = graded(path, MathAnswer(), tmp_path / "run", on_error="skip")
    assert (summary["counts"]["rows"], summary["counts"]["left_out"]) == (1, 2)


def test_what_cannot_be_graded_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    for name in ("none.jsonl", "empty.jsonl"):
        with pytest.raises(ParameterError, match="path"):
            GradeFile(path=str(tmp_path / name), feature=MathAnswer()).check()
    path = write(tmp_path / "rows.jsonl", ROWS)
    asking = Correctness(of=MathAnswer(answer="asked"))
    with pytest.raises(ParameterError, match=r"feature\.answer.*no model"):
        GradeFile(path=str(path), feature=asking).check()
