"""Cuts are made in token ids: decode and encode never move one, whatever the tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from critwin.generation import Generation, truncate
from critwin.prompt import Prompt
from critwin.samplers.chat_text import ChatText
from critwin.samplers.server_text import ServedText
from critwin.samplers.token_law import Drawn, Request
from critwin.samplers.token_sampler import TokenSampler
from tests.conftest import CHAT

SPECIAL = ["<s>", "</s>", "<|user|>", "<|system|>", "<|assistant|>", "<|channel|>"]
ALPHABET = [*"aab bc  déß漢字🙂\n.,1\u0301", "<s>", "<|channel|>", "</s>", "<think>", "</think>"]
CORPUS = ["abc abcd bcd ab  ab\n", "dé déß 漢字漢 🙂🙂 ab. ab,1", "<think>ab</think>"] * 3


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def unigram() -> Tokenizer:
    """A sentencepiece model: words begin with a mark, unknown characters are written as bytes."""
    byte_pieces = [(f"<0x{i:02X}>", -20.0) for i in range(256)]
    pieces = [("<unk>", 0.0), *((name, 0.0) for name in SPECIAL), *byte_pieces]
    words = ["▁", "▁ab", "ab", "abc", "▁abcd", "c", "a", "b", "d", "é", "漢", "字漢", ".", ","]
    pieces += [(word, -2.0 - 0.1 * i) for i, word in enumerate(words)]
    tokenizer = Tokenizer(models.Unigram(pieces, 0, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(replacement="▁", prepend_scheme="first")]
    )
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def words() -> Tokenizer:
    names = [*SPECIAL, "?", *"abcd", "ab", "déß", "漢字", "."]
    tokenizer = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, "?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+|\W"), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


KINDS: dict[str, Callable[[], Tokenizer]] = {
    "byte_level": byte_level,
    "unigram": unigram,
    "words": words,
}


@pytest.fixture(params=list(KINDS), scope="module")
def tokenizer(request: pytest.FixtureRequest) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=KINDS[request.param](),
        bos_token="<s>",
        eos_token="</s>",
        chat_template=CHAT,
    )


@dataclass(frozen=True, kw_only=True)
class Scripted(TokenSampler):
    """Notes the token ids that it is asked to continue, and adds one of its own."""

    path: str = "a/b"
    tokenizer: Any = None
    asked: list[Request] = field(default_factory=list)

    end_ids = (1,)
    context = 10_000

    @property
    def chat(self) -> ChatText:
        return ChatText(self.tokenizer, self.chat_arguments, self.opening, self.shown)

    def fingerprint(self) -> str:
        return ""

    def paths(self, x: Sequence[Generation]) -> Any:
        raise NotImplementedError

    def decode(self, requests: Sequence[Request]) -> list[list[Drawn]]:
        self.asked.extend(requests)
        return [[Drawn((1,), (0.0,), "end") for _ in request.seeds] for request in requests]


def random_text(rng: np.random.Generator) -> str:
    return "".join(rng.choice(ALPHABET, size=rng.integers(1, 12)))


def random_generation(sampler: Scripted, rng: np.random.Generator) -> Generation:
    """Tokens as a model may draw them: any of the vocabulary, in any order, a text's or not."""
    system = random_text(rng) if rng.random() < 0.5 else None
    prompt = Prompt(random_text(rng), system=system, prefix=random_text(rng))
    prompt_ids = sampler.chat.render(prompt)
    ids = tuple(rng.integers(0, len(sampler.tokenizer), size=8).tolist())
    if rng.random() < 0.5:
        text = random_text(rng)
        ids = tuple(sampler.tokenizer(text, add_special_tokens=False)["input_ids"]) or ids
    return Generation(prompt_ids, ids, (0.5,) * len(ids), sampler.text(ids), "end")


