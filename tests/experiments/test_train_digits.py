"""Training the embedded diffusion model: the same weights after a kill, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from critwin.errors import ParameterError
from experiments import digits_training
from experiments.digits_training import DigitsSettings, Training, train

TINY: dict[str, Any] = {
    "steps": 6,
    "batch_size": 8,
    "channels": (8, 8),
    "noise_steps": 10,
    "validate_every": 2,
    "threads": 1,
}


def weights(run: Training) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in run.parameters.items()}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits_training, "VALIDATION_REPEATS", 1)


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    settings = DigitsSettings(**TINY)
    told: list[dict[str, float]] = []
    whole = train(out=tmp_path / "whole", settings=settings, report=told.append)
    assert [row["step"] for row in told] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in told if "validation_loss" in row] == [2, 4, 6]

    def killed(row: dict[str, float]) -> None:
        if row["step"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(out=tmp_path / "killed", settings=settings, report=killed)
    rest: list[dict[str, float]] = []
    again = train(out=tmp_path / "killed", settings=settings, report=rest.append)
    assert [row["step"] for row in rest] == [5, 6], "from the checkpoint on"
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(again)[name]), name
    with pytest.raises(ParameterError, match="settings"):
        train(out=tmp_path / "killed", settings=DigitsSettings(**TINY | {"seed": 1}), report=print)


def test_training_stops_where_validation_no_longer_improves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([1.0, 0.5, 0.7, 0.6])

    def validate(run: Training) -> float:
        loss = next(losses)
        better = loss < run.state.best_loss
        run.state.stale = 0 if better else run.state.stale + 1
        if better:
            run.state.best_loss, run.state.best_step = loss, run.state.step
        return loss

    monkeypatch.setattr(Training, "validate", validate)
    settings = DigitsSettings(**TINY | {"steps": 100, "validate_every": 1, "patience": 2})
    run = train(out=tmp_path, settings=settings, report=lambda _: None)
    assert (run.state.step, run.state.best_step) == (4, 2)


def test_losses_fall_from_that_of_a_model_that_knows_nothing(tmp_path: Path) -> None:
    """A zero velocity has the loss of the velocity's own mean square, near 1 for digits."""
    settings = DigitsSettings(**TINY | {"steps": 30, "learning_rate": 1e-2, "warmup_steps": 0})
    run = Training(tmp_path, settings)
    losses = [run.step() for _ in range(30)]
    assert losses[0] == pytest.approx(1.0, abs=0.3)
    assert sum(losses[-5:]) / 5 < 0.85 * losses[0]


@pytest.mark.parametrize(
    "bad",
    [
        {"steps": 0},
        {"channels": (32,)},
        {"channels": (30, 64)},
        {"dropout": 1.0},
        {"averaging": -0.1},
        {"learning_rate": 0},
        {"noise_steps": 1},
        {"seed": -1},
        {"evaluate_samples": 3},
    ],
)
def test_bad_settings_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=next(iter(bad))):
        DigitsSettings(**bad)
