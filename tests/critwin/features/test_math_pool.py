"""Grading under a time limit: what hangs is killed and has no verdict, what follows is graded."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from critwin.errors import CritwinError
from critwin.feature import UNSCORED
from critwin.features import math_answer, math_worker
from critwin.features.math_answer import MathAnswer
from critwin.features.math_pool import COMMAND, GradingPool, Process
from critwin.problem import Problem

SHARED = Path(__file__).parents[4] / "shared/data"


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().split("\n") if line]


STUB = """
import json, os, sys, time
print('"ready"', flush=True)
for line in sys.stdin:
    (word,) = json.loads(line)
    if word == "hang":
        while True: pass
    if word == "sleep":
        time.sleep(1000)
    if word == "die":
        os._exit(1)
    print(json.dumps([word, os.getpid()]), flush=True)
"""


@pytest.fixture
def stub(tmp_path: Path) -> list[str]:
    path = tmp_path / "stub.py"
    path.write_text(STUB)
    return [sys.executable, str(path)]


def test_what_hangs_or_dies_has_no_verdict_and_the_rest_has(stub: list[str]) -> None:
    pool = GradingPool(stub, processes=1, processor_seconds=0.5, seconds=3)
    try:
        words = ["a", "hang", "b", "sleep", "c", "die", "d"]
        replies = pool.ask([[word] for word in words])
        assert [reply and reply[0] for reply in replies] == ["a", None, "b", None, "c", None, "d"]
        by_process = [reply[1] for reply in replies if reply]
        assert len(set(by_process)) == 4  # started again after each of them
    finally:
        pool.close()


def test_a_batch_is_shared_and_keeps_its_order(stub: list[str]) -> None:
    pool = GradingPool(stub, processes=3)
    try:
        replies = pool.ask([[str(n)] for n in range(200)])
        assert [reply[0] for reply in replies] == [str(n) for n in range(200)]
        assert len({reply[1] for reply in replies}) > 1
    finally:
        pool.close()


def test_a_process_that_does_not_start_is_told() -> None:
    with pytest.raises(CritwinError, match="does not start"):
        GradingPool([sys.executable, "-c", "pass"], processes=1).ask([["a"]])


def test_signals_that_are_meant_for_the_run_cost_no_verdict() -> None:
    """SLURM sends its warnings, and the ends of its jobs, to every process of a job."""
    process = Process(COMMAND, 60, 120)
    others = set(psutil.Process().children())
    try:
        assert process.ask(["equal", "#### 2", "#### 2"]) is True
        (mine,) = (each.pid for each in set(psutil.Process().children()) - others)
        for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT, signal.SIGHUP):
            os.kill(mine, number)
        assert process.ask(["equal", "#### 2", "#### 3"]) is False
        assert psutil.pid_exists(mine)
    finally:
        process.close()


def test_a_process_that_is_killed_while_it_starts_is_started_again(tmp_path: Path) -> None:
    killed = "import os, pathlib, signal\n" + (
        f"path = pathlib.Path({str(tmp_path / 'killed')!r})\n"
        "if not path.exists(): path.touch(); os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    script = tmp_path / "stub.py"
    script.write_text(killed + STUB)
    process = Process([sys.executable, str(script)], 5, 30)
    try:
        assert process.ask(["a"])[0] == "a"
        assert (tmp_path / "killed").exists()
    finally:
        process.close()


def test_the_worker_gives_up_in_time_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever math-verify makes of being interrupted: there is no verdict."""

    def endless(reference: str, answer: str) -> bool:
        try:
            while True:
                time.process_time()
        except BaseException:  # noqa: BLE001  a library that swallows the alarm and says unequal
            return False

    monkeypatch.setattr(math_worker, "equal", endless)
    began = time.process_time()
    assert math_worker.answer_within(["equal", "a", "b"], 0.3) is None
    assert time.process_time() - began < 30
    monkeypatch.setattr(math_worker, "equal", lambda a, b: 1 / 0)
    assert math_worker.answer_within(["equal", "a", "b"], 5) is None


def test_an_answer_without_a_verdict_is_unscored(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late:
        def ask(self, requests: list[list[str]]) -> list[object]:
            return [None if "slow" in request[1] else ["1/2", False] for request in requests]

    monkeypatch.setattr(math_answer, "grading_pool", Late)
    problem = Problem("late", "?", r"\sqrt{77}")
    texts = [r"\boxed{slow}", r"\boxed{\frac{1}{2}}"]
    assert MathAnswer().labels(texts, problem) == [UNSCORED, "1/2"]


def test_labels_are_normal_forms() -> None:
    problem = Problem("p", "?", "5")
    ways = [
        (r"\boxed{\sqrt{12}}", r"\boxed{2\sqrt{3}}"),
        (r"\boxed{(x+1)^2}", r"\boxed{x^2+2x+1}"),
        (r"\boxed{\frac{x+2}{7}}", r"\boxed{\frac{x}{7}+\frac{2}{7}}"),
        (r"\boxed{(1, 4.5)}", r"\boxed{(1, \frac{9}{2})}"),
        (r"\boxed{\frac{1}{\sqrt{2}}}", r"\boxed{\frac{\sqrt{2}}{2}}"),
    ]
    for one, other in ways:
        first, second = MathAnswer().labels([one, other], problem)
        assert first == second != UNSCORED, one


def test_conflicts_of_a_grader_that_is_not_transitive() -> None:
    r"""`28%` and `28` pass for `28\%`, `0.28` does not, though it is `28%`; `12` takes no part."""
    problem = Problem("p", "?", r"28\%")
    texts = [rf"The answer is {said}." for said in ("28%", "28", "0.28", "12")]
    assert MathAnswer().labels(texts, problem) == ["28", "28", "7/25", "12"]
    (conflict,) = MathAnswer().conflicts(texts, problem)
    assert conflict.held_equal
    assert conflict.labels == ("28", "7/25")
    assert "28%" in conflict.first
    assert "0.28" in conflict.second


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\boxed{2} and \boxed{3}", "{2, 3}"),
        (r"\boxed{1}. Then \boxed{\frac{\sqrt{3}}{2}}", "sqrt(3)/2"),
        ("Therefore, the probability is 2/3.", "2/3"),
        ("Therefore, the probability is about the sam", UNSCORED),
        ("We add 3. The sum so far is 12", UNSCORED),
        ("<think>The answer is 3.</think>The answer is 4.", "4"),
        ("The answer is 7.<|eot_id|><|start_header_id|>user<|end_header_id|> The answer is?", "7"),
    ],
)
def test_where_the_answer_stands(text: str, expected: str) -> None:
    (label,) = MathAnswer().labels([text], Problem("p", "?", None))
    assert label == expected


def test_verdicts_of_other_graders() -> None:
    if not (SHARED / "math_equivalence.jsonl").exists():
        pytest.skip("shared/data is not beside the checkout")
    rows = read_lines(SHARED / "math_equivalence.jsonl")
    rows = [row for row in rows if not row["doubtful"]]
    feature = MathAnswer()
    texts = [
        row["pred"] if row["kind"] == "text" else feature.announce(row["pred"]) for row in rows
    ]
    problems = [Problem(str(n), "", row["gold"]) for n, row in enumerate(rows)]
    labels = feature.labels_of([([t], p) for t, p in zip(texts, problems, strict=True)])
    agree = sum(
        (label == feature.truth(problem)) == row["equal"]
        for (label,), problem, row in zip(labels, problems, rows, strict=True)
    )
    assert agree / len(rows) >= 0.97
