"""Named models: pinned, with their own sampling, which the command line goes before."""

from __future__ import annotations

import re

import pytest
from omegaconf import OmegaConf

from critwin.samplers.token_sampler import TokenSampler
from experiments.llm_math import LlmMath
from launch.build import build
from launch.catalogue import CONF
from tests.conf.test_conf_files import compose

PAPER = {
    "llama_3_1_8b_instruct": (0.6, 0.9),
    "phi_3_small_8k_instruct": (1.0, 1.0),
    "qwen2_5_7b_instruct": (0.7, 0.8),
}
"""Temperature and top-p: THEORY of the paper's Section 6.2, and the generation configs."""

SERVERS = [path.stem for path in sorted((CONF / "model").glob("*_server.yaml"))]
UNPINNED = {"phi_3_small_8k_instruct"}


def run_of(*overrides: str) -> LlmMath:
    experiment = build(compose("+exp=llm_math", "sampler=fractions", *overrides)).experiment
    assert isinstance(experiment, LlmMath)
    return experiment


def drawn_from(experiment: LlmMath) -> TokenSampler:
    model = experiment.determining().model
    assert isinstance(model, TokenSampler)
    return model


@pytest.mark.parametrize("name", PAPER)
def test_a_model_of_the_paper_draws_as_in_the_paper(name: str) -> None:
    model = drawn_from(run_of(f"model={name}"))
    assert (model.temperature, model.top_p) == PAPER[name]
    assert (model.top_k, model.max_new_tokens) == (None, 2048)


def test_the_command_line_goes_before_a_models_own_sampling() -> None:
    name = "model=llama_3_1_8b_instruct"
    for overrides, temperature in (
        ([], 0.6),
        (["model.temperature=0.9"], 0.9),
        (["sampler.temperature=0.2"], 0.2),
        (["model.temperature=0.9", "sampler.temperature=0.2"], 0.2),
        (["sampler.temperature=0.2", "model.temperature=0.9"], 0.2),
    ):
        for ordered in ([name, *overrides], [*overrides, name]):
            model = drawn_from(run_of(*ordered))
            assert (model.temperature, model.top_p) == (temperature, 0.9)
    # another choice of protocol sets nothing by itself
    assert drawn_from(run_of(name, "sampler=every_token")).temperature == 0.6


@pytest.mark.parametrize("name", SERVERS)
def test_a_served_model_draws_as_the_model_does(name: str) -> None:
    here, there = (drawn_from(run_of(f"model={n}")) for n in (name.removesuffix("_server"), name))
    for key in TokenSampler.__dataclass_fields__:
        assert getattr(here, key) == getattr(there, key), key


def test_language_models_of_the_hub_are_pinned_and_run_no_code_of_their_own() -> None:
    seen = set()
    for path in sorted((CONF / "model").glob("*.yaml")):
        plain = OmegaConf.to_container(OmegaConf.load(path))
        assert isinstance(plain, dict)
        assert plain.get("trust_remote_code", False) is False
        language = path.stem in SERVERS or "LanguageSampler" in str(plain.get("_target_"))
        if language and "/" in str(plain["path"]):
            seen.add(path.stem)
            pinned = re.fullmatch(r"[0-9a-f]{40}", str(plain["revision"])) is not None
            assert pinned == (path.stem not in UNPINNED)
    assert seen >= set(PAPER) | set(SERVERS)


def test_what_the_chat_template_is_given_can_be_changed() -> None:
    model = drawn_from(run_of("model=qwen3_8b", "model.chat_arguments.enable_thinking=false"))
    assert model.chat_arguments == {"enable_thinking": False}
    added = drawn_from(run_of("model=gemma_3_12b_it", "+model.chat_arguments.some_flag=1"))
    assert added.chat_arguments == {"some_flag": 1}
