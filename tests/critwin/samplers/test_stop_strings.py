"""Stop strings: what `text` shows decides, however the tokenizer cuts it up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.generation.stopping_criteria import STOP_STRING_EMBEDDING_CACHE

from critwin.errors import ParameterError
from critwin.samplers.token_law import NO_TOKEN, TokenLaw


def byte_level(words: Sequence[str]) -> Any:
    """Give a byte-level BPE tokenizer whose vocabulary is all bytes and these words."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pre = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    spelled = [pre.pre_tokenize_str(word)[0][0] for word in words]
    return wrapped(["</s>", *alphabet, *spelled], decoders.ByteLevel())


def byte_fallback(words: Sequence[str]) -> Any:
    """Give a tokenizer as sentencepiece makes them: words with a mark for space, and bytes."""
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    raw = [f"<0x{byte:02X}>" for byte in range(256)]
    return wrapped(["</s>", *raw, *words], decoders.Sequence(steps))


def whole_words(words: Sequence[str]) -> Any:
    vocabulary = {word: i for i, word in enumerate(["</s>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=words[0]))
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")


def wrapped(names: list[str], decoder: Any) -> Any:
    tokenizer = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, []))
    tokenizer.decoder = decoder
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")


def stops_at(tokenizer: Any, names: Sequence[str], stop: tuple[str, ...]) -> list[bool]:
    """Tell after which tokens of a sample, given by their names, a stop string has been met."""
    law = TokenLaw(tokenizer=tokenizer, end_ids=(0,), stop=stop)
    vocabulary = tokenizer.get_vocab()
    ids = [vocabulary[name] for name in names]
    padded = [NO_TOKEN] * law.reach + ids
    tails = [padded[i + 1 : i + 1 + law.reach] for i in range(len(ids))]
    found: list[bool] = law.stops(torch.tensor(tails), None).tolist()
    return found


WORDS = ["ab", "b", "c", "abc", " is", "xabcx"]


def test_inside_one_token_and_over_several() -> None:
    tokenizer = byte_level(WORDS)
    assert stops_at(tokenizer, ["a", "b", "c"], ("abc",)) == [False, False, True]
    assert stops_at(tokenizer, ["ab", "c", "c"], ("abc",)) == [False, True, False]
    assert stops_at(tokenizer, ["c", "xabcx"], ("abc",)) == [False, True]
    assert stops_at(tokenizer, ["ab", "b", "c"], ("abc",)) == [False] * 3
    assert stops_at(tokenizer, ["ab", "Ġis"], ("abc", "b is")) == [False, True]


def test_characters_that_are_split_over_tokens() -> None:
    """é is the bytes C3 A9, which byte-level tokenizers write as the letters Ã and ©."""
    tokenizer = byte_level(WORDS)
    assert stops_at(tokenizer, ["Ã", "©", "c"], ("é",)) == [False, True, False]
    assert stops_at(tokenizer, ["Ã", "©", "c"], ("éc",)) == [False, False, True]
    fallback = byte_fallback(["▁is", "a", "b"])
    assert stops_at(fallback, ["<0xC3>", "<0xA9>", "a"], ("é",)) == [False, True, False]
    assert stops_at(fallback, ["a", "▁is", "b"], ("a is",)) == [False, True, False]
    assert stops_at(fallback, ["<0x61>", "▁is", "b"], ("isb",)) == [False, False, True]


def test_whole_words() -> None:
    tokenizer = whole_words(["Ann ", "has ", "4 ", "pens. "])
    assert stops_at(tokenizer, ["Ann ", "has ", "4 "], ("has 4",)) == [False, False, True]
    assert stops_at(tokenizer, ["Ann ", "pens. ", "4 "], (". ",)) == [False, True, False]


def test_special_tokens_have_no_text() -> None:
    tokenizer = byte_level(WORDS)
    assert stops_at(tokenizer, ["</s>", "a"], ("s>a", "/s>")) == [False, False]
    assert stops_at(tokenizer, ["s", ">", "a"], ("s>a",)) == [False, False, True]


@pytest.mark.parametrize("make", [byte_level, byte_fallback, whole_words])
def test_special_tokens_that_a_stop_string_names(make: Callable[[Sequence[str]], Any]) -> None:
    """People write the token that closes a turn; where it is no end token, it has to stop too."""
    tokenizer = make(["xa", "bx", "cx"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|end|>", "<|turn|>"]})
    tokenizer.add_tokens([AddedToken("<|eot|>", special=True)])
    for name in ("<|end|>", "<|eot|>"):
        assert stops_at(tokenizer, ["xa", name, "bx"], (name,)) == [False, True, False]
        assert stops_at(tokenizer, ["xa", "<|turn|>", "bx"], (name,)) == [False] * 3
        assert stops_at(tokenizer, [name, "bx"], (f"{name}b",)) == [False, True]
        assert stops_at(tokenizer, [name, "cx"], (f"{name}b", "xbx")) == [False, False]
        # one that no stop string names has no text
        assert stops_at(tokenizer, ["xa", name, "bx"], ("abx",)) == [False, False, True]


def test_a_named_special_token_may_be_spelled_too() -> None:
    tokenizer = byte_level(WORDS)
    assert stops_at(tokenizer, ["a", "<", "/", "s", ">"], ("</s>",)) == [False] * 4 + [True]


def test_the_same_names_may_be_other_texts() -> None:
    """Two tokenizers with one vocabulary: what was read for the first does not serve the second."""
    names = ["a", "b", "c▁", "c "]
    spaced = whole_words(names)
    spaced.backend_tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.Fuse()]
    )
    assert stops_at(whole_words(names), ["a", "c▁", "b"], ("c b",)) == [False] * 3
    assert stops_at(spaced, ["a", "c▁", "b"], ("c b",)) == [False, False, True]


def test_a_vocabulary_is_read_once_and_kept_once() -> None:
    """Every call of a sampler makes a law of its own; reading 100000 tokens takes seconds."""
    tokenizer = byte_level(WORDS)
    before = len(STOP_STRING_EMBEDDING_CACHE)
    laws = [TokenLaw(tokenizer=tokenizer, end_ids=(0,), stop=("abc",)) for _ in range(2)]
    assert laws[0].stops is laws[1].stops
    assert len(STOP_STRING_EMBEDDING_CACHE) == before


@pytest.mark.parametrize("stop", [("x",), ("ab", "xa"), ("ab", "bxa")])
def test_what_no_tokens_spell_is_refused(stop: tuple[str, ...]) -> None:
    """Its end or its beginning can be written, but not all of it."""
    with pytest.raises(ParameterError, match=r"stop is '.*x.*'; allowed: strings that tokens"):
        stops_at(whole_words(["a", "b", "c"]), ["a"], stop)
