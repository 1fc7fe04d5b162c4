"""What trainings share: schedule, optimizer, the best weights, and a checkpoint to go on from."""

from __future__ import annotations

import json
import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, get_type_hints

from critwin.errors import ParameterError

if TYPE_CHECKING:
    import torch

Report = Callable[[dict[str, float]], None]
Weights = dict[str, "torch.Tensor"]


@dataclass
class TrainingState:
    """Where training stands; everything but the tensors."""

    step: int = 0
    best_loss: float = math.inf
    best_step: int = 0
    stale: int = 0
    seconds: float = 0.0
    finished: bool = False


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What determines any trained model.

    Attributes:
        seed: All randomness comes from it; not negative.
        steps: Optimizer steps of the whole schedule, at least 1.
        batch_size: Samples in a step, at least 1.
        learning_rate: At the end of the warm-up, above 0; a cosine to a twentieth follows.
        warmup_steps: Steps of linear warm-up.
        weight_decay: Of AdamW, not negative.
        seconds_at_most: Training stops after so many seconds, those before a kill included.
        validate_every: Steps between two validations, each followed by a checkpoint.
        patience: Validations without a new best loss after which training stops.
        threads: Threads of torch, at least 1; they do not tell one training from another.
    """

    seed: int = 0
    steps: int
    batch_size: int = 64
    learning_rate: float
    warmup_steps: int = 100
    weight_decay: float = 0.01
    seconds_at_most: float = 3600.0
    validate_every: int = 100
    patience: int
    threads: int = 2

    least: ClassVar[Mapping[str, int]] = {"seed": 0, "warmup_steps": 0}
    """Least values of whole numbers, where they are not 1."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ParameterError: One of them is not allowed.
        """
        for name, kind in get_type_hints(type(self)).items():
            value = getattr(self, name)
            least = self.least.get(name, 1)
            if kind is int and (type(value) is not int or value < least):
                raise ParameterError(name, value, f"an integer, at least {least}")
        for name in ("learning_rate", "seconds_at_most"):
            if not 0 < getattr(self, name) < math.inf:
                raise ParameterError(name, getattr(self, name), "a number above 0")
        if not 0 <= self.weight_decay < math.inf:
            raise ParameterError("weight_decay", self.weight_decay, "a number, at least 0")

    def rate(self, step: int) -> float:
        """Give the learning rate of a step, counted from 0."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return self.learning_rate * (0.05 + 0.95 * (1 + math.cos(math.pi * min(1.0, done))) / 2)


class Training(ABC):
    """One training run: the model, its optimizer, and the file it goes on from.

    Attributes:
        settings: What determines the model.
        state: Where training stands.
        model: What is trained.
        kept: Copies of the weights beside the model's own, by name; `best` is shipped.
    """

    def __init__(
        self, out: Path, settings: Settings, model: Any, *, copies: tuple[str, ...]
    ) -> None:
        """Begin, or go on from the checkpoint in a folder.

        Args:
            out: Folder of the checkpoint.
            settings: What determines the model.
            model: With its weights at the start.
            copies: Names of the copies that are kept beside `best`.

        Raises:
            ParameterError: The folder holds a checkpoint of other settings.
        """
        import torch

        torch.set_num_threads(settings.threads)
        self.settings, self.model = settings, model
        self.file = out / "checkpoint.safetensors"
        self.state = TrainingState()
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.parameters = dict(model.named_parameters())
        self.kept: dict[str, Weights] = {name: self.weights() for name in ("best", *copies)}
        if self.file.exists():
            self._load()

    @abstractmethod
    def training_loss(self, index: int) -> torch.Tensor:
        """Give the loss of a step's batch, which its number determines."""

    @abstractmethod
    def validation_loss(self) -> float:
        """Give the loss by which weights are chosen."""

    def candidate(self) -> Weights:
        """Give the weights that a validation is about: the model's own."""
        return self.weights()

    def stepped(self, index: int) -> None:  # noqa: B027  most trainings do nothing here
        """Do what follows a step; nothing."""

    def told(self) -> dict[str, float]:
        """Give what a validation's row tells beside its loss; nothing."""
        return {}

    def step(self) -> float:
        """Take one optimizer step and return its loss."""
        import torch

        index = self.state.step
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate(index)
        loss = self.training_loss(index)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.state.step += 1
        self.stepped(index)
        return float(loss.detach())

    def validate(self) -> float:
        """Return the validation loss; keep the weights if they are the best so far."""
        loss = self.validation_loss()
        if loss < self.state.best_loss:
            self.state.best_loss, self.state.best_step, self.state.stale = loss, self.state.step, 0
            self.kept["best"] = {name: value.clone() for name, value in self.candidate().items()}
        else:
            self.state.stale += 1
        return loss

    def carry_on(self, report: Report) -> None:
        """Train until the schedule ends, validation stops improving, or the time is up.

        The model then holds the best weights.

        Args:
            report: Called with `step`, `loss`, `seconds` and, at a validation, `validation_loss`.
        """
        settings, state = self.settings, self.state
        self.file.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic() - state.seconds
        while not state.finished:
            row = {"loss": self.step(), "step": float(state.step)}
            state.seconds = time.monotonic() - started
            ended = state.step >= settings.steps or state.seconds >= settings.seconds_at_most
            if ended or state.step % settings.validate_every == 0:
                row |= {"validation_loss": self.validate(), **self.told()}
                state.finished = ended or state.stale >= settings.patience
                self.save()
            report(row | {"seconds": state.seconds})
        self.set_weights(self.kept["best"])

    def weights(self) -> Weights:
        """Give a copy of the model's weights."""
        return {name: p.detach().clone() for name, p in self.parameters.items()}

    def set_weights(self, weights: Weights) -> None:
        """Give the model other weights."""
        import torch

        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(weights[name])

    def save(self) -> None:
        """Write everything into one file, whole or not at all."""
        from safetensors.torch import save_file

        tensors: Weights = {}
        for name, parameter in self.parameters.items():
            tensors[f"model/{name}"] = parameter.detach()
            for copy, weights in self.kept.items():
                tensors[f"{copy}/{name}"] = weights[name]
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer/{key}/{name}"] = value
        metadata = {
            "state": json.dumps(asdict(self.state)),
            "settings": json.dumps(self._determining()),
        }
        partial = self.file.with_suffix(".partial")
        save_file(tensors, partial, metadata=metadata)
        os.replace(partial, self.file)

    def _load(self) -> None:
        from safetensors import safe_open
        from safetensors.torch import load_file

        with safe_open(self.file, framework="pt") as stored:
            metadata = stored.metadata()
        if json.loads(metadata["settings"]) != self._determining():
            allowed = "a folder without a run of other settings"
            raise ParameterError("out", str(self.file.parent), allowed)
        self.state = TrainingState(**json.loads(metadata["state"]))
        tensors = load_file(self.file)
        self.set_weights({name: tensors[f"model/{name}"] for name in self.parameters})
        for name, parameter in self.parameters.items():
            for copy, weights in self.kept.items():
                weights[name] = tensors[f"{copy}/{name}"]
            self.optimizer.state[parameter] = {
                key: tensors[f"optimizer/{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq")
            }

    def _determining(self) -> dict[str, Any]:
        """Give the settings that tell one training from another, as JSON gives them back."""
        settings: dict[str, Any] = json.loads(json.dumps(asdict(self.settings)))
        del settings["threads"]
        return settings
