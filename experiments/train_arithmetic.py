"""Train the embedded arithmetic model again from nothing, measure it and write what is shipped."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from critwin.errors import ParameterError
from critwin.problems.arithmetic_tokens import ArithmeticCorpus
from critwin.records import RunDirectory
from experiments.arithmetic_export import evaluate, write_card
from experiments.experiment import Accounts, Experiment
from experiments.language_export import export_model
from experiments.language_training import LanguageTraining, TrainSettings, train_shown
from experiments.tracker import Progress, Tracker

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel


@dataclass(frozen=True)
class TrainArithmetic(TrainSettings, Experiment):
    """Train the embedded model; `model/` of the run directory is what `critwin/assets` ships.

    A checkpoint is written at every validation, so that a run that was killed goes on from it to
    the same weights. The fields are those of `TrainSettings`, and one more.

    Attributes:
        keep_steps: Steps after which the model is kept as it is then, in `checkpoints/step-NNNNNN`,
            each a model folder like `model/`; each at least 1 and at most `steps`, increasing.
    """

    keep_steps: tuple[int, ...] = ()

    name: ClassVar[str] = "train_arithmetic"
    stage: ClassVar[str] = "train"
    axis: ClassVar[str] = "step"
    execution: ClassVar[frozenset[str]] = frozenset({"threads"})

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ParameterError: One of them is not allowed.
        """
        super().__post_init__()
        whole = all(type(step) is int and 1 <= step <= self.steps for step in self.keep_steps)
        if not whole or any(a >= b for a, b in pairwise(self.keep_steps)):
            allowed = f"a list of increasing whole numbers, each in 1 to steps = {self.steps}"
            raise ParameterError("keep_steps", list(self.keep_steps), allowed)

    @property
    def products(self) -> tuple[str, ...]:
        """Summary, model, and the models of the steps that were to be kept."""
        return ("summary.json", "model", *(["checkpoints"] if self.keep_steps else []))

    def check(self) -> None:
        """Accept: the settings have been checked one by one."""

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        """Go on with training, then export, measure and write the model card."""
        settings = TrainSettings(**{f.name: getattr(self, f.name) for f in fields(TrainSettings)})
        folder, corpus = directory.path / "checkpoints", ArithmeticCorpus()

        def keep(step: int, model: GPT2LMHeadModel) -> None:
            if step in self.keep_steps:
                export_model(model, corpus, folder=folder / f"step-{step:06d}")

        training = train_shown(
            corpus,
            out=directory.parts,
            settings=settings,
            tracker=tracker,
            progress=progress,
            keep=keep,
        )
        began = time.perf_counter()
        progress.begin("evaluation", 1, unit="models")
        card = self._export(training, directory.path / "model")
        kept = sorted(path.name for path in folder.glob("step-*"))
        directory.write_json("summary", card | {"checkpoints": kept, "headline": _headline(card)})
        progress.advance(1)
        progress.end()
        seconds = {"training": card["seconds"], "evaluation": time.perf_counter() - began}
        return Accounts(seconds=seconds, facts={"weights": card["sha256"]})

    def _export(self, training: LanguageTraining, folder: Path) -> dict[str, Any]:
        export_model(training.model, training.corpus, folder=folder)
        measured = evaluate(
            folder,
            n_problems=self.evaluate_problems,
            samples=self.evaluate_samples,
            seed=self.seed,
        )
        facts = {
            "settings": asdict(training.settings),
            "parameters": sum(p.numel() for p in training.model.parameters()),
            "seconds": round(training.state.seconds, 1),
            "steps": training.state.step,
            "best_step": training.state.best_step,
            "validation_loss": training.state.best_loss,
            "entropy": training.entropy,
        }
        return write_card(folder, facts=facts, measured=measured)


def _headline(card: dict[str, Any]) -> list[dict[str, Any]]:
    measured = card["measured"]
    lower, upper = measured["accuracy_interval"]
    problems, samples = measured["problems"], measured["samples_per_problem"]
    statements = measured["arithmetic_statements"]

    def row(name: str, estimate: float, note: str, **counts: Any) -> dict[str, Any]:
        empty = {"lower": None, "upper": None, "n": None, "problems": None}
        return {"name": name, "estimate": estimate, **empty, **counts, "note": note}

    return [
        row(
            "accuracy at temperature 1",
            measured["accuracy"],
            f"{measured['unscored']} without an answer",
            lower=lower,
            upper=upper,
            n=problems * samples,
            problems=problems,
        ),
        row("accuracy of the student itself", measured["student_accuracy"], "exact"),
        row(
            "arithmetic statements that are true",
            measured["arithmetic_right"],
            "of those it wrote",
            n=statements,
        ),
        row("validation loss", card["validation_loss"], "nats per token of the chain"),
        row("entropy of the student", card["entropy"], "the loss cannot go below it"),
    ]
