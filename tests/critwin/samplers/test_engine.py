"""What is drawn belongs to its seed: not to rows, threads, memory, company or earlier calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from critwin.generation import Generation, Prefix, truncate
from critwin.prompt import Prompt
from critwin.samplers import memory, token_draws
from critwin.samplers.engine import Engine
from critwin.samplers.language import LanguageSampler
from critwin.samplers.teacher_forcing import SequenceStore
from critwin.samplers.token_draws import TokenDraws
from critwin.samplers.token_law import Request
from critwin.seeds import fold_in
from tests.critwin.samplers.conftest import Checkpoints
from tests.critwin.samplers.recomputing import recomputed, reference

PROMPTS = [Prompt("ab"), Prompt("hello"), Prompt("themoon")]


@pytest.fixture(autouse=True)
def _one_lane() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def sampler(checkpoint: Checkpoints) -> LanguageSampler:
    return LanguageSampler(
        path=str(checkpoint("mistral")), device="cpu", deterministic=True, max_new_tokens=24
    )


@pytest.fixture
def originals(sampler: LanguageSampler) -> list[Generation]:
    """Three that are long enough to be cut."""
    drawn = sampler.resample(sampler.start(PROMPTS), seeds=[[*range(6)]] * 3)
    found = [max(own, key=lambda x: len(x.token_ids)) for own in drawn]
    assert min(len(x.token_ids) for x in found) >= 10
    return found


@pytest.fixture
def cuts(originals: list[Generation]) -> list[Prefix]:
    """Cuts of three originals; some share a sequence, one stands there twice."""
    return [truncate(x, level) for x in originals for level in (0, 3, 3, len(x.token_ids) - 1)]


SEEDS = [[fold_in(5, i, r) for r in range(i % 4 + 1)] for i in range(12)]


def ids_of(drawn: list[list[Generation]]) -> list[list[tuple[int, ...]]]:
    return [[x.token_ids for x in own] for own in drawn]


def engine_of(sampler: LanguageSampler) -> Engine:
    engine = sampler.loaded.decoder
    assert isinstance(engine, Engine)
    return engine


def test_rows_memory_order_and_company_change_nothing(
    sampler: LanguageSampler, cuts: list[Prefix]
) -> None:
    expected = ids_of(sampler.resample(cuts, seeds=SEEDS))
    for settings in ({"batch_size": 1}, {"batch_size": 7}, {"batch_size": 256}):
        changed = replace(sampler, **settings)
        assert ids_of(changed.resample(cuts, seeds=SEEDS)) == expected
    backwards = sampler.resample(cuts[::-1], seeds=SEEDS[::-1])[::-1]
    assert ids_of(backwards) == expected
    for i in (1, 2, 11):  # alone, and with nothing kept from the calls before
        engine_of(sampler).store.clear()
        assert ids_of(sampler.resample([cuts[i]], seeds=[SEEDS[i]])) == [expected[i]]
    # equal prefixes with other seeds are other draws
    assert expected[1][:2] != expected[2][:2]


def test_what_stands_behind_a_cut_changes_nothing(
    sampler: LanguageSampler, originals: list[Generation], cuts: list[Prefix]
) -> None:
    """Draws that follow the original take its tokens without the model; the others decode."""
    blind = [replace(cut, origin=None) for cut in cuts]
    many = [[fold_in(6, i, r) for r in range(12)] for i in range(len(cuts))]
    known = sampler.resample(cuts, seeds=many)
    unknown = sampler.resample(blind, seeds=many)
    assert ids_of(known) == ids_of(unknown)
    followed = [
        x.token_ids[cut.level] == origin.token_ids[cut.level]
        for cut, xs, origin in zip(
            cuts, known, [x for x in originals for _ in range(4)], strict=True
        )
        for x in xs
    ]
    assert 0 < sum(followed) < len(followed)
    for xs, ys in zip(known, unknown, strict=True):
        for x, y in zip(xs, ys, strict=True):
            assert x.finish_reason == y.finish_reason
            assert x.surprisal == pytest.approx(y.surprisal, abs=1e-4)


def test_one_text_split_elsewhere_is_another_sample(
    sampler: LanguageSampler, originals: list[Generation]
) -> None:
    """Prompt and sample may meet at another place of the same ids: steps count from there."""
    engine, law = engine_of(sampler), sampler.law()
    seeds = tuple(fold_in(8, r) for r in range(40))
    requests = [
        Request(x.prompt_ids + x.token_ids[:at], x.token_ids[at:], 1, 12, seeds)
        for x in originals
        for at in (0, 4)
    ]
    together = engine.decode(requests, law)
    alone = [engine.decode([request], law)[0] for request in requests]
    assert [[d.token_ids for d in own] for own in together] == [
        [d.token_ids for d in own] for own in alone
    ]


def test_lanes_change_nothing(sampler: LanguageSampler, cuts: list[Prefix]) -> None:
    expected = ids_of(sampler.resample(cuts, seeds=SEEDS))
    torch.set_num_threads(2)
    assert ids_of(sampler.resample(cuts, seeds=SEEDS)) == expected
    assert torch.get_num_threads() == 2


@contextmanager
def full_memory(engine: Engine, monkeypatch: pytest.MonkeyPatch, *, above: int) -> Iterator[None]:
    """Let forward passes of more rows than `above` fail, the third one and those after it."""
    right, calls = engine.forward, []

    def forward(ids: torch.Tensor, *others: Any) -> torch.Tensor:
        calls.append(len(ids))
        if len(calls) > 2 and len(ids) > above:
            raise torch.OutOfMemoryError("injected")
        return right(ids, *others)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "forward", forward)
        yield


def test_full_memory_halves_the_rows(
    sampler: LanguageSampler, cuts: list[Prefix], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = sampler.resample(cuts, seeds=SEEDS)
    engine = engine_of(sampler)
    before = engine.halvings
    with full_memory(engine, monkeypatch, above=2):
        found = replace(sampler, batch_size=8).resample(cuts, seeds=SEEDS)
    assert ids_of(found) == ids_of(expected)
    assert engine.halvings - before == 2  # 8, 4, 2
    with (
        full_memory(engine, monkeypatch, above=0),
        pytest.raises(torch.OutOfMemoryError, match="injected"),
    ):
        replace(sampler, batch_size=2).resample(cuts, seeds=SEEDS)
    assert engine.halvings - before == 3
    assert ids_of(sampler.resample(cuts, seeds=SEEDS)) == ids_of(expected)


class Crowded:
    """A model for which memory is full above so many tokens of a pass."""

    def __init__(self, model: Any, most: int) -> None:
        self.model, self.most = model, most
        self.passes: list[tuple[int, ...]] = []

    def __call__(self, **inputs: Any) -> Any:
        ids = inputs["input_ids"]
        if ids.numel() > self.most:
            raise torch.OutOfMemoryError("injected")
        self.passes.append(tuple(ids.shape))
        return self.model(**inputs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


@pytest.fixture
def store(sampler: LanguageSampler, monkeypatch: pytest.MonkeyPatch) -> SequenceStore:
    """Give the engine a store of its own, whose limits no other test has lowered."""
    engine = engine_of(sampler)
    fresh = SequenceStore(engine.model, engine.store.room)
    monkeypatch.setattr(engine, "store", fresh)
    return fresh


@pytest.mark.parametrize(("most", "whole"), [(70, True), (20, False)])
def test_full_memory_splits_a_teacher_forced_pass(
    sampler: LanguageSampler,
    originals: list[Generation],
    cuts: list[Prefix],
    store: SequenceStore,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    whole: bool,
) -> None:
    """Resamples that follow their originals, forks and paths all begin with such a pass."""
    at = [3] * len(originals)

    def drawn() -> list[Any]:
        store.clear()
        paths = [path.probability for path in sampler.paths(originals)]
        store.clear()
        forks = sampler.fork(originals, at, seeds=[1, 2, 3])
        store.clear()
        return [ids_of(sampler.resample(cuts, seeds=SEEDS)), [x.token_ids for x in forks], paths]

    resampled, forked, paths = drawn()
    before = sampler.halvings
    assert store.together.most == 4096
    crowded = Crowded(store.model, most)
    monkeypatch.setattr(store, "model", crowded)
    again = drawn()
    assert again[:2] == [resampled, forked]
    for known, found in zip(paths, again[2], strict=True):
        assert found == pytest.approx(known, rel=1e-5)
    assert crowded.passes
    assert max(a * b for a, b in crowded.passes) <= most
    longest = max(len(x.prompt_ids + x.token_ids) for x in originals)
    assert any(length == longest for _, length in crowded.passes) == whole
    assert store.together.most <= most  # what was too much is not tried again
    assert sampler.halvings - before == store.together.halvings > 0


def test_memory_that_holds_no_pass_is_an_error(
    sampler: LanguageSampler,
    originals: list[Generation],
    store: SequenceStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store, "model", Crowded(store.model, 0))
    with pytest.raises(torch.OutOfMemoryError, match="injected"):
        sampler.paths(originals)
    assert store.together.most == memory.LEAST_TOKENS


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("injected"), MemoryError()])
def test_full_memory_halves_the_rows_of_the_plain_path(
    sampler: LanguageSampler,
    cuts: list[Prefix],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    plain = replace(sampler, engine="plain", batch_size=8)
    alike = [cuts[0], cuts[4], cuts[1]]
    seeds = [[fold_in(7, i, r) for r in range(9)] for i in range(3)]
    expected = ids_of(plain.resample(alike, seeds=seeds))
    decoder: Any = plain.loaded.decoder
    right, before, most = decoder._slab, plain.halvings, [2]

    def slab(rows: Any, law: Any) -> Any:
        if len(rows) > most[0]:
            raise error
        return right(rows, law)

    monkeypatch.setattr(decoder, "_slab", slab)
    assert ids_of(plain.resample(alike, seeds=seeds)) == expected
    assert plain.halvings - before == 2  # 8, 4, 2
    most[0] = 0
    with pytest.raises(type(error)):
        plain.resample(alike, seeds=seeds)


def test_batches_that_fail_otherwise_are_not_tried_again() -> None:
    together, tried = memory.Together(8), []

    def work(batch: list[int]) -> None:
        tried.append(batch)
        raise ValueError("injected")

    with pytest.raises(ValueError, match="injected"):
        memory.in_batches([1, 2, 3], work, together=together)
    assert tried == [[1, 2, 3]]
    assert together == memory.Together(8)


def test_batches_by_size() -> None:
    """Padding counts: three of size 4 are 12."""
    found: list[list[int]] = []
    memory.in_batches([1, 2, 4, 4, 9], found.append, together=memory.Together(8), size=int)
    assert found == [[1, 2], [4, 4], [9]]


def test_other_errors_are_not_taken_for_full_memory(
    sampler: LanguageSampler, cuts: list[Prefix], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(sampler)
    before = engine.halvings

    def forward(*_: Any) -> torch.Tensor:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(engine, "forward", forward)
    with pytest.raises(RuntimeError, match="shapes"):
        sampler.resample(cuts, seeds=SEEDS)
    assert engine.halvings == before


def test_little_memory_gives_few_rows(
    sampler: LanguageSampler, cuts: list[Prefix], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(sampler)
    most: list[int] = []
    right = engine.forward

    def forward(ids: torch.Tensor, *others: Any) -> torch.Tensor:
        most.append(len(ids))
        return right(ids, *others)

    monkeypatch.setattr(engine, "forward", forward)
    expected = ids_of(sampler.resample(cuts, seeds=SEEDS))
    roomy = max(most)
    most.clear()
    found = replace(sampler, memory_gb=1e-4).resample(cuts, seeds=SEEDS)
    assert ids_of(found) == expected
    assert max(most) < roomy


def test_kept_sequences_hold_no_graph_and_are_bounded(
    sampler: LanguageSampler, cuts: list[Prefix]
) -> None:
    """A graph would keep every activation of the pass alive."""
    engine = engine_of(sampler)
    engine.store.clear()
    blind = [replace(cut, origin=None) for cut in cuts]
    sampler.resample(blind, seeds=SEEDS)
    assert engine.store.kept
    assert not any(state.logits.requires_grad for state in engine.store.kept.values())
    replace(sampler, memory_gb=1e-5).resample(blind, seeds=SEEDS)
    assert sum(state.bytes for state in engine.store.kept.values()) <= 1e4 / 4


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 bytes"), True),
        (RuntimeError("size mismatch"), False),
    ],
)
def test_what_full_memory_looks_like(error: Exception, full: bool) -> None:
    assert memory.is_out_of_memory(error) is full


def test_rows_that_fit() -> None:
    cpu = torch.device("cpu")
    shape = {"per_token": 1000, "columns": 100, "shared": 50.0, "logits": 1000}
    # a row: 1000 * (2 * 100 + 50) + 32 * 1000 = 282_000 bytes
    assert memory.fitting_rows(2_820_000, cpu, **shape) == 10
    assert memory.fitting_rows(1, cpu, **shape) == 1
    assert memory.fitting_rows(10**12, cpu, **shape) == memory.MOST_ROWS["cpu"]


def test_forks_at_every_position(sampler: LanguageSampler, originals: list[Generation]) -> None:
    """From the first token to the last, equal wishes included; the limit stays absolute."""
    short = replace(sampler, max_new_tokens=10)
    for x in originals:
        sample = replace(x, token_ids=x.token_ids[:10], surprisal=x.surprisal[:10])
        at = [u for u in range(1, 11) for _ in range(3)]
        forks = short.fork([sample] * 30, at, seeds=[fold_in(9, i) for i in range(30)])
        for u, y in zip(at, forks, strict=True):
            assert y.token_ids[: u - 1] == sample.token_ids[: u - 1]
            assert y.token_ids[u - 1] != sample.token_ids[u - 1]
            assert len(y.token_ids) <= 10
            assert y.finish_reason == "length" or y.token_ids[-1] == 0
        assert len({y.token_ids for u, y in zip(at, forks, strict=True) if u == 1}) > 1
        assert {u for u, y in zip(at, forks, strict=True) if y.finish_reason == "length"}


class Waits(TorchFunctionMode):
    """Notes what makes the host wait for a GPU: values that are read back."""

    READ = ("item", "__contains__", "__bool__", "__int__", "__float__", "__index__", "tolist")
    COPIED = ("cpu", "numpy", "nonzero", "equal", "masked_select", "unique")

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in self.READ + self.COPIED:
            self.seen[name] += 1
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma3"])
@pytest.mark.parametrize("law", [{}, {"top_k": 5, "top_p": 0.9, "min_p": 0.01, "stop": ("ab",)}])
def test_no_step_waits_for_the_device(
    family: str, law: dict[str, Any], checkpoint: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: eight steps between two looks at who has finished."""
    sampler = LanguageSampler(
        path=str(checkpoint(family)), device="cpu", max_new_tokens=24, repetition_penalty=1.1, **law
    )
    starts = sampler.start(PROMPTS)
    monkeypatch.setattr("critwin.samplers.stream.STRIDE", {})
    engine, waits, steps, sent = engine_of(sampler), Waits(), [0], [0]
    forward, step, numbers = engine.forward, TokenDraws.step, token_draws.uniforms

    def watched_forward(*others: Any) -> Any:
        with waits:
            return forward(*others)

    def watched_step(draws: TokenDraws, logits: torch.Tensor) -> None:
        steps[0] += 1
        with waits:
            step(draws, logits)

    def counted(*arrays: Any) -> Any:
        sent[0] += 1
        return numbers(*arrays)

    monkeypatch.setattr(engine, "forward", watched_forward)
    monkeypatch.setattr(TokenDraws, "step", watched_step)
    monkeypatch.setattr(token_draws, "uniforms", counted)
    sampler.resample(starts, seeds=[[*range(10)]] * 3)
    assert steps[0] >= 16
    assert not waits.seen
    assert sent[0] <= steps[0] / 8
    with waits:  # it would have been seen
        assert 1 in torch.ones(1)
        assert torch.ones(1).item()
    assert waits.seen.keys() >= {"__contains__", "item"}


