"""Training of the embedded model: resume, refusals, grading, and what is shipped."""

from __future__ import annotations

import hashlib
import json
import math
import random
from dataclasses import asdict, replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest

from critwin.errors import ParameterError
from critwin.problems.arithmetic import ArithmeticProblems, outcomes
from critwin.problems.arithmetic_tokens import sample_ids
from experiments.train_arithmetic import TrainSettings, train, train_arithmetic
from experiments.train_arithmetic_export import grade, sample_chains, wilson

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
    def progress(row: dict[str, float]) -> None:
        if row["step"] == step:
            raise _Killed

    return progress


def _checkpoint(folder: Path) -> tuple[dict[str, str], dict[str, bytes]]:
    from safetensors import safe_open
    from safetensors.numpy import load_file

    with safe_open(folder / "checkpoint.safetensors", framework="np") as stored:
        metadata = stored.metadata()
    tensors = load_file(folder / "checkpoint.safetensors")
    return metadata, {name: tensor.tobytes() for name, tensor in tensors.items()}


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    train(out=tmp_path / "whole", settings=TINY, progress=_ignore)
    for step in (1, 4, 6):  # before the first checkpoint, between two, right after one
        with pytest.raises(_Killed):
            train(out=tmp_path / "killed", settings=TINY, progress=_kill_at(step))
    train(out=tmp_path / "killed", settings=TINY, progress=_ignore)
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
    train(out=tmp_path, settings=short, progress=_ignore)
    with pytest.raises(ParameterError, match="out"):
        train(out=tmp_path, settings=replace(short, seed=1), progress=_ignore)


def test_training_stops_when_validation_stalls(tmp_path: Path) -> None:
    # A rate so small that no weight moves: no validation after the first one is better.
    stalled = replace(TINY, learning_rate=1e-30, weight_decay=0.0, patience=1, steps=50)
    run = train(out=tmp_path, settings=stalled, progress=_ignore)
    assert run.state.step == 2 * stalled.validate_every


def test_the_whole_path_ships_a_model(tmp_path: Path) -> None:
    rows: list[dict[str, float]] = []
    card = train_arithmetic(out=tmp_path, settings=TINY, progress=rows.append)
    folder = tmp_path / "model"
    assert card == json.loads((folder / "card.json").read_text())
    assert card["settings"] == asdict(TINY)
    assert card["measured"]["problems"] == 3
    assert {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json"} <= {
        path.name for path in folder.iterdir()
    }
    assert "python -m launch +exp=train_arithmetic" in (folder / "README.md").read_text()
    assert [row["step"] for row in rows if "loss" in row] == [float(s) for s in range(1, 10)]
    rows.clear()
    assert train_arithmetic(out=tmp_path, settings=TINY, progress=rows.append) == card
    assert not rows


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


def test_wilson_by_hand() -> None:
    # z = 1.96, n = 10, 0 successes: upper end z^2 / (n + z^2) = 3.8415 / 13.8415.
    assert wilson(0, 10) == (0.0, pytest.approx(0.27754, abs=1e-4))
    lower, upper = wilson(5, 10)
    assert lower == pytest.approx(1 - upper)


def test_shipped_weights_are_those_of_the_card() -> None:
    card = json.loads((SHIPPED / "card.json").read_text())
    weights = (SHIPPED / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == card["sha256"]
    assert len(weights) < 8e6
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
    chains = sample_chains(SHIPPED, [story.question for story in stories], seed=1)
    accuracy = sum(
        grade(story, chain).right for story, chain in zip(stories, chains, strict=True)
    ) / len(stories)
    lower = card["accuracy_interval"][0]
    # Four standard errors of a share over 80 problems below the interval's lower end.
    assert accuracy > lower - 4 * math.sqrt(lower * (1 - lower) / len(stories))
