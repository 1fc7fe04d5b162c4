"""GSM8K in its upstream format; the rows are our own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from critwin.errors import ParameterError, ProblemError
from critwin.problems.gsm8k import Gsm8k

RECORDS = [
    {
        "question": f"A farmer has {n} hens and buys {n} more. How many hens are there?",
        "answer": f"There are {n}+{n}=<<{n}+{n}={2 * n}>>{2 * n} hens.\n#### {2 * n}",
    }
    for n in range(5, 25)
]


def write(path: Path, records: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return path


def test_records_become_problems(tmp_path: Path) -> None:
    thousand = {"question": "A thousand and more?", "answer": "It is so.\n#### 1,200"}
    path = write(tmp_path / "test.jsonl", [*RECORDS, thousand])
    problems = Gsm8k(path=str(path)).load()
    assert len(problems) == 21
    assert {p.truth for p in problems} == {*(str(2 * n) for n in range(5, 25)), "1200"}
    assert len({p.problem_id for p in problems}) == 21


def test_subset_is_chosen_by_content(tmp_path: Path) -> None:
    forwards = write(tmp_path / "a.jsonl", RECORDS)
    backwards = write(tmp_path / "b.jsonl", RECORDS[::-1])
    chosen = Gsm8k(path=str(forwards), limit=5).load()
    assert Gsm8k(path=str(backwards), limit=5).load() == chosen
    assert Gsm8k(path=str(forwards), limit=5, seed=1).load() != chosen
    assert Gsm8k(path=str(forwards), limit=7).load()[:5] == chosen


def test_fingerprint_is_of_the_problems_taken(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", RECORDS)
    other = write(tmp_path / "b.jsonl", RECORDS[::-1])
    assert Gsm8k(path=str(path)).fingerprint() == Gsm8k(path=str(other)).fingerprint()
    assert Gsm8k(path=str(path)).fingerprint() != Gsm8k(path=str(path), limit=3).fingerprint()


def test_byte_order_mark_blank_lines_and_repeats_are_read(tmp_path: Path) -> None:
    path = tmp_path / "bom.jsonl"
    lines = "\r\n\r\n".join(json.dumps(r) for r in [RECORDS[0], RECORDS[1], RECORDS[0]])
    path.write_bytes(b"\xef\xbb\xbf" + lines.encode())
    assert len(Gsm8k(path=str(path)).load()) == 2


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        '{"question": "lone \\ud800", "answer": "#### 3"}',
        '{"question": "x"}',
        '{"question": "x", "answer": "no mark"}',
        "[1]",
        "3",
    ],
)
def test_malformed_line_is_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "a.jsonl", RECORDS[:2])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ProblemError, match=r"a\.jsonl, line 3"):
        Gsm8k(path=str(path)).load()


def test_empty_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ProblemError, match="holds no problem"):
        Gsm8k(path=str(tmp_path / "empty.jsonl")).load()
    with pytest.raises(ParameterError, match="path"):
        Gsm8k(path=str(tmp_path / "missing.jsonl"))
    with pytest.raises(ParameterError, match="limit"):
        Gsm8k(path=str(write(tmp_path / "a.jsonl", RECORDS)), limit=0)
