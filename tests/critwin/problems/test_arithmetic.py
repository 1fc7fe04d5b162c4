"""The arithmetic problems: right answers, disjoint splits, planted branches, tokenizer."""

from __future__ import annotations

import math
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict

import pytest

from critwin.errors import ParameterError
from critwin.problem import PlantedBranch
from critwin.problems.arithmetic import (
    LARGEST,
    ArithmeticProblems,
    Story,
    draw_sample,
    draw_story,
    outcomes,
    write_chain,
)
from critwin.problems.arithmetic_student import random_chooser
from critwin.problems.arithmetic_tokens import sample_ids, vocabulary
from critwin.problems.word_tokens import BOS, EOS, UNKNOWN, build_tokenizer

SPLITS = ("train", "validation", "test")
# The conventions once more, read off the text of a question: pattern, then the new total.
OPENINGS = [
    (r"\w+ has (\d+) \w+ and \w+ has (\d+) more\.", lambda a, d: 2 * a + d),
    (r"\w+ has (\d+) \w+ and \w+ has (\d+) times more\.", lambda a, k: a + k * a),
    (r"\w+ has (\d+) \w+ and \w+ has (\d+) (?!more)\w+\.", lambda a, b: a + b),
    (r"\w+ has (\d+) \w+, which is (\d+) fewer than \w+ has\.", lambda a, d: 2 * a + d),
    (r"\w+ and \w+ have (\d+) bags with (\d+) \w+\.", lambda k, n: 2 * k * n),
    (r"\w+ and \w+ have (\d+) \w+\.", lambda n: 2 * n),
]
GAIN, LOSS = "(?:find|buy|get|win|borrow)", "(?:lose|sell|drop|use|lend|return)"
NAME = "(?:Ann|Ben|Tom|Eva|Max|Lea)"
EVENTS = [
    (rf"{NAME} (?:finds|has|buys) \d+ \w+\.", lambda t: t),
    (rf"{NAME} gives them (\d+) \w+ on Monday and Tuesday\.", lambda t, n: t + 4 * n),
    (rf"they {GAIN} (\d+) \w+ on Monday and Tuesday\.", lambda t, n: t + 2 * n),
    (rf"they {LOSS} (\d+) \w+ on Monday and Tuesday\.", lambda t, n: t - 2 * n),
    (rf"they {GAIN} (\d+) \w+ and {LOSS} (\d+)\.", lambda t, g, n: t + g - n),
    (rf"they {GAIN} (\d+) \w+(?: from {NAME})?\.", lambda t, n: t + n),
    (rf"they {LOSS} (\d+) \w+(?: to {NAME})?\.", lambda t, n: t - n),
]


def solve(question: str) -> int:
    """Solve a question from its text alone."""
    sentences = re.findall(r"[^.?]+[.?]", question)
    assert re.fullmatch(r" How many \w+ do they have now\?", sentences[-1])
    (total,) = [
        rule(*map(int, match.groups()))
        for pattern, rule in OPENINGS
        if (match := re.fullmatch(pattern, sentences[0]))
    ]
    for sentence in sentences[1:-1]:
        told = re.fullmatch(r" (?:Then|Later|At last) (.*)", sentence)
        assert told is not None
        (total,) = [
            rule(total, *map(int, match.groups()))
            for pattern, rule in EVENTS
            if (match := re.fullmatch(pattern, told[1]))
        ]
    return total


@pytest.fixture(scope="module")
def stories() -> list[Story]:
    """Two thousand test problems by their structure."""
    return ArithmeticProblems(n_problems=2000).stories()


def test_answers_are_those_of_the_text(stories: list[Story]) -> None:
    for story in stories:
        assert story.answer == solve(story.question), story.question
        assert 0 <= story.answer <= LARGEST


def test_load_gives_what_the_stories_say() -> None:
    problems = ArithmeticProblems(n_problems=50).load()
    stories = ArithmeticProblems(n_problems=50).stories()
    assert [p.question for p in problems] == [s.question for s in stories]
    assert [p.truth for p in problems] == [str(s.answer) for s in stories]
    assert len({p.problem_id for p in problems}) == 50
    assert ArithmeticProblems(n_problems=20).load() == problems[:20]
    assert ArithmeticProblems(n_problems=20, seed=1).load() != problems[:20]


def test_fingerprint_follows_the_content() -> None:
    prints = {
        ArithmeticProblems(n_problems=n, split=split, seed=seed).fingerprint()
        for n in (5, 6)
        for split in SPLITS
        for seed in (0, 1)
    }
    assert len(prints) == 12
    assert ArithmeticProblems(n_problems=5).fingerprint() in prints


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_problems", 0), ("n_problems", 1.5), ("split", "tset"), ("seed", -1)],
)
def test_bad_parameters_are_refused(name: str, value: object) -> None:
    with pytest.raises(ParameterError, match=name):
        ArithmeticProblems(**{name: value})  # type: ignore[arg-type]


def test_splits_are_disjoint_in_structure_and_text() -> None:
    questions: dict[str, set[str]] = {}
    structures: dict[str, set[str]] = {}
    for split in SPLITS:
        rng = random.Random(split)
        drawn = [draw_story(rng, split=split)[0] for _ in range(2000)]  # type: ignore[arg-type]
        questions[split] = {story.question for story in drawn}
        # Without names, things and verbs: numbers and sentence forms only.
        structures[split] = {
            repr([(type(step).__name__, _numbers(step)) for step in story.steps]) for story in drawn
        }
    for told in (questions, structures):
        assert not told["train"] & told["test"]
        assert not told["train"] & told["validation"]
        assert not told["validation"] & told["test"]


