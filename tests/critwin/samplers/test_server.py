"""A model behind a server: the law of the model itself, whatever the server takes and gives."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from critwin.errors import ModelError, ParameterError
from critwin.generation import Generation, Prefix
from critwin.prompt import Prompt
from critwin.protocol import ForkProtocol
from critwin.samplers.language import LanguageSampler
from critwin.samplers.server import ServerSampler
from critwin.seeds import fold_in
from experiments.fork_resampling import forking
from tests.critwin.samplers.protocol_server import Behaviour, serving
from tests.critwin.test_sampler_laws import assert_same_law

LAW: dict[str, Any] = {"temperature": 0.8, "top_k": 5, "top_p": 0.95, "max_new_tokens": 3}
DRAWS = 600
FALSE_ALARM = 1e-4


@pytest.fixture(scope="module")
def behaviour(tiny_letters: Path) -> Behaviour:
    return Behaviour(tiny_letters)


@pytest.fixture(scope="module")
def base_url(behaviour: Behaviour) -> Iterator[str]:
    with serving(behaviour) as address:
        yield address


def server_of(behaviour: Behaviour, base_url: str, **settings: Any) -> ServerSampler:
    given = {"patience_s": 5.0, **LAW, **settings}
    return ServerSampler(path=str(behaviour.folder), base_url=base_url, **given)


@pytest.fixture(scope="module")
def sampler(behaviour: Behaviour, base_url: str) -> ServerSampler:
    return server_of(behaviour, base_url)


@pytest.fixture(scope="module")
def local(tiny_letters: Path) -> LanguageSampler:
    return LanguageSampler(path=str(tiny_letters), device="cpu", deterministic=True, **LAW)


def draw(sampler: Any, count: int, *, name: str = "x") -> list[Generation]:
    start = sampler.start([Prompt("abca")])
    return sampler.resample(start, seeds=[[fold_in(0, name, i) for i in range(count)]])[0]


def law_of(local: LanguageSampler) -> dict[tuple[int, ...], float]:
    """Probability of every sample, by teacher-forcing in this process."""
    (start,) = local.start([Prompt("abca")])
    done: dict[tuple[int, ...], float] = {}
    open_: dict[tuple[int, ...], float] = {(): 1.0}
    while open_:
        grown = [(*own, token) for own in open_ for token in range(7)]
        made = [Generation(start.prompt_ids, own, (0.0,) * len(own), "", "end") for own in grown]
        paths = local.paths(made)
        open_ = {}
        for own, path in zip(grown, paths, strict=True):
            p = float(np.prod(path.probability))
            if p > 0:
                ended = own[-1] == 0 or len(own) == LAW["max_new_tokens"]
                (done if ended else open_)[own] = p
    return done


def test_draws_and_surprisals_are_those_of_the_model(
    sampler: ServerSampler, local: LanguageSampler
) -> None:
    law = law_of(local)
    assert sum(law.values()) == pytest.approx(1, abs=1e-6)
    drawn = draw(sampler, DRAWS)
    for x in drawn[:200]:
        assert math.exp(-sum(x.surprisal)) == pytest.approx(law[x.token_ids], rel=1e-4)
    often = [own for own, p in law.items() if p * DRAWS >= 5]
    counts = [sum(x.token_ids == own for x in drawn) for own in often]
    expected = [law[own] * DRAWS for own in often]
    counts.append(DRAWS - sum(counts))
    expected.append(DRAWS - sum(expected))
    assert chisquare(counts, np.array(expected) * DRAWS / sum(expected)).pvalue > FALSE_ALARM


def test_same_seeds_same_draws_whatever_is_under_way(
    behaviour: Behaviour, base_url: str, sampler: ServerSampler
) -> None:
    xs = draw(sampler, 20)
    one_by_one = server_of(behaviour, base_url, concurrency=1)
    assert draw(one_by_one, 20) == xs
    cuts = sampler.observe(xs, [1] * 20, seeds=[0] * 20)
    together = sampler.resample(cuts, seeds=[[fold_in(1, i)] for i in range(20)])
    alone = [sampler.resample([c], seeds=[[fold_in(1, i)]])[0] for i, c in enumerate(cuts)]
    assert together == alone
    whole = sampler.observe(xs, [99] * 20, seeds=[0] * 20)
    assert sampler.resample(whole, seeds=[[1]] * 20) == [[x] for x in xs]


@pytest.mark.parametrize("at", [1, 2])
def test_forks_through_a_server_follow_the_models_own(
    sampler: ServerSampler, local: LanguageSampler, at: int
) -> None:
    """The law of another token than the original's, renormalised, and of what follows it."""
    x = max(draw(sampler, 30), key=lambda x: len(x.token_ids))
    (own,), (theirs,) = sampler.paths([x]), local.paths([x])
    np.testing.assert_allclose(own.probability, theirs.probability, rtol=1e-5)
    assert own.probability[at - 1] < 1
    seeds = [fold_in(3, at, i) for i in range(400)]
    forks = sampler.fork([x] * 400, [at] * 400, seeds=seeds)
    here = local.fork([x] * 3000, [at] * 3000, seeds=[fold_in(4, i) for i in range(3000)])
    assert all(y.token_ids[: at - 1] == x.token_ids[: at - 1] for y in forks)
    assert all(y.token_ids[at - 1] != x.token_ids[at - 1] for y in forks)
    for shown in (lambda y: str(y.token_ids[at - 1]), lambda y: str(y.token_ids) + y.finish_reason):
        assert_same_law([shown(y) for y in forks], [shown(y) for y in here])
    for y, path in zip(forks[:20], local.paths(forks[:20]), strict=True):
        np.testing.assert_allclose(path.surprisal, y.surprisal, rtol=1e-4, atol=1e-5)
    again = sampler.fork([x] * 5, [at] * 5, seeds=seeds[:5])
    assert again == forks[:5]


