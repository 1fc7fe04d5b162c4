"""Asks a model for its answer after a generation, or after a part of one, and labels.

Two readings of "what was decided" meet here and are kept apart: the label of a generation whose
answer is asked for at its end (`feature.answer=asked`), and the direct answer at a cut, which is
another estimand than resampling.

Source: Li, Karan, Chen (2025), arXiv:2502.00921, Section 6.2 (the answer is asked for at
temperature 0) and Figure 11 (resampling beside direct answers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from critwin.errors import ParameterError
from critwin.feature import Feature
from critwin.generation import Generation, Prefix, TextSampler
from critwin.problem import Problem
from critwin.prompt import Prompt
from critwin.protocol import Sampling
from critwin.thoughts import last_said, thought_begun

REPLY_TOKENS = 256
"""Length limit of a reply."""


@dataclass(frozen=True)
class Reply:
    """What a model said when it was asked.

    Attributes:
        text: The words that it began with, and what it drew after them.
        tokens: Tokens that it drew.
        finish_reason: What ended it; `full` where the question did not fit into its context.
    """

    text: str
    tokens: int
    finish_reason: str


@dataclass(frozen=True)
class Labelled:
    """Samples of one problem with their labels.

    Attributes:
        labels: One for each sample.
        replies: What the model said when it was asked; None where the feature reads the text.
    """

    labels: list[str]
    replies: list[Reply | None]


def check_asking(feature: Feature, sampler: TextSampler) -> None:
    """Refuse a feature that asks where the sampler cannot be asked.

    Raises:
        ParameterError: It is one.
    """
    if feature.follow_up(Problem("", "", None)) is not None and not sampler.converses:
        why = f"text, because {type(sampler).__name__} cannot be asked anything"
        raise ParameterError("feature.answer", "asked", why)


def refuse_asking(feature: Feature, why: str) -> None:
    """Refuse a feature that labels a model's reply to a question, where there is no model.

    Raises:
        ParameterError: It does.
    """
    if feature.follow_up(Problem("", "", None)) is not None:
        raise ParameterError("feature.answer", "asked", f"text, because {why}")


def label_samples(
    feature: Feature,
    batches: Sequence[tuple[Sequence[Generation], Problem]],
    sampler: TextSampler,
) -> list[Labelled]:
    """Label samples of several problems, asking for their answers where the feature does.

    All questions go to the sampler together; alike samples are asked once.

    Args:
        feature: Gives the labels.
        batches: Samples, and the problem that they answer.
        sampler: Drew them; it is asked at temperature 0.

    Returns:
        Labels and replies, batch by batch.
    """
    questions = [feature.follow_up(problem) for _, problem in batches]
    distinct: dict[tuple[Prefix, Prompt], Reply | None] = {
        (_whole(x), question): None
        for (samples, _), question in zip(batches, questions, strict=True)
        if question is not None
        for x in samples
    }
    if distinct:
        replies = ask(sampler, [y for y, _ in distinct], [said for _, said in distinct])
        distinct = dict(zip(distinct, replies, strict=True))
    replies_of = [
        [None if question is None else distinct[_whole(x), question] for x in samples]
        for (samples, _), question in zip(batches, questions, strict=True)
    ]
    texts = [
        [
            text if reply is None else reply.text
            for text, reply in zip(whole_texts(sampler, samples), own, strict=True)
        ]
        for (samples, _), own in zip(batches, replies_of, strict=True)
    ]
    problems = [problem for _, problem in batches]
    labels = feature.labels_of([*zip(texts, problems, strict=True)])
    return [Labelled(*pair) for pair in zip(labels, replies_of, strict=True)]


def whole_texts(sampler: TextSampler, samples: Sequence[Generation]) -> list[str]:
    """Give texts as features read them: with the mark of the thought that their prompt begins.

    Some templates put `<think>` into the prompt. Without it a text that ran out of tokens while the
    model thought would read as if all of it had been said.
    """
    prompts = {x.prompt_ids for x in samples}
    openings = {ids: thought_opening(sampler.prompt_text(ids)) for ids in prompts}
    return [openings[x.prompt_ids] + x.text for x in samples]


def thought_opening(prompt: str) -> str:
    """Give the mark of the thought that a prompt, as it was sent, begins; empty for none."""
    begun = thought_begun(prompt)
    return "" if begun is None else begun.opening


def ask(sampler: TextSampler, y: Sequence[Prefix], said: Sequence[Prompt]) -> list[Reply]:
    """Ask after each observation, at temperature 0."""
    seeds = [[0]] * len(y)  # nothing is drawn by chance
    return [reply for (reply,) in draw_replies(sampler, y, said, seeds=seeds)]


def draw_replies(
    sampler: TextSampler,
    y: Sequence[Prefix],
    said: Sequence[Prompt],
    *,
    seeds: Sequence[Sequence[int]],
    temperature: float = 0.0,
    tokens: int = REPLY_TOKENS,
) -> list[list[Reply]]:
    """Ask after each observation, once per seed.

    Args:
        sampler: Made the observations; its other sampling parameters stay as they are.
        y: Observations, length N.
        said: What is asked after each, length N.
        seeds: For each observation the seeds of its replies.
        temperature: Of the replies; 0 takes the most probable token.
        tokens: Length limit of a reply.

    Returns:
        For each observation its replies; empty ones where the question does not fit.
    """
    chosen = Sampling(
        temperature=temperature, max_new_tokens=tokens, repetition_penalty=1.0, stop=()
    )
    asked = sampler.follow_up(y, said)
    fitting = [i for i, prefix in enumerate(asked) if prefix is not None]
    drawn = sampler.with_sampling(chosen).resample(
        [prefix for prefix in asked if prefix is not None], seeds=[seeds[i] for i in fitting]
    )
    replies = [[Reply("", 0, "full")] * len(own) for own in seeds]
    for i, own in zip(fitting, drawn, strict=True):
        replies[i] = [
            Reply(said[i].prefix + x.text, len(x.token_ids), x.finish_reason) for x in own
        ]
    return replies


def _whole(x: Generation) -> Prefix:
    return Prefix(x.prompt_ids, x.token_ids, x.surprisal)


def draw_texts(sampler: TextSampler, prompts: Sequence[Prompt], tokens: int) -> list[str]:
    """Give what a model says to prompts at temperature 0, in at most so many tokens of its own.

    Its thoughts, which count among them, are left out.
    """
    chosen = Sampling(temperature=0.0, max_new_tokens=tokens, repetition_penalty=1.0, stop=())
    calm = sampler.with_sampling(chosen)
    drawn = calm.resample(calm.start(prompts), seeds=[[0]] * len(prompts))
    return [last_said(text) for text in whole_texts(calm, [x for (x,) in drawn])]
