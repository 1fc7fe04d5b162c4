"""Train the embedded diffusion model again from nothing, measure it and write what is shipped."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from critwin.records import RunDirectory
from experiments.digits_export import evaluate, export_pipeline, write_card
from experiments.digits_judge import train_judge
from experiments.digits_training import DigitsSettings, DigitsTraining, train
from experiments.experiment import Accounts, Experiment
from experiments.tracker import Progress, Tracker

EVALUATE_STEPS = 50
"""Reverse steps of the pictures that are measured, as conf/model/embedded_digits.yaml has them."""


@dataclass(frozen=True)
class TrainDigits(DigitsSettings, Experiment):
    """Train the embedded diffusion model; `model/` of the run directory is what is shipped.

    A checkpoint is written at every validation, so that a run that was killed goes on from it to
    the same weights. The fields are those of `DigitsSettings`.
    """

    name: ClassVar[str] = "train_digits"
    stage: ClassVar[str] = "train"
    axis: ClassVar[str] = "step"
    execution: ClassVar[frozenset[str]] = frozenset({"threads"})
    products: ClassVar[tuple[str, ...]] = ("summary.json", "model")

    def check(self) -> None:
        """Accept: the settings have been checked one by one."""

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        """Go on with training, then train the judge, export, measure and write the model card."""
        settings = DigitsSettings(**{f.name: getattr(self, f.name) for f in fields(DigitsSettings)})
        training = _train(directory.parts, settings, tracker, progress)
        began = time.perf_counter()
        progress.begin("evaluation", 2, unit="models")
        folder = directory.path / "model"
        export_pipeline(training, folder)
        train_judge(folder / "classifier", steps=self.classifier_steps, seed=self.seed)
        progress.advance(1)
        card = self._card(training, folder)
        directory.write_json("summary", card | {"headline": _headline(card)})
        progress.advance(1)
        progress.end()
        seconds = {"training": card["seconds"], "evaluation": time.perf_counter() - began}
        return Accounts(seconds=seconds, facts={"weights": card["sha256"]})

    def _card(self, training: DigitsTraining, folder: Path) -> dict[str, Any]:
        steps = min(EVALUATE_STEPS, self.noise_steps)
        measured = evaluate(folder, samples=self.evaluate_samples, steps=steps, seed=self.seed)
        facts = {
            "settings": asdict(training.settings),
            "parameters": sum(p.numel() for p in training.model.parameters()),
            "seconds": round(training.state.seconds, 1),
            "steps": training.state.step,
            "best_step": training.state.best_step,
            "validation_loss": training.state.best_loss,
        }
        return write_card(folder, facts=facts, measured=measured)


def _train(
    folder: Path, settings: DigitsSettings, tracker: Tracker, progress: Progress
) -> DigitsTraining:
    """Train, telling tracker and progress; a checkpoint in `folder` is gone on from."""
    begun = False

    def report(row: dict[str, float]) -> None:
        nonlocal begun
        if not begun:
            done = int(row["step"]) - 1
            progress.begin("training", settings.steps, unit="steps", done=done)
            begun = True
        if "validation_loss" in row:
            tracker.log(row)
        shown = {k: v for k, v in row.items() if k in ("loss", "validation_loss")}
        progress.advance(1, **shown)

    training = train(out=folder, settings=settings, report=report)
    progress.end()
    return training


def _headline(card: dict[str, Any]) -> list[dict[str, Any]]:
    measured = card["measured"]

    def row(name: str, values: list[float], n: int, note: str) -> dict[str, Any]:
        estimate, lower, upper = [*values, None, None][:3]
        ends = {"lower": lower, "upper": upper}
        return {"name": name, "estimate": estimate, **ends, "n": n, "problems": None, "note": note}

    samples, fresh = measured["samples"], card["parts"]["held_out"]
    return [
        row(
            "judge's accuracy on held-out digits",
            measured["judge_accuracy_held_out"],
            fresh,
            "it never saw what the diffusion model learned from",
        ),
        row(
            "judge's confidence on samples",
            [measured["judge_confidence_samples"]],
            samples,
            f"on held-out digits {measured['judge_confidence_held_out']:.3f}",
        ),
        row(
            "samples near a training digit",
            measured["near_training"],
            samples,
            f"{measured['near_expected']} without memorisation; {measured['copies']} are nearer "
            "than any held-out digit",
        ),
        row("validation loss", [card["validation_loss"]], card["parts"]["validation"], "velocity"),
    ]