def test_forks_that_cannot_be_are_refused(sampler: ServerSampler) -> None:
    x = draw(sampler, 1)[0]
    for at in (0, len(x.token_ids) + 1):
        with pytest.raises(ValueError, match=r"position is .*; allowed: 1 to"):
            sampler.fork([x], [at], seeds=[0])
    certain = replace(sampler, top_k=1)
    (y,) = draw(certain, 1)
    assert sum(y.surprisal) == 0
    with pytest.raises(ValueError, match="token 1 had probability 1"):
        certain.fork([y], [1], seeds=[0])


def test_what_is_sent(behaviour: Behaviour, sampler: ServerSampler) -> None:
    """Cuts go as token ids; those of one original side by side, the longest first."""
    xs = [x for x in draw(sampler, 40) if len(x.token_ids) == 3][:3]
    levels = [0, 1, 2]
    cuts = [
        cut
        for level in levels
        for cut in sampler.observe(xs, [level] * len(xs), seeds=[0] * len(xs))
    ]
    done = len(behaviour.bodies)
    server_of_one = replace(sampler, concurrency=1)
    server_of_one.resample(cuts, seeds=[[5, 2**40 + 5]] * len(cuts))
    sent = behaviour.bodies[done:]
    expected = [
        [*x.prompt_ids, *x.token_ids[:level]] for x in xs for level in levels[::-1] for _ in "12"
    ]
    assert [asked["prompt"] for asked in sent] == expected
    assert [asked["max_tokens"] for asked in sent[:6]] == [1, 1, 2, 2, 3, 3]
    assert {asked["seed"] for asked in sent} == {5, (2**40 + 5) % 2**31}
    assert sent[0].items() >= {"model": "tiny", "temperature": 0.8, "top_k": 5}.items()
    assert sent[0]["top_p"] == 0.95
    assert {asked["logprobs"] for asked in sent} == {1}
    assert (
        sampler.facts()["server"].items()
        >= {  # type: ignore[union-attr]
            "served": "tiny",
            "prompts": "token ids",
            "gives_logprobs": True,
            "seeds": "taken",
        }.items()
    )


def test_a_length_limit_is_the_prompts_and_the_servers(sampler: ServerSampler) -> None:
    (start,) = sampler.start([Prompt("abca")])
    long = replace(sampler, max_new_tokens=1000)
    assert long.limit(start) == 32 - len(start.prompt_ids)
    full = Prefix(start.prompt_ids, (1, 2, 3), (0.1, 0.2, 0.3))
    ((x,),) = sampler.resample([full], seeds=[[0]])
    assert (x.token_ids, x.finish_reason) == ((1, 2, 3), "length")


