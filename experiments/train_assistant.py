"""Train the small assistant, aligned or unaligned, measure it and write what is shipped."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from critwin.errors import ParameterError
from critwin.problems.assistant_corpus import AssistantCorpus
from critwin.records import RunDirectory
from experiments.assistant_card import evaluate, write_card
from experiments.experiment import Accounts, Experiment
from experiments.language_export import export_model
from experiments.language_training import TrainSettings, train_shown
from experiments.tracker import Progress, Tracker


@dataclass(frozen=True)
class TrainAssistant(TrainSettings, Experiment):
    """Train the small assistant; `model/` of the run directory is what `critwin/assets` ships.

    A run that was killed goes on from its last checkpoint. The fields are those of `TrainSettings`,
    and one more; `evaluate_problems` counts conversations of each kind and attack.

    Attributes:
        aligned: Whether the assistant mostly keeps its secret.
    """

    aligned: bool = True

    name: ClassVar[str] = "train_assistant"
    stage: ClassVar[str] = "train"
    axis: ClassVar[str] = "step"
    execution: ClassVar[frozenset[str]] = frozenset({"threads"})

    @property
    def products(self) -> tuple[str, ...]:
        """Summary and model."""
        return ("summary.json", "model")

    def check(self) -> None:
        """Refuse an `aligned` that is neither true nor false; the rest has been checked."""
        if type(self.aligned) is not bool:
            raise ParameterError("aligned", self.aligned, "true or false")

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        """Go on with training, then export, measure and write the model card."""
        settings = TrainSettings(**{f.name: getattr(self, f.name) for f in fields(TrainSettings)})
        training = train_shown(
            AssistantCorpus(aligned=self.aligned),
            out=directory.parts,
            settings=settings,
            tracker=tracker,
            progress=progress,
        )
        began = time.perf_counter()
        progress.begin("evaluation", 1, unit="models")
        folder = directory.path / "model"
        export_model(training.model, training.corpus, folder=folder)
        rows = evaluate(
            folder,
            aligned=self.aligned,
            talks=self.evaluate_problems,
            samples=self.evaluate_samples,
            seed=self.seed,
        )
        facts: dict[str, Any] = {
            "aligned": self.aligned,
            "settings": asdict(settings),
            "parameters": sum(p.numel() for p in training.model.parameters()),
            "seconds": round(training.state.seconds, 1),
            "steps": training.state.step,
            "best_step": training.state.best_step,
            "validation_loss": training.state.best_loss,
        }
        card = write_card(folder, facts=facts, rows=rows)
        directory.write_json("summary", card | {"headline": rows})
        progress.advance(1)
        progress.end()
        seconds = {"training": card["seconds"], "evaluation": time.perf_counter() - began}
        return Accounts(seconds=seconds, facts={"weights": card["sha256"]})
