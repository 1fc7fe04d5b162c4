"""Training of the embedded model: resume, refusals, grading, and what is shipped."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from critwin.errors import ParameterError
from critwin.problems.arithmetic import ArithmeticProblems, outcomes
from critwin.problems.arithmetic_tokens import ArithmeticCorpus, sample_ids
from critwin.records import RunDirectory
from experiments.arithmetic_export import grade, sample_chains
from experiments.experiment import carry_out, is_complete
from experiments.language_training import TrainSettings, train
from experiments.tracker import Silent
from experiments.train_arithmetic import TrainArithmetic

TINY = TrainSettings(
    steps=9,
    batch_size=4,
    warmup_steps=2,
    n_layer=1,
    n_head=2,
    n_embd=16,
    validate_every=3,
    validation_problems=8,
    evaluate_problems=3,
    evaluate_samples=2,
)
SHIPPED = Path(str(files("critwin"))) / "assets" / "arithmetic"


class _Killed(Exception):
    """Stands for a kill: nothing after it runs."""


def _ignore(row: dict[str, float]) -> None:
    """Take no notice."""


def _kill_at(step: int) -> object:
    def report(row: dict[str, float]) -> None:
        if row["step"] == step:
            raise _Killed

    return report


def _checkpoint(folder: Path) -> tuple[dict[str, str], dict[str, bytes]]:
    from safetensors import safe_open
    from safetensors.numpy import load_file

    with safe_open(folder / "checkpoint.safetensors", framework="np") as stored:
        metadata = stored.metadata()
    tensors = load_file(folder / "checkpoint.safetensors")
    return metadata, {name: tensor.tobytes() for name, tensor in tensors.items()}


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    train(ArithmeticCorpus(), out=tmp_path / "whole", settings=TINY, report=_ignore)
    for step in (1, 4, 6):  # before the first checkpoint, between two, right after one
        with pytest.raises(_Killed):
            train(ArithmeticCorpus(), out=tmp_path / "killed", settings=TINY, report=_kill_at(step))
    train(ArithmeticCorpus(), out=tmp_path / "killed", settings=TINY, report=_ignore)
    (whole, tensors), (resumed, others) = map(
        _checkpoint, (tmp_path / "whole", tmp_path / "killed")
    )
    assert tensors == others
    states = [json.loads(metadata["state"]) for metadata in (whole, resumed)]
    for state in states:
        del state["seconds"]
    assert states[0] == states[1]
    assert states[0]["finished"]
    assert states[0]["step"] == TINY.steps


def test_other_settings_do_not_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    short = replace(TINY, steps=1)
    train(ArithmeticCorpus(), out=tmp_path, settings=short, report=_ignore)
    with pytest.raises(ParameterError, match="out"):
        train(ArithmeticCorpus(), out=tmp_path, settings=replace(short, seed=1), report=_ignore)


def test_training_stops_when_validation_stalls(tmp_path: Path) -> None:
    # A rate so small that no weight moves: no validation after the first one is better.
    stalled = replace(TINY, learning_rate=1e-30, weight_decay=0.0, patience=1, steps=50)
    run = train(ArithmeticCorpus(), out=tmp_path, settings=stalled, report=_ignore)
    assert run.state.step == 2 * stalled.validate_every


class _Rows(Silent):
    """Keeps what is told; dies at one of the rows if asked to."""

    def __init__(self, die_after: int = 10**9) -> None:
        self.rows: list[dict[str, float]] = []
        self.die_after = die_after

    def log(self, row: Mapping[str, float]) -> None:
        self.rows.append(dict(row))
        if len(self.rows) >= self.die_after:
            raise _Killed


def _ship(folder: Path, told: _Rows) -> RunDirectory:
    directory = RunDirectory(folder)
    experiment = TrainArithmetic(**asdict(TINY))
    carry_out(experiment, directory, config="seed: 0\n", tracker=told, progress=told)
    return directory


def test_the_whole_path_ships_a_model_after_a_kill_too(tmp_path: Path) -> None:
    told = _Rows()
    whole = _ship(tmp_path / "whole", told)
    assert [row["step"] for row in told.rows] == [3.0, 6.0, 9.0]
    with pytest.raises(_Killed):
        _ship(tmp_path / "killed", _Rows(die_after=2))
    killed = RunDirectory(tmp_path / "killed")
    assert not is_complete(killed, TrainArithmetic.products)
    _ship(killed.path, _Rows())
    weights = "model/model.safetensors"
    assert (killed.path / weights).read_bytes() == (whole.path / weights).read_bytes()
    card = json.loads((whole.path / "model" / "card.json").read_text())
    assert card["settings"] == asdict(TINY)
    assert card["measured"]["problems"] == 3
    names = {path.name for path in (whole.path / "model").iterdir()}
    assert {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json"} <= names
    readme = (whole.path / "model" / "README.md").read_text()
    assert "python -m launch +exp=train_arithmetic" in readme
    assert not whole.parts.exists()
    told.rows.clear()
    _ship(whole.path, told)
    assert not told.rows


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", -1), ("steps", 0), ("learning_rate", 0.0), ("n_head", 3), ("weight_decay", -0.1)],
)
def test_bad_settings_are_refused(name: str, value: float) -> None:
    with pytest.raises(ParameterError, match=name):
        TrainSettings(**{name: value})  # type: ignore[arg-type]


def test_rate_warms_up_and_falls() -> None:
    settings = TrainSettings(steps=100, warmup_steps=10, learning_rate=1.0)
    rates = [settings.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) in (9, 10)
    assert all(a >= b for a, b in pairwise(rates[10:]))
    assert rates[-1] == pytest.approx(0.05, abs=0.001)


def test_grade_tells_why_a_chain_is_wrong() -> None:
    for story in ArithmeticProblems(n_problems=60).stories():
        for outcome in outcomes(story):
            seen = grade(story, outcome.chain.text)
            assert seen.written
            assert seen.right == (outcome.chain.answer == story.answer)
            assert seen.true_statements == seen.statements
            kinds = [c.branch.kind for c in outcome.chain.choices if c.wrong]
            assert seen.error == (kinds[0] if kinds else None)
    story = ArithmeticProblems(n_problems=1).stories()[0]
    spoiled = grade(story, f"1 + 1 = 3. The answer is {story.answer + 1}.")
    assert (spoiled.error, spoiled.statements, spoiled.true_statements) == ("arithmetic", 1, 0)
    silent = grade(story, "Let us count.")
    assert silent.unscored
    assert silent.error == "other"


def test_shipped_weights_are_those_of_the_card() -> None:
    card = json.loads((SHIPPED / "card.json").read_text())
    weights = (SHIPPED / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == card["sha256"]
    assert len(weights) < 8e6
    assert card["settings"] == asdict(TrainSettings())  # the command on the card makes them again
    readme = (SHIPPED / "README.md").read_text()
    assert card["sha256"] in readme
    assert 0.70 <= card["measured"]["accuracy"] <= 0.85
    assert card["measured"]["arithmetic_right"] >= 0.97


def test_shipped_tokenizer_is_the_generators() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(SHIPPED)
    rng = random.Random(3)
    for story in ArithmeticProblems(n_problems=200).stories():
        chain = rng.choice(outcomes(story)).chain.text
        ids, prompt = sample_ids(story.question, chain)
        assert tokenizer(f"{story.question}\n{chain}").input_ids == ids[:-1]
        assert tokenizer(f"{story.question}\n").input_ids == ids[:prompt]
        assert tokenizer.decode(ids, skip_special_tokens=True) == f"{story.question}\n{chain}"
    assert tokenizer.unk_token_id in tokenizer("Zoë has 12 unicorns.").input_ids


def test_shipped_model_is_as_good_as_its_card() -> None:
    card = json.loads((SHIPPED / "card.json").read_text())["measured"]
    stories = ArithmeticProblems(n_problems=80, seed=1).stories()
    questions = [story.question for story in stories]
    chains = sample_chains(SHIPPED, questions, samples=1, seed=1)
    accuracy = sum(
        grade(story, chain).right for story, (chain,) in zip(stories, chains, strict=True)
    ) / len(stories)
    lower = card["accuracy_interval"][0]
    # Four standard errors of a share over 80 problems below the interval's lower end.
    assert accuracy > lower - 4 * math.sqrt(lower * (1 - lower) / len(stories))


def test_kept_steps_are_those_of_the_training_and_survive_a_kill(tmp_path: Path) -> None:
    settings = {f.name: getattr(TINY, f.name) for f in fields(TINY)}
    run = TrainArithmetic(**settings, keep_steps=(2, 9))
    whole = RunDirectory(tmp_path / "whole")
    carry_out(run, whole, config="", tracker=Silent(), progress=Silent())
    folder = whole.path / "checkpoints"
    assert sorted(p.name for p in folder.iterdir()) == ["step-000002", "step-000009"]
    assert is_complete(whole, run.products)

    def kept(out: Path, report: object) -> dict[int, float]:
        found: dict[int, float] = {}

        def keep(step: int, model: Any) -> None:
            found.setdefault(step, float(model.lm_head.weight.detach().sum()))

        train(
            ArithmeticCorpus(),
            out=out,
            settings=TINY,
            report=report,  # type: ignore[arg-type]
            keep=keep,
        )
        return found

    undisturbed = kept(tmp_path / "once", _ignore)
    assert list(undisturbed) == list(range(1, 10))
    with pytest.raises(_Killed):
        kept(tmp_path / "killed", _kill_at(5))
    after = kept(tmp_path / "killed", _ignore)
    assert list(after) == list(range(4, 10))  # from the checkpoint at step 3
    assert after == {step: undisturbed[step] for step in after}


@pytest.mark.parametrize("steps", [(0,), (10,), (3, 3), (5, 2), (1.5,)])
def test_steps_that_cannot_be_kept_are_refused(steps: tuple[int, ...]) -> None:
    settings = {f.name: getattr(TINY, f.name) for f in fields(TINY)}
    with pytest.raises(ParameterError, match="keep_steps"):
        TrainArithmetic(**settings, keep_steps=steps)
