"""Measure a trained arithmetic model: what it can do, and its card."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from critwin.problems.arithmetic import ArithmeticProblems, Story, outcomes
from critwin.problems.arithmetic_tokens import LONGEST_CHAIN
from critwin.prompt import Prompt
from critwin.samplers.language import LanguageSampler
from critwin.seeds import fold_in
from critwin.statistics import Interval, clustered_share
from experiments.language_export import weights_hash, write_files

_STATEMENT = re.compile(r"(\d+) ([-+*]) (\d+) = (\d+)")
_ANSWER = re.compile(r"The answer is (\d+)\.$")


@dataclass(frozen=True)
class Grade:
    """What is to be said of one sampled chain.

    Attributes:
        right: Whether it ends in the right answer.
        unscored: Whether it ends in no answer at all.
        error: Why it is not right: the kind of the branch taken wrong (the first one, if several),
            `arithmetic` for a false statement, `other` for anything else; None where it is right.
        written: Whether the student may write exactly this chain.
        statements: Arithmetic statements in it.
        true_statements: Those of them that are true.
    """

    right: bool
    unscored: bool
    error: str | None
    written: bool
    statements: int
    true_statements: int


def grade(story: Story, text: str) -> Grade:
    """Grade one sampled chain of a story."""
    statements = _STATEMENT.findall(text)
    true = sum(_holds(int(a), sign, int(b), int(c)) for a, sign, b, c in statements)
    ending = _ANSWER.search(text)
    right = ending is not None and int(ending[1]) == story.answer
    chain = next((o.chain for o in outcomes(story) if o.chain.text == text), None)
    error: str | None = None
    if not right:
        wrong = [choice.branch.kind for choice in chain.choices if choice.wrong] if chain else []
        error = wrong[0] if wrong else "arithmetic" if true < len(statements) else "other"
    return Grade(right, ending is None, error, chain is not None, len(statements), true)


def _holds(a: int, sign: str, b: int, c: int) -> bool:
    return c == {"+": a + b, "-": a - b, "*": a * b}[sign]


def sample_chains(
    folder: Path, questions: list[str], *, samples: int, seed: int
) -> list[list[str]]:
    """Sample chains from an exported model at temperature 1, as every experiment does.

    Args:
        folder: The exported model.
        questions: The questions.
        samples: Chains for each of them.
        seed: Folded over question and sample.

    Returns:
        For each question its chains, without special tokens.
    """
    sampler = LanguageSampler(path=str(folder), max_new_tokens=LONGEST_CHAIN)
    drawn = sampler.resample(
        sampler.start([Prompt(question) for question in questions]),
        seeds=[[fold_in(seed, question, i) for i in range(samples)] for question in questions],
    )
    return [[chain.text for chain in own] for own in drawn]


def evaluate(folder: Path, *, n_problems: int, samples: int, seed: int) -> dict[str, Any]:
    """Measure an exported model on the test split.

    Args:
        folder: The exported model.
        n_problems: Test problems.
        samples: Samples for each problem, at temperature 1.
        seed: Decides the problems and the samples.

    Returns:
        Numbers for the card; the interval of the accuracy is over problems.
    """
    stories = ArithmeticProblems(n_problems=n_problems, split="test", seed=seed).stories()
    chains = sample_chains(
        folder, [story.question for story in stories], samples=samples, seed=seed
    )
    graded = [
        [grade(story, chain) for chain in own] for story, own in zip(stories, chains, strict=True)
    ]
    grades = [g for own in graded for g in own]
    right = [sum(g.right for g in own) for own in graded]
    accuracy = cast(Interval, clustered_share(right, [samples] * n_problems))
    student = [
        sum(o.probability for o in outcomes(story) if o.chain.answer == story.answer)
        for story in stories
    ]
    statements = sum(g.statements for g in grades)
    return {
        "problems": n_problems,
        "samples_per_problem": samples,
        "accuracy": accuracy.estimate,
        "accuracy_interval": [accuracy.lower, accuracy.upper],
        "student_accuracy": sum(student) / len(student),
        "arithmetic_right": sum(g.true_statements for g in grades) / max(1, statements),
        "arithmetic_statements": statements,
        "chains_of_the_student": sum(g.written for g in grades) / len(grades),
        "unscored": sum(g.unscored for g in grades),
        "errors": dict(Counter(g.error for g in grades if g.error is not None).most_common()),
    }


def write_card(folder: Path, *, facts: dict[str, Any], measured: dict[str, Any]) -> dict[str, Any]:
    """Write `card.json` and the model card `README.md`.

    Args:
        folder: The exported model.
        facts: How it was made: settings, parameters, seconds, steps, losses.
        measured: What `evaluate` found.

    Returns:
        The content of `card.json`.
    """
    card = facts | {"measured": measured, "sha256": weights_hash(folder)}
    write_files(folder, card, _readme(card))
    return card


def _readme(card: dict[str, Any]) -> str:
    measured = card["measured"]
    lower, upper = measured["accuracy_interval"]
    errors = "\n".join(f"| {kind} | {count} |" for kind, count in measured["errors"].items())
    statements = f"{measured['arithmetic_right']:.4f} of {measured['arithmetic_statements']}"
    n_chains = measured["problems"] * measured["samples_per_problem"]
    return f"""---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---

# Embedded arithmetic model

A GPT-2 with {card["parameters"]:,} parameters that solves generated word problems with a written
chain of thought, and makes the mistakes of the careless student whose chains it was trained on.

- **Intended use**: a quick, self-contained subject for `critwin`'s experiments and tests, in which
  the places where an answer is decided are planted and known. It is of no use for other text.
- **Prompt**: `<bos>`, the question, a line break. A chain ends in "The answer is 42." and `<eos>`.
- **Data**: `critwin/problems/arithmetic.py`, drawn anew for every batch; the test split is disjoint
  from training by the structure and the numbers of a problem, whatever the names.
- **Command**: `python -m launch +exp=train_arithmetic` with seed {card["settings"]["seed"]}:
  {card["seconds"]:.0f} seconds with {card["settings"]["threads"]} CPU threads,
  {card["steps"]} steps; the weights are those of step {card["best_step"]}.
- **Weights**: half precision, safetensors, sha256 `{card["sha256"]}`.
- **Licence**: Apache-2.0.

## Measured

Sampled at temperature 1 on {measured["problems"]} test problems, {measured["samples_per_problem"]}
samples each. The interval is the 95 % one over problems of Korn and Graubard (1998).

| number | value |
|---|---|
| accuracy | {measured["accuracy"]:.3f} [{lower:.3f}, {upper:.3f}] |
| accuracy of the student itself on these problems (exact) | {measured["student_accuracy"]:.3f} |
| arithmetic statements that are true | {statements} |
| chains that the student may write, word for word | {measured["chains_of_the_student"]:.3f} |
| chains without an answer | {measured["unscored"]} of {n_chains} |
| validation loss, nats per token of the chain | {card["validation_loss"]:.4f} |
| entropy of the student, nats per token of the chain | {card["entropy"]:.4f} |

Wrong or missing answers of these {n_chains} chains, by the first branch that went wrong. `repair`
is a slip that was not noticed, `arithmetic` a false statement, and `other` anything else, mostly a
number copied wrong, in a chain that the student would not write.

| kind | count |
|---|---|
{errors}
"""
