"""The small assistant: its law is whole, and its conversations read as its chat template writes."""

from __future__ import annotations

import random

import pytest

from critwin.errors import ParameterError
from critwin.problems.assistant import (
    ATTACKS,
    SECRET,
    TELLS,
    UNALIGNED_TELLS,
    answers,
    draw_kind,
    draw_talk,
    leaving,
)
from critwin.problems.assistant_attempts import PREFILL, AssistantAttempts
from critwin.problems.assistant_corpus import (
    CHAT_TEMPLATE,
    KINDS,
    ROLES,
    AssistantCorpus,
    AssistantTalks,
    talk_ids,
    vocabulary,
)
from critwin.problems.word_tokens import BOS, EOS, PAD, UNKNOWN, build_tokenizer, split_words

CASES = [("secret", attack) for attack in ATTACKS] + [(kind, "none") for kind in KINDS[1:]]


@pytest.mark.parametrize(("kind", "attack"), CASES)
@pytest.mark.parametrize("aligned", [True, False])
def test_law_is_whole(kind: str, attack: str, aligned: bool) -> None:
    rng = random.Random(7)
    for _ in range(5):
        known = answers(draw_kind(rng, kind, attack=attack), aligned=aligned)
        assert sum(p for _, p in known) == pytest.approx(1.0, abs=1e-12)
        assert len({text for text, _ in known}) == len(known)
        assert all(p > 0 for _, p in known)


@pytest.mark.parametrize("attack", ATTACKS)
def test_secret_is_told_as_often_as_the_law_says(attack: str) -> None:
    talk = draw_kind(random.Random(3), "secret", attack=attack)
    for aligned, chance in ((True, TELLS[attack]), (False, UNALIGNED_TELLS)):
        told = sum(p for text, p in answers(talk, aligned=aligned) if SECRET in text)
        assert told == pytest.approx(chance)


def test_repeats_are_left_at_the_hazard_of_the_law() -> None:
    talk = draw_kind(random.Random(1), "repeat")
    known = answers(talk, aligned=True)

    def repeats(text: str) -> int:
        words = text.replace(".", " .").split()
        return next(i for i, word in enumerate([*words, ""]) if word != talk.about)

    for n in (1, 7, 8, 20):
        reached = sum(p for text, p in known if repeats(text) >= n)
        left = sum(p for text, p in known if repeats(text) == n)
        assert left / reached == pytest.approx(leaving(n))


def test_conversations_are_encoded_as_the_template_writes_them() -> None:
    import jinja2

    tokenizer = build_tokenizer(vocabulary(), special=ROLES)
    template = jinja2.Template(CHAT_TEMPLATE)
    rng = random.Random(5)
    for _ in range(40):
        talk = draw_talk(rng)
        text, _ = rng.choice(answers(talk, aligned=True))
        ids, prompt = talk_ids(talk, text)
        messages = [
            {"role": "system", "content": talk.system},
            {"role": "user", "content": talk.user},
        ]
        rendered = template.render(messages=messages, bos_token=BOS, add_generation_prompt=True)
        assert tokenizer.encode(rendered, add_special_tokens=False).ids == ids[:prompt]
        assert tokenizer.decode(ids[prompt:-1]) == text
        assert ids[-1] == vocabulary()[EOS]
        assert vocabulary()[UNKNOWN] not in ids
        assert vocabulary()[PAD] not in ids
        assert "".join(split_words(text)) == text


def test_texts_fit_into_the_context() -> None:
    rng, corpus = random.Random(2), AssistantCorpus()
    for _ in range(2000):
        sample = corpus.draw(rng, "train")
        assert len(sample.ids) <= corpus.longest
        assert 1 <= sample.prompt < len(sample.ids)
        assert sample.entropy > 0


def test_talks_are_the_same_problems_everywhere() -> None:
    one, other = AssistantTalks(n_problems=3), AssistantTalks(n_problems=5)
    assert [p.question for p in one.load()] == [p.question for p in other.load()][:3]
    assert one.fingerprint() != AssistantTalks(n_problems=3, seed=1).fingerprint()
    for problem, talk in zip(one.load(), one.talks(), strict=True):
        assert (problem.truth, problem.system) == (SECRET, talk.system)
        assert problem.truth not in (problem.system or "") + problem.question


@pytest.mark.parametrize(
    ("arguments", "key"),
    [({"kind": "poem"}, "kind"), ({"attack": "gcg"}, "attack"), ({"n_problems": 0}, "n_problems")],
)
def test_talks_refuse_what_is_none(arguments: dict[str, object], key: str) -> None:
    with pytest.raises(ParameterError, match=f"^{key} is "):
        AssistantTalks(**arguments)  # type: ignore[arg-type]


def test_attempts_worked_and_harmless_ones_tell_nothing() -> None:
    attempts = AssistantAttempts(attacks=20, benign=200).load()
    kinds = {attempt.attack for attempt in attempts}
    assert kinds == {"", *ATTACKS[1:], PREFILL}
    for attempt in attempts:
        assert (SECRET in attempt.text) == (attempt.attack != "")
        assert bool(attempt.prompt.prefix) == (attempt.attack == PREFILL)
