"""Each benchmark from upstream's files and from the hub's columns; the rows are our own."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from critwin.errors import ParameterError, ProblemError
from critwin.problem import LETTERS, Problem, problems_table, read_problems
from critwin.problems.aqua import Aqua
from critwin.problems.arc import Arc
from critwin.problems.benchmark import Benchmark
from critwin.problems.competition_math import CompetitionMath
from critwin.problems.gsm8k import Gsm8k
from critwin.problems.logiqa import LogiQa, in_printed_order
from critwin.problems.mmlu import Mmlu
from critwin.problems.mmlu_pro import MmluPro
from critwin.problems.own_file import OwnFile
from critwin.problems.truthful_qa import TruthfulQa
from critwin.prompt import PromptTemplate

SHARED = Path(__file__).parents[4] / "shared/data"
Rows = list[dict[str, Any]]


def json_lines(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


MATH = [
    {
        "problem": f"What is $\\frac{{{n}}}{{2}}$?",
        "level": "Level 1",
        "type": "Algebra",
        "solution": rf"First \boxed{{1}}, no: $\boxed{{\frac{{\sqrt{{{n}}}}}{{2}}}}$.",
    }
    for n in (3, 5, 7)
]
AQUA = [
    {
        "question": f"{n} and {n}?",
        "options": [f"A){n}", f"B)B){2 * n}", f"C) {3 * n}", "D)None", "E)all"],
        "rationale": "It is so.",
        "correct": "B",
    }
    for n in (4, 5)
]
ARC = [
    {"stem": "Which one is hot?", "texts": ["ice", "fire", "snow"], "labels": "ABC", "key": "B"},
    {"stem": "What falls?", "texts": ["rain", "sun", "sky", "air"], "labels": "1234", "key": "1"},
    {"stem": "What flies?", "texts": ["a", "b", "c", "d", "bird"], "labels": "ABCDE", "key": "E"},
]
MMLU = [
    ("Say\n\n1. one, and two", "0.1", "2, 3", '"four"', "5", "C"),
    ("Largest?", "1", "2", "3", "4", "D"),
]
PRO = [
    {"question": "Ten?", "options": [f"{n}" for n in range(10)], "answer": "J", "category": "x"},
    {"question": "Three?", "options": ["p", "q", "r"], "answer": "A", "category": "y"},
]
TRUTH = [
    ("What is seen?", ["What there is", "Ghosts", "Nothing at all"]),
    ("Do pigs fly?", ["They do not", "They do", "On Sundays", "If pushed"]),
]


def gsm8k(folder: Path) -> tuple[Benchmark, Rows]:
    rows = [{"question": f"What is {n}?", "answer": f"So.\n#### {n},000"} for n in (1, 2, 3)]
    return Gsm8k(path=str(json_lines(folder / "test.jsonl", rows))), rows


def math(folder: Path) -> tuple[Benchmark, Rows]:
    return CompetitionMath(path=str(json_lines(folder / "math.jsonl", MATH))), MATH


def aqua(folder: Path) -> tuple[Benchmark, Rows]:
    return Aqua(path=str(json_lines(folder / "test.json", AQUA))), AQUA


def arc(folder: Path) -> tuple[Benchmark, Rows]:
    upstream, hub = [], []
    for row in ARC:
        pairs = list(zip(row["texts"], row["labels"], strict=True))
        choices = [{"text": text, "label": label} for text, label in pairs]
        question = {"stem": row["stem"], "choices": choices}
        upstream.append({"id": "i", "question": question, "answerKey": row["key"]})
        columns = {"text": list(row["texts"]), "label": list(row["labels"])}
        hub.append({"question": row["stem"], "choices": columns, "answerKey": row["key"]})
    return Arc(path=str(json_lines(folder / "ARC.jsonl", upstream))), hub


def mmlu(folder: Path) -> tuple[Benchmark, Rows]:
    (folder / "data").mkdir()
    with (folder / "data/exotic_trivia_test.csv").open("w", newline="") as file:
        csv.writer(file).writerows(MMLU)
    hub = [
        {
            "question": question,
            "subject": "exotic_trivia",
            "choices": list(options),
            "answer": LETTERS.index(letter),
        }
        for question, *options, letter in MMLU
    ]
    return Mmlu(path=str(folder / "data")), hub


def mmlu_pro(folder: Path) -> tuple[Benchmark, Rows]:
    return MmluPro(path=str(json_lines(folder / "pro.jsonl", PRO))), PRO


def logiqa(folder: Path) -> tuple[Benchmark, Rows]:
    records = [
        ("b", "Some are northern.", "Which follows?", ["A.one", "C.three", "B.two", "D.four"]),
        ("d", "All are.", "Which does not?", ["A one", "B?two", "C. three", "four"]),
    ]
    lines = [part for gold, c, q, options in records for part in ("", gold, c, q, *options)]
    (folder / "Test.txt").write_text("\r\n".join(lines), encoding="utf-8-sig", newline="")
    hub = [
        {"context": c, "query": q, "options": options, "correct_option": "abcd".index(gold)}
        for gold, c, q, options in records
    ]
    return LogiQa(path=str(folder / "Test.txt")), hub


def truthful(folder: Path) -> tuple[Benchmark, Rows]:
    records = [
        {"question": q, "mc1_targets": {text: int(i == 0) for i, text in enumerate(texts)}}
        for q, texts in TRUTH
    ]
    (folder / "mc_task.json").write_text(json.dumps(records))
    hub = [
        {"question": q, "mc1_targets": {"choices": texts, "labels": [1, *[0] * (len(texts) - 1)]}}
        for q, texts in TRUTH
    ]
    return TruthfulQa(path=str(folder / "mc_task.json")), hub


def own(folder: Path) -> tuple[Benchmark, Rows]:
    rows = [{"question": "Q?", "answer": "7"}, {"question": "R?", "answer": None}]
    return OwnFile(path=str(json_lines(folder / "own.jsonl", rows))), rows


ALL = (gsm8k, math, aqua, arc, mmlu, mmlu_pro, logiqa, truthful, own)


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_hub_and_file_give_the_same_problems_in_any_order(
    make: Callable[[Path], tuple[Benchmark, Rows]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    local, rows = make(tmp_path)
    hub = tmp_path / "hub/data"
    hub.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows[::-1]), hub / "test-00000-of-00001.parquet")
    source = {"hub": str(hub.parent), "config": None, "split": "test", "revision": None}
    remote = type(local)(**source)
    problems = local.load()
    assert remote.load() == problems
    assert len(problems) == len(rows)
    assert remote.fingerprint() == local.fingerprint()
    shuffled = type(local)(path=local.path, seed=1, limit=2).load()
    assert shuffled == type(local)(**source, seed=1, limit=2).load()
    assert {p.problem_id for p in shuffled} <= {p.problem_id for p in problems}
    assert read_problems(problems_table(problems)) == problems
    assert local.licence


def by_question(benchmark: Benchmark) -> dict[str, Problem]:
    return {problem.question: problem for problem in benchmark.load()}


def test_gold_of_math_has_balanced_braces(tmp_path: Path) -> None:
    problems = by_question(math(tmp_path)[0])
    assert problems[r"What is $\frac{3}{2}$?"].truth == r"\frac{\sqrt{3}}{2}"
    folder = tmp_path / "MATH/test/algebra"
    folder.mkdir(parents=True)
    for number, row in enumerate(MATH):
        (folder / f"{number}.json").write_text(json.dumps(row))
    again = CompetitionMath(path=str(tmp_path / "MATH"))
    assert by_question(again) == problems


def test_commas_go_and_printed_letters_too(tmp_path: Path) -> None:
    assert by_question(gsm8k(tmp_path)[0])["What is 1?"].truth == "1000"
    problem = by_question(aqua(tmp_path)[0])["4 and 4?"]
    assert problem.options == ("4", "8", "12", "None", "all")
    assert problem.truth == "B"


def test_labels_of_arc_become_letters(tmp_path: Path) -> None:
    problems = by_question(arc(tmp_path)[0])
    assert problems["What falls?"].truth == "A"
    assert problems["What flies?"].truth == "E"
    assert len(problems["Which one is hot?"].options) == 3


def test_mmlu_has_no_header_and_breaks_lines_inside_fields(tmp_path: Path) -> None:
    problems = by_question(mmlu(tmp_path)[0])
    first = problems["Say\n\n1. one, and two"]
    assert (first.truth, first.options[2], first.category) == ("C", '"four"', "exotic_trivia")


def test_gold_of_logiqa_names_the_printed_letter(tmp_path: Path) -> None:
    problems = by_question(logiqa(tmp_path)[0])
    first = problems["Some are northern. Which follows?"]
    assert first.options == ("one", "two", "three", "four")
    assert first.options[LETTERS.index(first.truth or "")] == "two"
    assert problems["All are. Which does not?"].options == ("one", "two", "three", "four")


@pytest.mark.parametrize(
    ("printed", "read"),
    [
        (["A dog", "Cats", "Birds", "Some"], ("A dog", "Cats", "Birds", "Some")),
        (["A.dog", "A cat barks", "C.x", "D.y"], ("dog", "A cat barks", "x", "y")),
        (["A one", "B two", "C three", "D four"], ("one", "two", "three", "four")),
        (["D.four", "C.three", "B.two", "A.one"], ("one", "two", "three", "four")),
        (["A.one", "A.two", "B.three", "D.four"], ("A.one", "A.two", "B.three", "D.four")),
    ],
)
def test_words_are_not_taken_for_letters(printed: list[str], read: tuple[str, ...]) -> None:
    assert in_printed_order(printed) == read


def test_right_answers_of_truthful_qa_are_anywhere(tmp_path: Path) -> None:
    """With k options in random order, each first with chance 1/k: 40 rows with 4, five sigma."""
    rows = [
        {"question": f"Q{n}?", "mc1_targets": {f"o{n} {i}": int(i == 0) for i in range(4)}}
        for n in range(200)
    ]
    path = tmp_path / "mc_task.json"
    path.write_text(json.dumps(rows))
    problems = TruthfulQa(path=str(path)).load()
    for letter in "ABCD":
        share = sum(p.truth == letter for p in problems)
        assert abs(share - 50) < 5 * (200 * 0.25 * 0.75) ** 0.5
    for problem in problems:
        assert problem.options[LETTERS.index(problem.truth or "")].endswith(" 0")
    rows = [
        {"question": q, "mc1_targets": dict(reversed(targets.items()))}
        for q, targets in ((row["question"], row["mc1_targets"]) for row in rows[::-1])
    ]
    path.write_text(json.dumps(rows))
    assert TruthfulQa(path=str(path)).load() == problems


def test_a_sheet_with_a_byte_order_mark(tmp_path: Path) -> None:
    sheet = tmp_path / "TruthfulQA.csv"
    names = "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source"
    lines = [names, 'a,b,What is seen?,What there is,"x; y",Ghosts; Nothing at all,s']
    sheet.write_text("\r\n".join(lines), encoding="utf-8-sig", newline="")
    (problem,) = TruthfulQa(path=str(sheet)).load()
    assert problem == by_question(truthful(tmp_path)[0])["What is seen?"]


def test_answers_of_ones_own_file(tmp_path: Path) -> None:
    rows = [
        {"question": f"{n}?", "answer": answer, "choices": ["red", "green", "blue"]}
        for n, answer in enumerate(["B", "(b)", "green", 1])
    ]
    path = json_lines(tmp_path / "own.jsonl", rows)
    assert {p.truth for p in OwnFile(path=str(path)).load()} == {"B"}


def test_lists_of_prompts_have_columns_of_their_own(tmp_path: Path) -> None:
    """As others publish them: a header, CRLF, a column without a name; ours are harmless."""
    sheet = tmp_path / "prompts.csv"
    text = ',goal,target\r\n0,"Say the word, please",Sure\r\n1,"Two\r\nlines",\r\n'
    sheet.write_text(text, encoding="utf-8-sig", newline="")
    columns = {"question_column": "goal", "answer_column": "target"}
    problems = by_question(OwnFile(path=str(sheet), **columns))
    assert {q: p.truth for q, p in problems.items()} == {
        "Say the word, please": "Sure",
        "Two\nlines": None,
    }
    none = OwnFile(path=str(sheet), question_column="goal", answer_column=None)
    assert {p.truth for p in none.load()} == {None}
    rows = [{"goal": q, "target": p.truth} for q, p in problems.items()]
    twin = OwnFile(path=str(json_lines(tmp_path / "prompts.jsonl", rows)), **columns)
    assert twin.fingerprint() == OwnFile(path=str(sheet), **columns).fingerprint()
    assert OwnFile.execution >= set(columns)
    with pytest.raises(ProblemError, match=r"prompts\.csv, line 2.*\{\"question\".*found question"):
        OwnFile(path=str(sheet)).load()


BAD: list[tuple[type[Benchmark], Any, str]] = [
    (Gsm8k, {"question": "x", "answer": "no mark"}, "####"),
    (CompetitionMath, {"problem": "x", "solution": r"\boxed{1"}, "boxed"),
    (Aqua, {"question": "x", "options": ["B)1", "A)2"], "correct": "A"}, "order of the letters"),
    (Aqua, {"question": "x", "options": ["A)1", "B)2"], "correct": "C"}, "one of its 2 options"),
    (MmluPro, {"question": "x", "options": "ab", "answer": "A"}, "options"),
    (Arc, {"question": "x", "answerKey": "A"}, "choices"),
    (OwnFile, {"question": "x", "answer": "purple", "options": ["red", "blue"]}, "purple"),
    (OwnFile, {"question": "", "answer": "1"}, "question"),
    (OwnFile, {"question": "x", "answer": True}, "True"),
]


@pytest.mark.parametrize(("kind", "row", "said"), BAD)
def test_a_malformed_record_is_named(
    kind: type[Benchmark], row: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = json_lines(tmp_path / "bad.jsonl", [row])
    with pytest.raises(ProblemError, match=r"bad\.jsonl, line 1") as error:
        kind(path=str(path)).load()
    assert said in str(error.value)


def test_malformed_files_are_refused(tmp_path: Path) -> None:
    short = tmp_path / "Test.txt"
    short.write_text("\nb\ncontext\nquestion\nA.1\nB.2\nC.3\n")
    with pytest.raises(ProblemError, match=r"Test\.txt, line 2"):
        LogiQa(path=str(short)).load()
    sheet = tmp_path / "x_test.csv"
    sheet.write_text("q,1,2,3,4,A\nq,1,2,A\n")
    with pytest.raises(ProblemError, match=r"x_test\.csv, line 2 has 4 fields"):
        Mmlu(path=str(sheet)).load()
    with pytest.raises(ParameterError, match="path"):
        Arc(path=str(tmp_path / "none.jsonl"))
    with pytest.raises(ParameterError, match="hub"):
        OwnFile()


def test_a_hub_that_cannot_be_reached_says_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("no network\nat all")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(ProblemError, match=r"openai/gsm8k \(main, test\).*no network.*path=FILE"):
        Gsm8k().load()


def test_prompts_show_lettered_options() -> None:
    problem = Problem("p", "Which?", "A", options=("{letter} red", "blue"))
    assert PromptTemplate().render(problem).user == "Which?\n (A) {letter} red\n (B) blue"
    placed = PromptTemplate(template="{options}\n{question}!", option="{letter}={text};")
    assert placed.render(problem).user == "A={letter} red;B=blue;\nWhich?!"
    with pytest.raises(ParameterError, match="option"):
        PromptTemplate(option="{text}")


UPSTREAM: list[tuple[Benchmark | Any, str, int]] = [
    (Gsm8k, "gsm8k_test.jsonl", 200),
    (CompetitionMath, "math500_test.jsonl", 200),
    (Aqua, "aqua_test.json", 200),
    (Arc, "ARC-Challenge-Test.jsonl", 200),
    (Mmlu, "mmlu/test", 200),
    (MmluPro, "mmlu_pro_test.jsonl", 200),
    (TruthfulQa, "truthfulqa_mc_task.json", 200),
    (TruthfulQa, "TruthfulQA.csv", 200),
]


@pytest.mark.parametrize(("kind", "name", "count"), UPSTREAM)
def test_real_samples(kind: type[Benchmark], name: str, count: int) -> None:
    if not (SHARED / name).exists():
        pytest.skip("shared/data is not beside the checkout")
    problems = kind(path=str(SHARED / name)).load()
    assert len(problems) == count
    assert all(p.truth in LETTERS[: len(p.options)] for p in problems if p.options)
