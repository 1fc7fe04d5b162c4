"""Language models: the law is that of transformers' own `generate`."""

from __future__ import annotations

from collections import Counter
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
from critwin.samplers.checkpoint import load
from critwin.samplers.language import LanguageSampler
from critwin.seeds import fold_in


def sampler_of(folder: Path, **settings: Any) -> LanguageSampler:
    return LanguageSampler(path=str(folder), device="cpu", **settings)


def model_of(folder: Path) -> Any:
    return load(str(folder), None, "float64", "cpu", False, True, "plain").model


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
    model = model_of(tiny_llama)
    starts = sampler.start([Prompt("how many apples?"), Prompt("a"), Prompt("the answer is 42")])
    prefixes = [Prefix(s.prompt_ids, tuple(range(10, 10 + kept)), (0.0,) * kept) for s in starts]
    for prefix, (x,) in zip(prefixes, sampler.resample(prefixes, seeds=[[0]] * 3), strict=True):
        ids = torch.tensor([[*prefix.prompt_ids, *prefix.token_ids]])
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=20 - kept,
            pad_token_id=1,
        )
        assert out[0, len(prefix.prompt_ids) :].tolist() == list(x.token_ids)
        assert sum(x.surprisal) == 0


def exact_continuations(
    sampler: LanguageSampler, model: Any, prompt_ids: tuple[int, ...], length: int
) -> dict[tuple[int, ...], float]:
    """Probability of every continuation of up to `length` tokens, by full recomputation."""
    law = sampler._law()
    done: dict[tuple[int, ...], float] = {}
    open_: dict[tuple[int, ...], float] = {(): 1.0}
    for _ in range(length):
        grown: dict[tuple[int, ...], float] = {}
        for ids, p in open_.items():
            with torch.inference_mode():
                logits = model(torch.tensor([[*prompt_ids, *ids]])).logits[:, -1]
            for token, q in enumerate(law.log_probabilities(logits)[0].exp().tolist()):
                if q > 0:
                    finished = token in law.end_ids or len(ids) + 1 == length
                    (done if finished else grown)[(*ids, token)] = p * q
        open_ = grown
    return done


@pytest.mark.parametrize(
    "settings",
    [{}, {"temperature": 0.6}, {"top_k": 3}, {"top_p": 0.8}, {"temperature": 1.5, "top_p": 0.9}],
)
def test_draws_and_surprisals_follow_the_truncated_law(
    tiny_letters: Path, settings: dict[str, Any]
) -> None:
    sampler = sampler_of(tiny_letters, max_new_tokens=3, deterministic=True, **settings)
    model = model_of(tiny_letters)
    (start,) = sampler.start([Prompt("abca")])
    n = 5000
    (drawn,) = sampler.resample([start], seeds=[[fold_in(0, i) for i in range(n)]])
    law = exact_continuations(sampler, model, start.prompt_ids, 3)
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
    for x in drawn[:200]:
        assert np.exp(-sum(x.surprisal)) == pytest.approx(law[x.token_ids], rel=1e-9)


def test_truncation_is_that_of_generate(tiny_letters: Path) -> None:
    """The support after top-k and top-p is the one that transformers' own sampling has."""
    sampler = sampler_of(tiny_letters, max_new_tokens=1, temperature=0.7, top_k=5, top_p=0.85)
    (start,) = sampler.start([Prompt("ab")])
    (drawn,) = sampler.resample([start], seeds=[[fold_in(0, i) for i in range(3000)]])
    torch.manual_seed(0)
    ids = torch.tensor([start.prompt_ids])
    out = model_of(tiny_letters).generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=True,
        temperature=0.7,
        top_k=5,
        top_p=0.85,
        max_new_tokens=1,
        num_return_sequences=3000,
        pad_token_id=0,
    )
    ours = Counter(x.token_ids[0] for x in drawn)
    theirs = Counter(out[:, -1].tolist())
    for token in set(ours) | set(theirs):
        p = (ours[token] + theirs[token]) / 6000
        assert abs(ours[token] - theirs[token]) / 3000 <= 5 * np.sqrt(2 * p * (1 - p) / 3000)


def test_batch_size_changes_no_token(tiny_llama: Path) -> None:
    prompts = [Prompt("how many apples?"), Prompt("a"), Prompt("the answer is 42.")]
    seeds = [[fold_in(0, i, r) for r in range(5)] for i in range(3)]
    drawn = []
    for batch_size in (1, 4, 64):
        sampler = sampler_of(
            tiny_llama, batch_size=batch_size, max_new_tokens=30, deterministic=True
        )
        found = sampler.resample(sampler.start(prompts), seeds=seeds)
        drawn.append([[x.token_ids for x in own] for own in found])
    assert drawn[0] == drawn[1] == drawn[2]


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


def test_sampling_parameters_replace_the_defaults(tiny_letters: Path) -> None:
    sampler = sampler_of(tiny_letters, temperature=0.3, top_k=4)
    changed = sampler.with_sampling(Sampling(temperature=0.9, stop=("x",)))
    assert (changed.temperature, changed.top_k, changed.stop) == (0.9, 4, ("x",))
