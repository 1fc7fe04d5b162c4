"""Every family gives, through the engine, the logits that it gives without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from critwin.errors import ModelError
from critwin.generation import Generation, Prefix, truncate
from critwin.prompt import Prompt
from critwin.samplers.engine import Engine
from critwin.samplers.language import LanguageSampler
from critwin.samplers.shared_attention import ROOM
from critwin.seeds import fold_in
from tests.critwin.samplers.conftest import Checkpoints
from tests.critwin.samplers.families import FAMILIES, REFUSED
from tests.critwin.samplers.recomputing import greedy, recomputed, reference

PROMPTS = [Prompt("ab"), Prompt("hello"), Prompt("themoonisaharshmistress")]
LIMIT = 90


def length(x: Generation) -> int:
    return len(x.token_ids)


def cuts_of(x: Generation) -> list[Prefix]:
    """Cut at the first, a middle and the last position; what stood behind is not told."""
    n = len(x.token_ids)
    return [replace(truncate(x, level), origin=None) for level in (0, n // 2, n - 1)]


def engine_of(sampler: LanguageSampler) -> Engine:
    engine = sampler.loaded.decoder
    assert isinstance(engine, Engine)
    return engine


@pytest.mark.parametrize("family", FAMILIES)
def test_drawn_surprisals_are_those_of_full_recomputation(
    family: str, checkpoint: Checkpoints
) -> None:
    """27 draws of up to 90 tokens go through 4 rows: rows are refilled, columns dropped and added.

    Tolerance: models of float64 still round norms, angles and eager attention's softmax to float32.
    A model that is float32 altogether rounds these and all else, so its distance from the float64
    model bounds what they can differ by.
    """
    sampler = LanguageSampler(
        path=str(checkpoint(family)), device="cpu", deterministic=True, max_new_tokens=LIMIT
    )
    starts = sampler.start(PROMPTS)
    seeds = [[fold_in(0, i, r) for r in range(6)] for i in range(3)]
    originals = [max(xs, key=length) for xs in sampler.resample(starts, seeds=seeds)]
    cuts = [cut for x in originals for cut in cuts_of(x)]
    seeds = [[fold_in(1, i, r) for r in range(3)] for i in range(len(cuts))]
    few = replace(sampler, batch_size=4)
    drawn = [x for xs in few.resample(cuts, seeds=seeds) for x in xs]
    kept = [cut.level for cut in cuts for _ in range(3)]
    new = sum(length(x) - level for x, level in zip(drawn, kept, strict=True))
    assert new > 4 * ROOM
    samples = originals + drawn

    exact = np.concatenate(recomputed(reference(checkpoint(family)), samples))
    rough = np.concatenate(recomputed(reference(checkpoint(family), torch.float32), samples))
    tolerance = np.abs(rough - exact).max()
    assert 0 < tolerance < 1e-3
    assert np.abs(np.concatenate([x.surprisal for x in samples]) - exact).max() < tolerance
    along = np.concatenate([path.surprisal for path in sampler.paths(samples)])
    assert np.abs(along - exact).max() < tolerance
    # and in several passes, as where memory is full; their ends fall inside of windows
    store = engine_of(sampler).store
    store.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.together, "most", 16)
        pieces = np.concatenate([path.surprisal for path in sampler.paths(samples)])
    assert np.abs(pieces - exact).max() < tolerance


@pytest.mark.parametrize("family", FAMILIES)
def test_temperature_0_is_generate_from_every_cut(family: str, checkpoint: Checkpoints) -> None:
    sampler = LanguageSampler(
        path=str(checkpoint(family)), device="cpu", deterministic=True, max_new_tokens=LIMIT
    )
    starts = sampler.start(PROMPTS)
    originals = sampler.resample(starts, seeds=[[2], [3], [4]])
    cuts = [cuts_of(x)[i] for i, (x,) in enumerate(originals)]
    model = reference(checkpoint(family))
    assert_greedy(sampler, model, cuts)


def assert_greedy(sampler: LanguageSampler, model: object, cuts: list[Prefix]) -> None:
    for cut in cuts:
        until = replace(sampler, temperature=0.0, max_new_tokens=min(cut.level + 8, LIMIT))
        ((x,),) = until.resample([cut], seeds=[[0]])
        assert list(x.token_ids) == greedy(model, cut, until.max_new_tokens - cut.level)


@pytest.mark.parametrize("family", REFUSED)
def test_what_the_engine_refuses_the_plain_path_decodes(
    family: str, checkpoint: Checkpoints
) -> None:
    sampler = LanguageSampler(
        path=str(checkpoint(family)), device="cpu", deterministic=True, max_new_tokens=12
    )
    with pytest.raises(ModelError, match=r"model\.engine is 'shared'; .*; allowed here: plain"):
        sampler.start(PROMPTS)
    plain = replace(sampler, engine="plain")
    originals = [x for (x,) in plain.resample(plain.start(PROMPTS[:2]), seeds=[[2], [4]])]
    cuts = [cuts_of(x)[1] for x in originals]
    drawn = plain.resample(cuts, seeds=[[1, 2]] * 2)
    samples = originals + [x for xs in drawn for x in xs]
    exact = np.concatenate(recomputed(reference(checkpoint(family)), samples))
    rough = np.concatenate(recomputed(reference(checkpoint(family), torch.float32), samples))
    found = np.concatenate([x.surprisal for x in samples])
    assert np.abs(found - exact).max() < np.abs(rough - exact).max() < 1e-3
    assert_greedy(plain, reference(checkpoint(family)), cuts)


def test_a_model_that_differs_from_itself_is_refused(
    checkpoint: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the angles of a model to depend on the tokens in its batch, prefixes could not help."""
    from transformers.models.llama import modeling_llama

    right = modeling_llama.LlamaRotaryEmbedding.forward

    def relative(self: object, x: torch.Tensor, position_ids: torch.Tensor) -> object:
        return right(self, x, position_ids - position_ids[:, :1] // 2)

    monkeypatch.setattr(modeling_llama.LlamaRotaryEmbedding, "forward", relative)
    sampler = LanguageSampler(path=str(checkpoint("llama")), device="cpu", dtype="float64")
    with pytest.raises(ModelError, match="other logits when prefixes are shared"):
        sampler.start(PROMPTS)


def test_plain_and_shared_draw_the_same(checkpoint: Checkpoints) -> None:
    """Equal tokens; surprisals but for attention's softmax, which the plain path has in float32."""
    shared = LanguageSampler(
        path=str(checkpoint("mistral")),
        device="cpu",
        deterministic=True,
        max_new_tokens=24,
        top_p=0.9,
        repetition_penalty=1.3,
    )
    (xs,) = shared.resample(shared.start(PROMPTS[1:2]), seeds=[[fold_in(0, i) for i in range(3)]])
    cuts = [truncate(x, level) for x in xs for level in (0, 3)]
    seeds = [[fold_in(1, i, r) for r in range(3)] for i in range(len(cuts))]
    forked = [(x, u) for x in xs for u in (1, 2) if x.surprisal[u - 1] > 0]
    found = []
    for sampler in (shared, replace(shared, engine="plain", batch_size=7)):
        drawn = [x for own in sampler.resample(cuts, seeds=seeds) for x in own]
        at = [u for _, u in forked]
        drawn += sampler.fork([x for x, _ in forked], at, seeds=[*range(len(at))])
        found.append(drawn)
    for x, y in zip(*found, strict=True):
        assert (x.token_ids, x.finish_reason) == (y.token_ids, y.finish_reason)
        np.testing.assert_allclose(x.surprisal, y.surprisal, atol=1e-3)
