"""Language models: the law is that of transformers' own `generate`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from critwin.errors import ModelError, ParameterError
from critwin.generation import Prefix
from critwin.prompt import Prompt
from critwin.protocol import Sampling
from critwin.samplers.language import LanguageSampler
from critwin.seeds import fold_in
from tests.critwin.samplers.recomputing import greedy, reference


def sampler_of(folder: Path, **settings: Any) -> LanguageSampler:
    return LanguageSampler(path=str(folder), device="cpu", **settings)


def test_chat_template_is_applied_and_prefix_follows_it(tiny_llama: Path) -> None:
    sampler = sampler_of(tiny_llama)
    prompt = Prompt("how many?", system="be brief", prefix="the answer")
    (start,) = sampler.start([prompt])
    sent = sampler.prompt_text(start.prompt_ids)
    assert sent == "<s><|system|>be brief</s><|user|>how many?</s><|assistant|>the answer"
    assert start.prompt_ids.count(0) == 1  # one begin token, not a second one by the tokenizer


def test_plain_model_gets_plain_text(tiny_letters: Path) -> None:
    (start,) = sampler_of(tiny_letters).start([Prompt("abc")])
    assert sampler_of(tiny_letters).prompt_text(start.prompt_ids).startswith("abc")


@pytest.mark.parametrize("kept", [0, 1, 7])
def test_greedy_equals_generate(tiny_llama: Path, kept: int) -> None:
    sampler = sampler_of(tiny_llama, temperature=0.0, max_new_tokens=20, deterministic=True)
    model = reference(tiny_llama)
    starts = sampler.start([Prompt("how many apples?"), Prompt("a"), Prompt("the answer is 42")])
    prefixes = [Prefix(s.prompt_ids, tuple(range(10, 10 + kept)), (0.0,) * kept) for s in starts]
    for prefix, (x,) in zip(prefixes, sampler.resample(prefixes, seeds=[[0]] * 3), strict=True):
        assert greedy(model, prefix, 20 - kept) == list(x.token_ids)
        assert sum(x.surprisal) == 0


def law_of_generate(
    folder: Path, prompt_ids: tuple[int, ...], length: int, settings: dict[str, Any]
) -> dict[tuple[int, ...], float]:
    """Probability of every continuation of `length` tokens, or fewer and the end token."""
    model = reference(folder)
    done: dict[tuple[int, ...], float] = {}
    open_: dict[tuple[int, ...], float] = {(): 1.0}
    for _ in range(length):
        ids = torch.tensor([[*prompt_ids, *own] for own in open_])
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            max_new_tokens=1,
            output_scores=True,
            return_dict_in_generate=True,
            pad_token_id=0,
            **{"top_k": 0, **settings},
        )
        grown: dict[tuple[int, ...], float] = {}
        for (own, p), row in zip(open_.items(), out.scores[0].softmax(dim=-1), strict=True):
            for token, q in enumerate(row.tolist()):
                finished = token == 0 or len(own) + 1 == length
                (done if finished else grown)[(*own, token)] = p * q
        open_ = {own: p for own, p in grown.items() if p > 0}
    return {own: p for own, p in done.items() if p > 0}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.6},
        {"top_k": 3},
        {"top_p": 0.8},
        {"min_p": 0.2},
        {"repetition_penalty": 1.7},
        {"temperature": 1.5, "top_k": 6, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 0.8},
    ],
)
def test_draws_and_surprisals_follow_the_law_of_generate(
    tiny_letters: Path, settings: dict[str, Any]
) -> None:
    """All strings of up to three tokens are counted; `generate` says how probable each one is."""
    sampler = sampler_of(tiny_letters, max_new_tokens=3, deterministic=True, **settings)
    (start,) = sampler.start([Prompt("abca")])
    n = 4000
    (drawn,) = sampler.resample([start], seeds=[[fold_in(0, i) for i in range(n)]])
    law = law_of_generate(tiny_letters, start.prompt_ids, 3, settings)
    assert sum(law.values()) == pytest.approx(1)
    counts = Counter(x.token_ids for x in drawn)
    assert set(counts) <= set(law)
    often = [ids for ids, p in law.items() if p * n >= 5]
    observed = np.array([*(counts[ids] for ids in often), 0.0])
    expected = np.array([*(law[ids] * n for ids in often), 0.0])
    observed[-1], expected[-1] = n - observed.sum(), n - expected.sum()
    keep = expected >= 5
    if not keep[-1]:  # too few rare strings for a cell of their own
        observed[0], expected[0] = observed[0] + observed[-1], expected[0] + expected[-1]
    assert chisquare(observed[keep], expected[keep]).pvalue > 1e-4
    # generate has scores in float32: three tokens with logits below 64 round to 3 * 64 * 2**-24
    for x, path in zip(drawn[:200], sampler.paths(drawn[:200]), strict=True):
        assert np.exp(-sum(x.surprisal)) == pytest.approx(law[x.token_ids], rel=2e-5)
        assert path.probability.prod() == pytest.approx(law[x.token_ids], rel=2e-5)


def test_length_limit_counts_from_the_prompt(tiny_llama: Path) -> None:
    sampler = sampler_of(tiny_llama, max_new_tokens=12)
    (start,) = sampler.start([Prompt("a")])
    (xs,) = sampler.resample([start], seeds=[list(range(8))])
    cuts = sampler.observe(xs, [5] * 8, seeds=[0] * 8)
    for (again,) in sampler.resample(cuts, seeds=[[9]] * 8):
        assert len(again.token_ids) <= 12
        assert (len(again.token_ids) == 12) or again.finish_reason == "end"


def test_end_of_the_context_is_a_limit(tiny_letters: Path) -> None:
    """GPT-2 has a position for each of 32 tokens and none after them."""
    sampler = sampler_of(tiny_letters, max_new_tokens=512)
    short, long = sampler.start([Prompt("abc"), Prompt("abcdef" * 4)])
    for start in (short, long):
        (xs,) = sampler.resample([start], seeds=[[fold_in(0, i) for i in range(50)]])
        limit = 32 - len(start.prompt_ids)
        assert max(len(x.token_ids) for x in xs) == limit
        assert all(x.finish_reason == "end" or len(x.token_ids) == limit for x in xs)
        whole = sampler.observe(xs, [limit] * 50, seeds=[0] * 50)
        assert sampler.resample(whole, seeds=[[1]] * 50) == [[x] for x in xs]
    with pytest.raises(ModelError, match="context holds 32"):
        sampler.resample(sampler.start([Prompt("abcdef" * 6)]), seeds=[[0]])


def test_stop_string_ends_a_generation_across_the_cut(tiny_letters: Path) -> None:
    sampler = sampler_of(tiny_letters, max_new_tokens=12, stop=("ab",))
    (start,) = sampler.start([Prompt("ab")])  # the prompt's own "ab" stops nothing
    (xs,) = sampler.resample([start], seeds=[[fold_in(0, i) for i in range(400)]])
    stopped = [x for x in xs if x.finish_reason == "stop"]
    assert stopped
    assert all(x.text.endswith("ab") and x.text.count("ab") == 1 for x in stopped)
    assert all("ab" not in x.text for x in xs if x.finish_reason != "stop")
    # cut between the two letters: one more "b" must stop it
    cut = [Prefix(start.prompt_ids, (1,), (0.0,))]
    (again,) = sampler.resample(cut, seeds=[[fold_in(1, i) for i in range(400)]])
    direct = [x for x in again if x.text.startswith("ab")]
    assert direct
    assert all(x.text == "ab" and x.finish_reason == "stop" for x in direct)
    # a sample that was stopped is followed up to its stop, and no further
    known = sampler.observe(stopped, [1] * len(stopped), seeds=[0] * len(stopped))
    blind = [replace(prefix, origin=None) for prefix in known]
    seeds = [[fold_in(2, i, r) for r in range(4)] for i in range(len(known))]
    found = [sampler.resample(prefixes, seeds=seeds) for prefixes in (known, blind)]
    ends = [[(x.token_ids, x.finish_reason) for own in xs for x in own] for xs in found]
    assert ends[0] == ends[1]


def test_stop_string_of_the_embedded_model() -> None:
    sampler = LanguageSampler(
        path="embedded:arithmetic", device="cpu", max_new_tokens=64, stop=(". ", "=")
    )
    (start,) = sampler.start([Prompt("Ann has 4 pens and Ben has 2 pens. How many pens?")])
    (xs,) = sampler.resample([start], seeds=[[fold_in(0, i) for i in range(30)]])
    assert {x.finish_reason for x in xs} == {"stop"}
    # a full stop is seen to be followed by a space once the next token is there
    assert all(("=" in x.text) != (". " in x.text) for x in xs)
    assert all(x.text.endswith("=") or ". " not in x.text[:-12] for x in xs)


def test_tokens_join_to_the_text(tiny_letters: Path) -> None:
    sampler = sampler_of(tiny_letters, max_new_tokens=10)
    (start,) = sampler.start([Prompt("abc")])
    for x in sampler.resample([start], seeds=[list(range(20))])[0]:
        assert "".join(sampler.tokens(x.token_ids)).replace("</s>", "") == x.text


def test_fingerprint_follows_the_weights_not_the_path(tiny_letters: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "elsewhere"
    shutil.copytree(tiny_letters, copy)
    before = sampler_of(tiny_letters).fingerprint()
    assert sampler_of(copy).fingerprint() == before
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert sampler_of(copy).fingerprint() != before


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": 0}, "top_k"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"dtype": "int8"}, "dtype"),
        ({"device": "gpu"}, "device"),
        ({"batch_size": 0}, "batch_size"),
        ({"memory_gb": 0}, "memory_gb"),
        ({"engine": "fast"}, "engine is 'fast'; allowed: one of shared, plain"),
        ({"min_p": 1.1}, r"min_p is 1.1; allowed: null or a number in \[0, 1\]"),
        ({"min_p": -0.1}, "min_p"),
        ({"repetition_penalty": 0}, r"repetition_penalty is 0; .* number in \(0, inf\)"),
        ({"repetition_penalty": float("inf")}, "repetition_penalty"),
    ],
)
def test_bad_settings_are_refused(tiny_letters: Path, settings: Any, name: str) -> None:
    with pytest.raises(ParameterError, match=name):
        LanguageSampler(**{"path": str(tiny_letters), **settings})


def test_unknown_checkpoints_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="path"):
        LanguageSampler(path=str(tmp_path / "nothing"))
    with pytest.raises(ParameterError, match="embedded:arithmetic"):
        LanguageSampler(path="embedded:nothing")
    with pytest.raises(ParameterError, match="hub name"):
        LanguageSampler(path="a b c")


def test_device_that_is_not_there_is_refused(tiny_letters: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.device.*what this machine has, cpu"):
        LanguageSampler(path=str(tiny_letters), device="cuda:99").start([Prompt("a")])


def test_damaged_checkpoint_names_the_key(tiny_letters: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ModelError, match=r"model\.path"):
        LanguageSampler(path=str(tmp_path)).start([Prompt("a")])


def test_stop_strings_that_cannot_be_are_named(tiny_letters: Path) -> None:
    sampler = sampler_of(tiny_letters, stop=("ab", "a b"))
    with pytest.raises(ParameterError, match="stop is 'a b'; allowed: strings that tokens"):
        sampler.resample(sampler.start([Prompt("ab")]), seeds=[[0]])


def test_sampling_parameters_replace_the_defaults(tiny_letters: Path) -> None:
    sampler = sampler_of(tiny_letters, temperature=0.3, top_k=4, min_p=0.1)
    changed = sampler.with_sampling(Sampling(temperature=0.9, stop=("x",), repetition_penalty=1.2))
    assert (changed.temperature, changed.top_k, changed.stop) == (0.9, 4, ("x",))
    assert (changed.min_p, changed.repetition_penalty) == (0.1, 1.2)


@pytest.mark.parametrize("engine", ["shared", "plain"])
def test_deterministic_records_do_not_depend_on_the_batch(tiny_llama: Path, engine: str) -> None:
    """Memory decides how many rows a batch has, so the same run may meet another one later."""
    found = []
    for size in (1, 3, 64):
        settings = {"deterministic": True, "engine": engine, "batch_size": size}
        sampler = sampler_of(tiny_llama, temperature=1.0, max_new_tokens=24, **settings)
        starts = sampler.start([Prompt("how many apples?"), Prompt("a"), Prompt("the answer")])
        drawn = sampler.resample(starts, seeds=[[1, 2, 3], [4, 5], [6, 7, 8, 9]])
        cuts = [Prefix(x.prompt_ids, x.token_ids[:3], x.surprisal[:3]) for xs in drawn for x in xs]
        again = sampler.resample(cuts, seeds=[[k] for k in range(len(cuts))])
        paths = sampler.paths([x for xs in drawn for x in xs])
        facts = [(x.token_ids, x.surprisal) for xs in (*drawn, *again) for x in xs]
        found.append((facts, [path.probability.tolist() for path in paths]))
    assert found[0] == found[1] == found[2]
