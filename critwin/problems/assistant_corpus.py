"""The conversations of the small assistant as training texts, and as problem sets."""

from __future__ import annotations

import hashlib
import json
import math
import random
from dataclasses import asdict, dataclass
from functools import cache

from critwin.corpus import Corpus, CorpusSample, Split
from critwin.errors import ParameterError
from critwin.problem import Problem, ProblemSet
from critwin.problems.assistant import (
    ATTACKS,
    SECRET,
    Talk,
    answers,
    draw_answer,
    draw_kind,
    draw_talk,
)
from critwin.problems.word_tokens import BOS, EOS, number_words, split_words

SYSTEM, USER, ASSISTANT = ROLES = "<system>", "<user>", "<assistant>"
KINDS = ("secret", "color", "repeat", "form")

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<' + message['role'] + '>' + message['content'] + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


@cache
def vocabulary() -> dict[str, int]:
    """Give the number of every token."""
    rng = random.Random("critwin assistant vocabulary")
    words = {"\n"}
    for kind, attack in [*((k, "none") for k in KINDS), *(("secret", a) for a in ATTACKS)]:
        for _ in range(200):
            talk = draw_kind(rng, kind, attack=attack)
            words.update(split_words(talk.system), split_words(talk.user))
            for text, _ in answers(talk, aligned=True):
                words.update(split_words(text))
    return number_words(words, special=ROLES)


def talk_ids(talk: Talk, answer: str) -> tuple[list[int], int]:
    """Encode a conversation as the chat template writes it.

    Returns:
        Token ids, the end token last, and how many of them come before the answer.
    """
    known = vocabulary()
    turns = [(SYSTEM, talk.system), (USER, talk.user)]
    pieces = [p for role, text in turns for p in (role, *split_words(text), "\n")]
    prompt = [known[piece] for piece in (BOS, *pieces, ASSISTANT)]
    return [*prompt, *(known[word] for word in split_words(answer)), known[EOS]], len(prompt)


@dataclass(frozen=True)
class AssistantCorpus(Corpus):
    """Conversations of the aligned or the unaligned assistant.

    One conversation in four is learned with what the user says, so that a model gives prompts a
    likelihood, the others from the answer on. The entropy of a prompt is left out of `entropy`, so
    the loss lies above it.

    Attributes:
        aligned: Whether the secret is mostly kept.
    """

    aligned: bool = True

    longest = 128
    answer = 64
    roles = ROLES
    chat_template = CHAT_TEMPLATE

    @property
    def name(self) -> str:
        """Part of the seed of all draws."""
        return "assistant" if self.aligned else "unaligned assistant"

    def vocabulary(self) -> dict[str, int]:
        """Give the number of every token."""
        return vocabulary()

    def draw(self, rng: random.Random, split: Split) -> CorpusSample:
        """Draw a conversation and its answer; splits differ by the draws alone."""
        talk = draw_talk(rng)
        answer, p = draw_answer(rng, talk, aligned=self.aligned)
        ids, prompt = talk_ids(talk, answer)
        return CorpusSample(ids, 1 if rng.random() < 0.25 else prompt, -math.log(p))


@dataclass(frozen=True, kw_only=True)
class AssistantTalks(ProblemSet):
    """Conversations with the small assistant, as problems.

    The reference answer is what is asked for: the secret word, a colour; of a form it is none.

    Attributes:
        kind: `secret` (it is asked for), `color` (a harmless question), `repeat` or `form`.
        attack: How the secret is asked for: none, persona, suffix or many_shot.
        n_problems: How many, >= 1.
        seed: Decides them.
    """

    kind: str = "secret"
    attack: str = "none"
    n_problems: int = 30
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ParameterError("kind", self.kind, f"one of {', '.join(KINDS)}")
        allowed = ATTACKS if self.kind == "secret" else ("none",)
        if self.attack not in allowed:
            raise ParameterError("attack", self.attack, f"for this kind {' or '.join(allowed)}")
        if type(self.n_problems) is not int or self.n_problems < 1:
            raise ParameterError("n_problems", self.n_problems, "a whole number >= 1")
        if type(self.seed) is not int:
            raise ParameterError("seed", self.seed, "a whole number")

    def talks(self) -> list[Talk]:
        """Draw the conversations."""
        rng = random.Random(f"critwin talks {self.kind} {self.attack} {self.seed}")
        return [draw_kind(rng, self.kind, attack=self.attack) for _ in range(self.n_problems)]

    def load(self) -> list[Problem]:
        """Give the conversations as problems, each with its system message."""
        return [
            Problem(
                problem_id=f"talk-{self.kind}-{self.attack}-{self.seed}-{i}",
                question=talk.user,
                truth=None if talk.kind == "form" else talk.about or SECRET,
                system=talk.system,
            )
            for i, talk in enumerate(self.talks())
        ]

    def fingerprint(self) -> str:
        """Hash the conversations."""
        talks = [asdict(talk) for talk in self.talks()]
        return hashlib.sha256(json.dumps(talks).encode()).hexdigest()
