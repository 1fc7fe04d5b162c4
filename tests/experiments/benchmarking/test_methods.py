"""Every method does the same work: the same tokens where nothing is drawn, the same limits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from critwin.forward_reverse import forward_reverse
from critwin.samplers.language import LanguageSampler
from experiments.benchmarking.continuous_batching import ContinuousBatching
from experiments.benchmarking.plain_generation import Checkpoint, Drawn, PlainGeneration
from experiments.benchmarking.work import Work

END = 0
WAYS = ("one prefix in a call", "several prefixes in a call", "continuous batching")

Letters = Callable[..., LanguageSampler]
WorkOf = Callable[..., Work]


def drawn(way: str, checkpoint: Checkpoint, work: Work) -> Drawn:
    if way == "continuous batching":
        with ContinuousBatching(checkpoint, rows=8).ready(work.cuts()) as draw:
            return draw()
    return PlainGeneration(checkpoint, rows=4, mixed="several" in way).draw(work.cuts())


@pytest.mark.parametrize("way", WAYS)
def test_the_most_probable_tokens_are_those_of_the_engine(
    way: str, letters: Letters, work_of: WorkOf
) -> None:
    sampler = letters(temperature=0.0)
    work = work_of(letters())
    rows = drawn(way, Checkpoint.of(sampler), work)
    engine = forward_reverse(sampler, work.samples, work.levels, draws=3, seeds=work.seeds)
    assert rows == [
        [list(x.token_ids[level:]) for x in draws]
        for levels, own in zip(work.levels, engine, strict=True)
        for level, draws in zip(levels, own, strict=True)
    ]


@pytest.mark.parametrize("way", WAYS)
def test_a_resample_ends_with_the_end_token_or_at_the_limit(
    way: str, letters: Letters, work_of: WorkOf
) -> None:
    sampler = letters()
    work = work_of(sampler, draws=12)
    rows = drawn(way, Checkpoint.of(sampler), work)
    assert [len(own) for own in rows] == [12] * len(work.cuts())
    ended = []
    for cut, own in zip(work.cuts(), rows, strict=True):
        for ids in own:
            ended.append(ids[-1] == END)
            assert END not in ids[:-1]
            assert len(ids) <= cut.room
            assert ended[-1] or len(ids) == cut.room
    assert any(ended)
    assert not all(ended)


def test_the_rows_of_a_call_fit_into_the_context(letters: Letters, work_of: WorkOf) -> None:
    """A long prefix beside a short one with much room: together they are beyond 32 positions."""
    sampler = letters(max_new_tokens=100)
    work = work_of(sampler, draws=5)
    cuts = work.cuts()
    longest = max(len(cut.ids) for cut in cuts) + max(cut.room for cut in cuts)
    assert longest > sampler.loaded.context
    way = PlainGeneration(Checkpoint.of(sampler), rows=64, mixed=True)
    batches = [*way._batches(cuts)]
    assert sorted(i for batch in batches for i in batch) == [
        i for i in range(len(cuts)) for _ in range(5)
    ]
    for batch in batches:
        own = [cuts[i] for i in batch]
        assert max(len(c.ids) for c in own) + max(c.room for c in own) <= sampler.loaded.context
    assert any(len({*batch}) > 1 for batch in batches)
    for cut, own_ids in zip(cuts, way.draw(cuts), strict=True):
        assert all(len(ids) == cut.room or ids[-1] == END for ids in own_ids)


def test_a_stop_string_ends_a_resample(letters: Letters, work_of: WorkOf) -> None:
    checkpoint = Checkpoint.of(letters(stop=("b",)))
    rows = PlainGeneration(checkpoint, rows=64).draw(work_of(letters(), draws=12).cuts())
    texts = [checkpoint.tokenizer.decode(ids) for own in rows for ids in own]
    assert any(text.endswith("b") for text in texts)
    assert not any("b" in text[:-1] for text in texts)
    assert any("b" not in text for text in texts)


def test_what_continuous_batching_cannot_draw_is_said(letters: Letters) -> None:
    def refusal(**parameters: object) -> str | None:
        return ContinuousBatching(Checkpoint.of(letters(**parameters)), rows=8).refusal()

    assert refusal() is None
    assert refusal(stop=("b",)) == "it knows no stop strings"
    assert refusal(repetition_penalty=1.2) == "it knows no repetition penalty"


def test_the_limit_of_a_cut_is_that_of_its_original(letters: Letters, work_of: WorkOf) -> None:
    work = work_of(letters())
    assert work.limits == [12, 12, 12]
    longest = [12 + len(work.samples[i].prompt_ids) for i in range(3) for _ in work.levels[i]]
    assert [len(cut.ids) + cut.room for cut in work.cuts()] == longest
    # the context of the model is 32 tokens, the prompt's among them
    long = work_of(letters(max_new_tokens=100))
    assert long.limits == [32 - len(x.prompt_ids) for x in long.samples]
