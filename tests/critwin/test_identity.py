"""The run id hashes what determines the numbers, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from critwin.features.math_answer import MathAnswer
from critwin.identity import identity, run_id
from critwin.problems.gsm8k import Gsm8k
from critwin.prompt import PromptTemplate
from critwin.protocol import Fractions, Sampling
from critwin.samplers.language import LanguageSampler
from critwin.samplers.markov_string import MarkovString
from critwin.windows.paper_jump import PaperJump
from experiments.llm_math import LlmMath


def experiment(folder: Path, **changes: object) -> LlmMath:
    parts: dict[str, object] = {
        "model": LanguageSampler(path=str(folder)),
        "dataset": Gsm8k(path=str(problem_file(folder))),
        "prompt": PromptTemplate(),
        "sampler": Fractions(),
        "feature": MathAnswer(),
        "window": PaperJump(),
        **changes,
    }
    return LlmMath(**parts)  # type: ignore[arg-type]


def problem_file(folder: Path) -> Path:
    path = folder.parent / "problems.jsonl"
    path.write_text('{"question": "How many?", "answer": "#### 3"}\n')
    return path


def test_where_and_how_fast_do_not_count(tiny_letters: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_letters, copy)
    here = experiment(tiny_letters).run_id()
    assert experiment(copy).run_id() == here
    faster = LanguageSampler(path=str(copy), batch_size=3, device="cpu")
    assert experiment(tiny_letters, model=faster).run_id() == here
    noted = PromptTemplate(source="from memory")
    assert experiment(tiny_letters, prompt=noted).run_id() == here


def test_every_setting_that_changes_numbers_counts(tiny_letters: Path) -> None:
    changes: list[dict[str, object]] = [
        {},
        {"seed": 1},
        {"originals_per_problem": 5},
        {"sampler": Fractions(n=26)},
        {"sampler": Fractions(temperature=0.5)},
        {"window": PaperJump(threshold=0.1)},
        {"feature": MathAnswer(anywhere=True)},
        {"prompt": PromptTemplate(prefix="Well,")},
        {"model": MarkovString()},
        {"model": LanguageSampler(path=str(tiny_letters), deterministic=True)},
    ]
    ids = [experiment(tiny_letters, **change).run_id() for change in changes]
    assert len(set(ids)) == len(changes)


def test_sampling_parameters_count_once_wherever_they_are_spelled(tiny_letters: Path) -> None:
    in_model = LanguageSampler(path=str(tiny_letters), temperature=0.5)
    spelled = experiment(tiny_letters, sampler=Fractions(temperature=0.5))
    assert experiment(tiny_letters, model=in_model).run_id() == spelled.run_id()
    default = experiment(tiny_letters, sampler=Fractions(temperature=1.0))
    assert default.run_id() == experiment(tiny_letters).run_id()


def test_identity_is_plain_and_refuses_what_it_cannot_describe() -> None:
    described = identity({"a": (1, 2.5, None, True), "b": Sampling(top_k=3)})
    assert described == {
        "a": [1, 2.5, None, True],
        "b": {
            "class": "critwin.protocol.Sampling",
            "temperature": None,
            "top_k": 3,
            "top_p": None,
            "min_p": None,
            "repetition_penalty": None,
            "max_new_tokens": None,
            "stop": None,
        },
    }
    assert len(run_id("x", {"a": 1})) == 16
    with pytest.raises(TypeError, match="no identity"):
        identity(object())