def test_bfloat16_is_near_float32(checkpoint: Checkpoints) -> None:
    """Cached or recomputed, bfloat16 has 8 digits: surprisals agree as far as these carry.

    How far is measured: by recomputing all in bfloat16 without cache, beside float32.
    """
    for family in ("llama", "gemma3", "gpt2"):
        path = checkpoint(family)
        rough = LanguageSampler(path=str(path), device="cpu", dtype="bfloat16", max_new_tokens=24)
        drawn = rough.resample(rough.start(PROMPTS), seeds=[[*range(12)]] * 3)
        samples = [x for own in drawn for x in own]
        assert len({x.token_ids for x in samples}) > 12
        found = np.concatenate([x.surprisal for x in samples])
        along = np.concatenate([p.surprisal for p in rough.paths(samples)])
        exact = np.concatenate(recomputed(reference(path, torch.float32), samples))
        plain = np.concatenate(recomputed(reference(path, torch.bfloat16), samples))
        error = np.sqrt(np.mean((plain - exact) ** 2))
        assert error > 1e-4
        for ours in (found, along):
            assert np.sqrt(np.mean((ours - exact) ** 2)) < 2 * error


def test_nothing_to_fork_to(sampler: LanguageSampler, originals: list[Generation]) -> None:
    certain = replace(sampler, temperature=0.0)
    ((x,),) = certain.resample(certain.start(PROMPTS[:1]), seeds=[[0]])
    with pytest.raises(ValueError, match="token 2 had probability 1"):
        certain.fork([x], [2], seeds=[0])
    only = replace(sampler, top_k=1)
    with pytest.raises(ValueError, match="token 1 had probability 1"):
        only.fork([x], [1], seeds=[0])
