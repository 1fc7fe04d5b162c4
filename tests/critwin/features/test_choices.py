"""Letters of a multiple choice: the last statement counts, and a "not" is no N."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from critwin.errors import ParameterError
from critwin.feature import UNSCORED
from critwin.features.multiple_choice import MultipleChoice
from critwin.problem import Problem

SHARED = Path(__file__).parents[4] / "shared/data"


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().split("\n") if line]


TEN = Problem("p", "?", "C", options=("",) * 10)
COLOURS = Problem("p", "?", "B", options=("the red one", "blue", "green", "a red one, too"))


def letter(text: str, problem: Problem = TEN) -> str | None:
    (label,) = MultipleChoice().labels([text], problem)
    return None if label == UNSCORED else label


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The answer is (B). No wait, the answer is (D).", "D"),
        ("The answer is not (B)", None),
        ("The answer is not A, so the answer is C.", "C"),
        ("The correct option is not (A) but (C).", "C"),
        ("The answer isn't B", None),
        ("The answer cannot be B.", None),
        ("the answer is the third one", None),
        ("The answer is a bit unclear", None),
        ("The answer is A because dogs bark.", "A"),
        ("The answer is A dog.", None),
        ("The answer is I.", "I"),
        ("I think it's complicated", None),
        ("**Answer: B**", "B"),
        ("Answer: **(D)**", "D"),
        (r"\boxed{C}", "C"),
        (r"\boxed{\text{(C)}}", "C"),
        (r"The answer is $\boxed{D}$.", "D"),
        ("The correct answer is option B.", "B"),
        ("Option B is correct.", "B"),
        ("The best answer is\n**A. mitosis**", "A"),
        ("The answer is E)43566", "E"),
        ("The answer is A or B.", None),
        ("The answer is (A) and not (B).", "A"),
        ("(C)", "C"),
        ("B", "B"),
        ("The answer is b.", "B"),
        ("So x = 3, the answer is x = 3", None),
        ("The answer is (Z).", None),
        ("정답: E", "E"),
        ("Since $A = 3$ and B-C bonds break, we have D", None),
        ("It was written by F. Scott Fitzgerald. It is by T. S. Eliot.", None),
        ("<think>The answer is (A).</think> The answer is (B).", "B"),
        ("<|im_start|>user\nanswer is (A)?<|im_end|><|im_start|>assistant\n(C)<|im_end|>", "C"),
        ("", None),
    ],
)
def test_statements(text: str, expected: str | None) -> None:
    assert letter(text) == expected


def test_the_words_of_an_option_name_it() -> None:
    assert letter("The answer is blue.", COLOURS) == "B"
    assert letter("The answer is (A). Hm. The answer is Green!", COLOURS) == "C"
    assert letter("The answer is red.", COLOURS) is None
    assert letter("So the sky is B. blue", COLOURS) == "B"
    assert letter("So the sky is B. green", COLOURS) is None
    assert letter("The answer is (E).", COLOURS) is None


def test_truth_and_limits() -> None:
    assert MultipleChoice().truth(COLOURS) == "B"
    assert MultipleChoice(n_options=3).labels(["(D)"], Problem("p", "?", "A")) == [UNSCORED]
    assert MultipleChoice().truth(Problem("p", "?", None)) is None
    with pytest.raises(ParameterError, match="n_options"):
        MultipleChoice(n_options=1)


def test_transcripts_of_the_paper() -> None:
    """All 95 final answers are read as the authors' parser read them."""
    if not (SHARED / "llama_cot.csv").exists():
        pytest.skip("shared/data is not beside the checkout")
    csv.field_size_limit(2**31 - 1)
    with (SHARED / "llama_cot.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["dataset_source"] != "MATH"]
    read = [letter(row["orig_string_ans"]) for row in rows]
    theirs = [row["orig_ans_format"].strip("()") or None for row in rows]
    assert read == theirs


def test_letters_read_by_hand() -> None:
    if not (SHARED / "mc_extraction.jsonl").exists():
        pytest.skip("shared/data is not beside the checkout")
    rows = read_lines(SHARED / "mc_extraction.jsonl")
    problems = [Problem("p", "?", None, options=("",) * (row["n_options"] or 26)) for row in rows]
    read = [letter(row["text"], problem) for row, problem in zip(rows, problems, strict=True)]
    agree = sum(a == row["letter"] for a, row in zip(read, rows, strict=True))
    assert agree / len(rows) >= 0.95
