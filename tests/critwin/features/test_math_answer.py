"""Reading the final answer of a solution."""

from __future__ import annotations

import time

import pytest

from critwin.feature import UNSCORED
from critwin.features.correctness import Correctness
from critwin.features.final_word import FinalWord
from critwin.features.math_answer import MathAnswer
from critwin.problem import Problem


def label(text: str, truth: str | None = None, *, anywhere: bool = False) -> str:
    problem = Problem(problem_id="p", question="?", truth=truth)
    return MathAnswer(anywhere=anywhere).labels([text], problem)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So 3 + 4 = 7. The answer is 7.", "7"),
        ("The answer is 007", "7"),
        ("The answer is -12.", "-12"),
        ("#### 1,234", "1234"),
        ("The answer is 5. Wait, the answer is 6.", "6"),
        (r"so we get $\boxed{\frac{3}{4}}$.", "3/4"),
        (r"The answer is $0.75$", "3/4"),
        (r"Therefore \boxed{x^2 + 1}", "x**2 + 1"),
        ("The answer is 12 apples.", "12"),
        ("Answer: 9", "9"),
        ("The answer is 35, so add: 35 + 4 = 39.", "35"),
        ("The answer is 1,234.", "1234"),
        ("The answer is 3.5", "7/2"),
        ("The answer is 3/4.", "3/4"),
        ("The answer is $2^{10}$", "1024"),
        ("The answer is $5^2$.", "25"),
        ("#### 10^3", "1000"),
        ("The answer is $3!$", "6"),
        (r"\boxed{\sqrt{16}}", "4"),
        (r"\boxed{2 \cdot 512}", "1024"),
        (r"\boxed{\frac{2^{3}}{4}}", "2"),
        (r"\boxed{4^{-1/2}}", "1/2"),
        ("The answer is 50%", "1/2"),
        (r"\boxed{\sqrt{2}}", "sqrt(2)"),
        (r"\boxed{10^{10^{10}}}", "10**(10**10)"),
        (r"\boxed{9^{9^9}}", "9**(9**9)"),
        (r"\boxed{100000!}", "factorial(100000)"),
        (r"\boxed{\frac10}", UNSCORED),
        (r"\boxed{0^0/0}", UNSCORED),
        ("We have 3 apples and 4 pears", UNSCORED),  # nothing announced: the 4 is no answer
        ("The answer is not 7", UNSCORED),
        ("", UNSCORED),
        ("The answer is", UNSCORED),
    ],
)
def test_announced_answers(text: str, expected: str) -> None:
    assert label(text) == expected


def test_anywhere_takes_the_last_number() -> None:
    assert label("We have 3 apples and 4 pears", anywhere=True) == "4"


@pytest.mark.parametrize(
    ("truth", "text"),
    [
        (r"\frac{1}{2}", "the answer is 0.5"),
        ("1/2", r"\boxed{\dfrac12}"),
        (r"2\sqrt{3}", r"\boxed{\sqrt{12}}"),
        (r"(1, 2)", r"The final answer is $(1,2)$"),
        ("x+1", r"\boxed{1+x}"),
        ("18", "The answer is 18.0"),
        ("1024", "The answer is $2^{10}$"),
        ("7 dollars", "The answer is 7 dollars"),
        ("7 dollars", "The answer is $7."),
        (r"\log_2 8", r"\boxed{3}"),
    ],
)
def test_equal_answers_get_the_label_of_the_truth(truth: str, text: str) -> None:
    problem = Problem(problem_id="p", question="?", truth=truth)
    assert MathAnswer().labels([text], problem) == [MathAnswer().truth(problem)]


def test_label_does_not_depend_on_the_batch() -> None:
    problem = Problem(problem_id="p", question="?", truth="2")
    texts = ["the answer is 2", r"\boxed{4/2}", "the answer is 3", "nothing", r"\boxed{y}"]
    together = MathAnswer().labels(texts, problem)
    assert together == [MathAnswer().labels([text], problem)[0] for text in texts]
    assert together == ["2", "2", "3", UNSCORED, "y"]


def test_whole_numbers_take_no_time() -> None:
    """The short way gives what math-verify gives, without importing it."""
    problem = Problem(problem_id="p", question="?", truth="7")
    texts = [f"{i}. The answer is {i % 50}." for i in range(20_000)]
    began = time.process_time()
    labels = MathAnswer().labels(texts, problem)
    assert labels == [str(i % 50) for i in range(20_000)]
    assert time.process_time() - began < 5  # a hang, not a benchmark: it takes .1


def test_correctness_compares_with_the_truth() -> None:
    problem = Problem(problem_id="p", question="?", truth="1/2")
    feature = Correctness(of=MathAnswer())
    texts = ["the answer is 0.5", "the answer is 5", "no idea"]
    assert feature.labels(texts, problem) == ["right", "wrong", UNSCORED]
    assert feature.truth(problem) == "right"
    open_question = Problem(problem_id="p", question="?", truth=None)
    assert feature.labels(texts, open_question) == [UNSCORED] * 3
    assert feature.truth(open_question) is None


def test_final_word() -> None:
    problem = Problem(problem_id="p", question="?", truth=None)
    assert FinalWord().labels([" ? ? 1", " ", "2"], problem) == ["1", UNSCORED, "2"]
