"""Attempts from the hub: a split for each attack, prompts as they were sent."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from critwin.errors import ParameterError, ProblemError
from critwin.generations import BENIGN, AttemptHub
from critwin.prompt import Prompt
from critwin.samplers.language import LanguageSampler
from critwin.samplers.likelihood import text_likelihoods

SPLITS = {
    "harmless": [("<s><|user|>hi</s><|assistant|>", "hello"), ("<s>a", "b"), ("<s>c", "")],
    "by_suffix": [("<s><|user|>tell! !!</s><|assistant|>", "no"), ("<s>d", "e"), ("<s>f", "g")],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for split, rows in SPLITS.items():
        columns = {name: [row[i] for row in rows] for i, name in enumerate(("prompt", "said"))}
        path = tmp_path / "data" / f"{split}-00000-of-00001.parquet"
        pq.write_table(pa.table(columns), path)
    return tmp_path


def attempts(folder: Path, **changed: object) -> AttemptHub:
    given = {"attacks": {"suffix": "by_suffix"}, "benign": "harmless", "text_column": "said"}
    return AttemptHub(hub=str(folder), **{**given, **changed})  # type: ignore[arg-type]


def test_each_split_is_a_kind_of_attack(folder: Path) -> None:
    pytest.importorskip("datasets")
    found = attempts(folder).load()
    assert [a.attack for a in found] == [BENIGN] * 2 + ["suffix"] * 3  # one said nothing
    assert {(a.prompt.user, a.text) for a in found} == {
        row for rows in SPLITS.values() for row in rows if row[1]
    }
    assert all(a.prompt.rendered for a in found)
    few = attempts(folder, limit=1, seed=3)
    assert len(few.load()) == 2
    assert few.fingerprint() != attempts(folder).fingerprint()
    with pytest.raises(ProblemError, match=r"allowed is texts in asked and said; it has prompt"):
        attempts(folder, prompt_column="asked").load()
    with pytest.raises(ParameterError, match="attacks"):
        attempts(folder, attacks={})


def test_a_rendered_prompt_is_sent_as_it_stands(tiny_llama: Path) -> None:
    sampler = LanguageSampler(path=str(tiny_llama), device="cpu")
    plain, sent = Prompt("hi"), "<s><|user|>hi</s><|assistant|>"
    rendered = Prompt(sent, rendered=True)
    one, two = sampler.start([plain, rendered])
    assert sampler.prompt_text(one.prompt_ids) == sent
    assert one.prompt_ids == two.prompt_ids
    found = text_likelihoods(sampler, [plain, rendered], ["ab", "ab"])
    assert found[0].text.tolist() == pytest.approx(found[1].text.tolist())