def _numbers(step: object) -> list[object]:
    return [value for name, value in sorted(vars(step).items()) if "verb" not in name]


def test_probabilities_of_all_chains_add_up(stories: list[Story]) -> None:
    for story in stories[:300]:
        found = outcomes(story)
        assert math.isclose(sum(o.probability for o in found), 1.0)
        assert len({o.chain.text for o in found}) == len(found)


def test_chains_are_true_and_answer_as_their_errors_say(stories: list[Story]) -> None:
    for story in stories[:500]:
        for outcome in outcomes(story):
            chain = outcome.chain
            for a, sign, b, c in re.findall(r"(\d+) ([-+*]) (\d+) = (-?\d+)", chain.text):
                by_sign = {"+": int(a) + int(b), "-": int(a) - int(b), "*": int(a) * int(b)}
                assert by_sign[sign] == int(c)
            assert chain.text.endswith(f" The answer is {chain.answer}.")
            assert (chain.answer == story.answer) == (not chain.errors)


def test_branches_are_found_where_they_were_taken(stories: list[Story]) -> None:
    for story, problem in zip(
        stories[:500], ArithmeticProblems(n_problems=500).load(), strict=True
    ):
        for outcome in outcomes(story):
            text, taken = outcome.chain.text, {c.branch: c.taken for c in outcome.chain.choices}
            assert len(taken) == len(outcome.chain.choices)
            for branch in problem.branches:
                span = branch.locate(text)
                if branch not in taken:
                    assert span is None
                    continue
                assert span is not None
                assert text[slice(*span)].rstrip(".,:") in branch.options[taken[branch]]
                option = branch.options[taken[branch]]
                begin = text.find(option)
                assert begin <= span[0] < begin + len(option)
                # Up to the deciding word some other option reads the same; with it, it differs.
                same = text[begin : span[0]]
                with_word = text[begin : span[1]]
                others = [o for o in branch.options if o != option and o.startswith(same)]
                assert any(not f"{o} ".startswith(f"{with_word} ") for o in others)


def test_options_come_as_often_as_promised() -> None:
    rng = random.Random(7)
    counts: dict[tuple[str, tuple[float, ...]], Counter[int]] = defaultdict(Counter)
    for _ in range(6000):
        _, chain = draw_sample(rng, split="train")
        for choice in chain.choices:
            counts[choice.branch.kind, choice.branch.probabilities][choice.taken] += 1
    kinds = {kind for kind, _ in counts}
    assert kinds == {"reading", "strategy", "distractor", "sign", "slip", "repair"}
    for (_, probabilities), seen in counts.items():
        n = sum(seen.values())
        for option, p in enumerate(probabilities):
            # Five standard errors of a binomial share: missed once in 1.7 million.
            assert abs(seen[option] / n - p) < 5 * math.sqrt(p * (1 - p) / n)


def test_student_is_as_careless_as_promised(stories: list[Story]) -> None:
    exact = [sum(o.probability for o in outcomes(story) if not o.chain.errors) for story in stories]
    mean = sum(exact) / len(exact)
    assert 0.70 < mean < 0.85
    hard = [p for p in exact if p < 0.5]
    # A window by the paper's rule needs a start below .5: a good share of problems has it.
    assert 0.25 < len(hard) / len(exact) < 0.5


def test_locate_prefers_the_first_of_two_options() -> None:
    branch = PlantedBranch("slip", ("we add", "we take away"), (0.5, 0.5))
    text = "Here we take away 3. Wait, here we add 3."
    span = branch.locate(text)
    assert span is not None
    assert text[slice(*span)] == "take"


def test_locate_reads_whole_words() -> None:
    branch = PlantedBranch("reading", ("have 6 each", "have 6 in all"), (0.5, 0.5))
    assert branch.locate("They have 6 eachs.") is None
    assert (
        PlantedBranch("repair", ("2 + 3. Wait", "2 + 3. Then"), (0.5, 0.5)).locate(
            "so 12 + 3. Wait"
        )
        is None
    )


def test_tokenizer_gives_back_every_text() -> None:
    tokenizer = build_tokenizer(vocabulary())
    rng = random.Random(11)
    unknown = vocabulary()[UNKNOWN]
    for split in SPLITS:
        for _ in range(1000):
            story, chain = draw_sample(rng, split=split)  # type: ignore[arg-type]
            text = f"{story.question}\n{chain.text}"
            ids, prompt = sample_ids(story.question, chain.text)
            encoded = tokenizer.encode(text)
            assert encoded.ids == ids[:-1]
            assert tokenizer.encode(story.question + "\n").ids == ids[:prompt]
            assert ids[-1] == vocabulary()[EOS]
            assert unknown not in ids
            assert tokenizer.decode(ids) == text


def test_tokenizer_maps_unknown_words() -> None:
    tokens = build_tokenizer(vocabulary()).encode("Zoë has 12 unicorns.").tokens
    assert tokens[0] == BOS
    assert tokens.count(UNKNOWN) >= 2
    assert tokens[-3:] == ["2", UNKNOWN, "."]


def test_chains_have_the_promised_length() -> None:
    rng = random.Random(5)
    lengths = []
    for _ in range(1000):
        story, found = draw_story(rng, split="test")
        chain = write_chain(story, random_chooser(rng))
        assert chain.text in {o.chain.text for o in found}
        ids, prompt = sample_ids(story.question, chain.text)
        assert prompt <= 64
        assert len(ids) - prompt <= 128
        lengths.append(len(ids))
    assert 80 < sum(lengths) / len(lengths) < 110


def test_import_is_light() -> None:
    code = (
        "import sys, critwin.problems.arithmetic_tokens\n"
        "heavy = {'torch', 'transformers', 'tokenizers', 'pandas'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
