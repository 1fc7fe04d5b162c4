"""Ways of loading a checkpoint: adapters, bits, device maps, attention, code of its own."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from critwin.errors import ModelError, ParameterError
from critwin.generation import Generation
from critwin.prompt import Prompt
from critwin.samplers import checkpoint, language
from critwin.samplers.language import LanguageSampler
from tests.critwin.samplers.recomputing import recomputed, reference

# peft 0.21 asks transformers 5.23 by a name that it renames
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.fixture(scope="module")
def adapter(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA whose weights are not zero, as peft saves it."""
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("adapter")
    torch.manual_seed(5)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    adapted = get_peft_model(reference(tiny_llama, torch.float32), config)
    for name, weight in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.5)
    adapted.save_pretrained(folder)
    return folder


def drawn(sampler: LanguageSampler) -> list[Generation]:
    start = sampler.start([Prompt("how many apples?")])
    return sampler.resample(start, seeds=[[*range(12)]])[0]


@pytest.mark.parametrize("engine", ["shared", "plain"])
def test_an_adapter_changes_the_law_as_it_does_in_peft(
    tiny_llama: Path, adapter: Path, engine: str
) -> None:
    from peft import PeftModel

    plain = LanguageSampler(path=str(tiny_llama), device="cpu", engine=engine, max_new_tokens=6)
    adapted = replace(plain, adapter=str(adapter))
    xs = drawn(adapted)
    expected = recomputed(PeftModel.from_pretrained(reference(tiny_llama), adapter), xs)
    for x, nats, path in zip(xs, expected, adapted.paths(xs), strict=True):
        np.testing.assert_allclose(x.surprisal, nats, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(path.surprisal, nats, rtol=1e-3, atol=1e-4)
    without = recomputed(reference(tiny_llama), xs)
    assert max(np.abs(a - b).max() for a, b in zip(expected, without, strict=True)) > 0.05
    # its content counts, where it lies does not
    assert adapted.fingerprint().startswith(plain.fingerprint() + "+")
    assert "adapter" in adapted.facts()
    assert "adapter" in LanguageSampler.execution


def test_what_is_no_adapter_is_refused(tiny_llama: Path) -> None:
    with pytest.raises(ParameterError, match=r"adapter is .*a folder that holds adapter_config"):
        LanguageSampler(path=str(tiny_llama), adapter=str(tiny_llama))
    with pytest.raises(ModelError, match=r"model\.adapter is 'no/such'; it is no folder here"):
        LanguageSampler(path=str(tiny_llama), adapter="no/such").fingerprint()


@pytest.mark.parametrize(
    ("settings", "package"),
    [
        ({"adapter": "a/b"}, "peft"),
        ({"quantization": "4bit"}, "bitsandbytes"),
        ({"device_map": "auto"}, "accelerate"),
    ],
)
def test_a_missing_package_is_named(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], package: str
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        language, "find_spec", lambda name: None if name == package else there(name)
    )
    message = rf"{next(iter(settings))} is .*{package} is not installed \(pip install 'critwin\["
    with pytest.raises(ParameterError, match=message):
        LanguageSampler(path=str(tiny_llama), **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attention": "sdpa"}, "attention is 'sdpa'; allowed: null, because engine=shared"),
        ({"attention": "flash", "engine": "plain"}, "attention is 'flash'; allowed: null, eager"),
        ({"device_map": "nowhere"}, "device_map is 'nowhere'; allowed: null or one of auto"),
        ({"device_map": "auto", "device": "cpu"}, "device is 'cpu'; allowed: auto where"),
        ({"chat_arguments": {"tokenize": True}}, "names other than tokenize"),
        ({"shown": "<think>"}, "a list of names of special tokens"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tiny_llama: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        LanguageSampler(path=str(tiny_llama), **settings)


def test_attention_and_device_map_do_not_change_the_law(tiny_llama: Path) -> None:
    plain = LanguageSampler(path=str(tiny_llama), engine="plain", max_new_tokens=6)
    expected = drawn(plain)
    ways = [{"attention": "eager"}, {"attention": "sdpa"}]
    if not torch.cuda.is_available():
        ways.append({"device_map": "auto"})
    for way in ways:
        other = replace(plain, **way)
        assert [x.token_ids for x in drawn(other)] == [x.token_ids for x in expected]
        assert other.fingerprint() == plain.fingerprint()
    with pytest.raises(ModelError, match=r"it cannot be loaded: "):
        drawn(replace(plain, attention="no/such"))


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_packed_weights_have_a_law_of_their_own(tiny_llama: Path, bits: Any) -> None:
    pytest.importorskip("bitsandbytes", reason="critwin[large] is not installed")
    plain = LanguageSampler(path=str(tiny_llama), device="cpu", max_new_tokens=6)
    packed = replace(plain, quantization=bits)
    xs = drawn(packed)
    drew = np.concatenate([x.surprisal for x in xs])
    read = np.concatenate([path.surprisal for path in packed.paths(xs)])
    np.testing.assert_allclose(drew, read, atol=0.2 if bits == "8bit" else 1e-3)
    own = np.concatenate([path.surprisal for path in plain.paths(xs)])
    assert np.abs(drew - own).max() > 1e-3  # another model
    assert packed.fingerprint() == plain.fingerprint()
    assert "quantization" not in LanguageSampler.execution  # and so another run


def test_layers_on_several_devices_need_the_plain_engine() -> None:
    class Spread:
        hf_device_map = {"model.layers.0": 0, "model.layers.1": 1}  # noqa: RUF012

    with pytest.raises(ModelError, match=r"several devices \(0, 1\).*allowed here: plain"):
        checkpoint._decoder(Spread(), "shared")


def test_shown_names_have_to_be_special_tokens(tiny_llama: Path) -> None:
    sampler = LanguageSampler(path=str(tiny_llama), device="cpu", shown=("<think>",))
    with pytest.raises(ModelError, match=r"'<think>' is no special token .*allowed: <s>"):
        sampler.text([5])


def test_a_revision_that_can_change_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    commit = "0123456789" * 4
    monkeypatch.setattr(checkpoint, "hub_commit", lambda *_: commit)
    found = checkpoint.origin("org/name", "main")
    assert (found["revision"], found["content"], found["pinned"]) == ("main", commit, False)
    assert found["warning"] == (
        f"org/name is taken at main, which can change; the commit of this run is {commit}"
    )
    assert "warning" not in checkpoint.origin("org/name", commit)
    checkpoint.warn_unpinned.cache_clear()
    for _ in range(2):
        checkpoint.warn_unpinned("org/name", None)
    assert len(caplog.records) == 1
    assert f"{commit}; model.revision=COMMIT pins it" in caplog.text
    checkpoint.warn_unpinned.cache_clear()