def test_stop_strings_end_a_sample(sampler: ServerSampler, local: LanguageSampler) -> None:
    """Where the server goes on behind one, or it lies across the cut, it is found here."""
    stopped = replace(sampler, stop=("ab",), max_new_tokens=6)
    (start,) = stopped.start([Prompt("abca")])
    cut = Prefix(start.prompt_ids, (1,), (0.0,))
    for made in (replace(local, stop=("ab",), max_new_tokens=6), stopped):
        ((*drawn,),) = made.resample([cut], seeds=[[fold_in(6, i) for i in range(120)]])
        found = [x for x in drawn if "ab" in x.text]
        assert found
        assert all(x.finish_reason == "stop" and x.text.endswith("ab") for x in found)
        assert all(x.text.count("ab") == 1 for x in found)


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({"processed": False}, {}, "before the temperature .*--logprobs-mode processed_logprobs"),
        ({"max_logprobs": 5}, {}, "refuses logprobs=20 .*Requested more logprobs"),
        ({}, {"logprobs": 5, "top_k": 5, "min_p": 0.0}, None),
    ],
)
def test_forks_need_log_probabilities_of_what_is_drawn_from(
    behaviour: Behaviour, changes: dict[str, Any], settings: dict[str, Any], message: str | None
) -> None:
    with serving(replace(behaviour, bodies=[], headers=[], **changes)) as address:
        sampler = server_of(behaviour, address, **settings)
        (x, *_) = draw(sampler, 3)
        if message is None:
            assert sampler.paths([x])[0].probability.shape == (len(x.token_ids),)
            return
        assert all(math.isnan(nats) for nats in x.surprisal)
        for ask in (lambda: sampler.paths([x]), lambda: sampler.fork([x], [1], seeds=[0])):
            with pytest.raises(ModelError, match=f"{message}.*allowed there: sampler=fractions"):
                ask()


def test_forks_that_log_probabilities_do_not_cover_are_refused(
    behaviour: Behaviour, base_url: str
) -> None:
    partial = server_of(behaviour, base_url, logprobs=2, top_k=None, top_p=1.0, temperature=3.0)
    (x, *_) = draw(partial, 1)
    with pytest.raises(
        ModelError, match=r"2 log-probabilities .* leave out 0\.\d+ of what token 1"
    ):
        partial.fork([x], [1], seeds=[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"top_k": None}, "draws from all tokens.*set sampler.top_k to at most model.logprobs=20"),
        ({"top_k": 21}, "draws from the 21 most probable tokens"),
        ({"logprobs": None}, "told to ask for no log-probabilities"),
    ],
)
def test_settings_that_allow_no_forks_are_refused_before_anything_is_asked(
    tiny_letters: Path, settings: dict[str, Any], message: str
) -> None:
    nowhere = ServerSampler(path=str(tiny_letters), base_url="http://127.0.0.1:9/v1", **settings)
    chosen = nowhere.with_sampling(ForkProtocol())
    with pytest.raises(ParameterError, match=f"allowed: fractions or every_token.*{message}"):
        forking(chosen)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_url": "localhost:8000"}, "base_url is 'localhost:8000'; allowed: an address"),
        ({"base_url": "http://me:secret@host/v1"}, "base_url is 'http://...@host/v1'"),
        ({"api_key_variable": "sk-1234"}, "the name of an environment variable, not the key"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"timeout_s": 0.0}, "timeout_s is 0"),
        ({"logprobs": 0}, "logprobs is 0"),
    ],
)
def test_bad_settings_are_refused(
    tiny_letters: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        ServerSampler(path=str(tiny_letters), **settings)


def test_a_server_of_texts_is_told_apart(behaviour: Behaviour) -> None:
    """Prompts as text, nothing but text back: the grid is drawn, and says that it knows no more."""
    texts = replace(behaviour, ids=False, bodies=[], headers=[])
    with serving(texts) as address:
        sampler = server_of(texts, address, temperature=1.0, top_k=None, top_p=1.0)
        xs = draw(sampler, 40)
        assert sampler.facts()["server"]["prompts"] == "text"  # type: ignore[index]
        assert {x.finish_reason for x in xs} == {"end", "length"}
        for x in xs:
            ended = x.finish_reason == "end"
            assert (x.token_ids[-1] == 0) is ended
            assert len(x.token_ids) <= 3
            assert len(x.text) == len(x.token_ids) - ended
        with pytest.raises(ModelError, match="gives no token ids: forks through it"):
            sampler.fork([xs[0]], [1], seeds=[0])
        with pytest.raises(ModelError, match="allowed there: top_k null"):
            draw(replace(sampler, top_k=3), 1)