def test_what_is_continued_is_what_was_kept(tokenizer: Any) -> None:
    """Also where the text of a prefix reads as other tokens: that such cuts occur is counted."""
    sampler = Scripted(tokenizer=tokenizer)
    rng = np.random.default_rng(7)
    moved = 0
    for _ in range(60):
        x = random_generation(sampler, rng)
        for level in range(len(x.token_ids)):
            (cut,) = sampler.observe([x], [level], seeds=[0])
            ((y,),) = sampler.resample([cut], seeds=[[0]])
            asked = sampler.asked.pop()
            assert asked.prompt_ids == x.prompt_ids
            assert asked.sample_ids[: asked.kept] == x.token_ids[:level]
            assert y.token_ids == (*x.token_ids[:level], 1)
            assert y.prompt_ids == x.prompt_ids
            assert y.surprisal[:level] == x.surprisal[:level]
            text = tokenizer.decode(list(x.token_ids[:level]))
            read = tokenizer(text, add_special_tokens=False)["input_ids"]
            moved += tuple(read) != x.token_ids[:level]
    assert moved > 100, "cutting the text would have moved cuts"


def test_a_prompt_is_the_template_and_what_the_turn_begins_with(tokenizer: Any) -> None:
    rng = np.random.default_rng(8)
    chat = ChatText(tokenizer, {}, "<think>", ())
    for _ in range(50):
        prompt = Prompt(random_text(rng), system=random_text(rng), prefix=random_text(rng))
        text = (
            f"<s><|system|>{prompt.system}</s><|user|>{prompt.user}</s><|assistant|>"
            f"<think>{prompt.prefix}"
        )
        assert chat.render(prompt) == tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def test_shown_tokens_stay_in_the_text_and_others_do_not(tokenizer: Any) -> None:
    rng = np.random.default_rng(9)
    plain, shown = (ChatText(tokenizer, {}, "", names) for names in ((), ("<|channel|>",)))
    begin, end, channel = tokenizer.convert_tokens_to_ids(["<s>", "</s>", "<|channel|>"])
    for _ in range(50):
        ids = rng.integers(len(SPECIAL) + 1, len(tokenizer), size=6).tolist()
        around = [begin, *ids[:3], channel, *ids[3:], end]
        assert plain.text(around) == plain.text(ids)
        assert "<|channel|>" in shown.text(around)
        assert "</s>" not in shown.text(around)
        assert shown.text(ids) == plain.text(ids)


def test_texts_are_sent_only_where_they_are_read_as_what_is_meant(tokenizer: Any) -> None:
    """A server that takes nothing but text: cuts that it would move go back to one that stays."""
    sampler = Scripted(tokenizer=tokenizer)
    local = ServedText(tokenizer, (1,), 100)
    rng = np.random.default_rng(10)
    sent, back = 0, 0
    for _ in range(60):
        x = random_generation(sampler, rng)
        for level in range(len(x.token_ids) + 1):
            ids = x.prompt_ids + x.token_ids[:level]
            text = local.sent(ids)
            if text is not None:
                sent += 1
                assert tuple(tokenizer(text)["input_ids"]) == ids
            if local.sent(x.prompt_ids) is not None:
                kept = local.level(x.prompt_ids, x.token_ids, level)
                assert local.sent(x.prompt_ids + x.token_ids[:kept]) is not None
                back += kept < level
                assert kept == level or text is None
    assert sent > 10
    assert back > 0


def test_what_comes_back_as_text_stands_behind_what_was_sent(tokenizer: Any) -> None:
    local = ServedText(tokenizer, (1,), 100)
    chat = ChatText(tokenizer, {}, "", ())
    rng = np.random.default_rng(11)
    exact = 0
    for _ in range(120):
        ids = tuple(tokenizer(random_text(rng), add_special_tokens=False)["input_ids"])
        written = random_text(rng).replace("<s>", "").replace("</s>", "")
        if local.sent(ids) is None:
            continue
        found = local.continuation(ids, written)
        whole = tuple(tokenizer((local.sent(ids) or "") + written)["input_ids"])
        if whole[: len(ids)] == ids:
            exact += 1
            assert ids + found == whole
        else:
            assert found == tuple(tokenizer(written, add_special_tokens=False)["input_ids"])
    assert exact > 10
    assert local.continuation((5,), "") == ()
    assert truncate(Generation((), (5,), (0.0,), chat.text([5]), "end"), 0).token_ids == ()
