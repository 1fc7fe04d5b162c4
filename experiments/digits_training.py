"""The training loop of the embedded diffusion model: a small UNet2DModel on real digits.

Every batch is drawn from the seed and its own number, so a run that was killed goes on from its
checkpoint as if nothing had happened.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from critwin.digits import SIDE, load_digits
from critwin.errors import ParameterError
from critwin.seeds import fold_in
from experiments.training_schedule import TrainingState, learning_rate

if TYPE_CHECKING:
    import torch

Report = Callable[[dict[str, float]], None]

NORM_GROUPS = 8

VALIDATION_REPEATS = 8
"""Noises and times at which each validation digit is looked at, the same at every validation."""


@dataclass(frozen=True)
class DigitsSettings:
    """What determines the trained model.

    Attributes:
        seed: Decides the weights at the start, the batches and the noise; not negative.
        steps: Optimizer steps of the whole schedule, at least 1.
        batch_size: Digits in a step, at least 1.
        learning_rate: At the end of the warm-up, above 0; a cosine to a twentieth follows.
        warmup_steps: Steps of linear warm-up.
        weight_decay: Of AdamW, not negative.
        averaging: Share of the average of the weights that a step keeps, in [0, 1); the average
            is what is validated and shipped.
        channels: Channels at 8 by 8 and at 4 by 4 pixels, each a multiple of 8.
        dropout: In the residual blocks, in [0, 1).
        noise_steps: Steps of the noise schedule, at least 2.
        seconds_at_most: Training stops after so many seconds, those before a kill included.
        validate_every: Steps between two validations, each followed by a checkpoint.
        patience: Validations without a new best loss after which training stops.
        classifier_steps: Optimizer steps of the judge, at least 1.
        evaluate_samples: Pictures drawn to measure the result, at least 20.
        threads: Threads of torch, at least 1.
    """

    seed: int = 0
    steps: int = 1200
    batch_size: int = 64
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    weight_decay: float = 0.01
    averaging: float = 0.99
    channels: tuple[int, ...] = (32, 64)
    dropout: float = 0.1
    noise_steps: int = 100
    seconds_at_most: float = 3600.0
    validate_every: int = 100
    patience: int = 6
    classifier_steps: int = 600
    evaluate_samples: int = 300
    threads: int = 2

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ParameterError: One of them is not allowed.
        """
        shares = {"averaging", "dropout"}
        for name in (setting.name for setting in fields(DigitsSettings)):
            value = getattr(self, name)
            if name == "channels":
                whole = all(type(c) is int and c > 0 and c % NORM_GROUPS == 0 for c in value)
                if len(value) != 2 or not whole:
                    allowed = f"two multiples of {NORM_GROUPS}"
                    raise ParameterError(name, list(value), allowed)
            elif name in shares:
                if not 0 <= value < 1:
                    raise ParameterError(name, value, "a number in [0, 1)")
            elif name in ("learning_rate", "seconds_at_most"):
                if not 0 < value < math.inf:
                    raise ParameterError(name, value, "a number above 0")
            elif name == "weight_decay":
                if not 0 <= value < math.inf:
                    raise ParameterError(name, value, "a number, at least 0")
            else:
                least = {"seed": 0, "warmup_steps": 0, "noise_steps": 2, "evaluate_samples": 20}
                if type(value) is not int or value < least.get(name, 1):
                    raise ParameterError(name, value, f"an integer, at least {least.get(name, 1)}")

    def rate(self, step: int) -> float:
        """Give the learning rate of a step, counted from 0."""
        return learning_rate(
            step, steps=self.steps, peak=self.learning_rate, warmup=self.warmup_steps
        )


def build_unet(settings: DigitsSettings) -> Any:
    """Build the model with weights drawn from the seed."""
    import torch
    from diffusers import UNet2DModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return UNet2DModel(
            sample_size=SIDE,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=settings.channels,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=min(16, settings.channels[1]),
            norm_num_groups=NORM_GROUPS,
            dropout=settings.dropout,
        )


def build_scheduler(settings: DigitsSettings) -> Any:
    """Build the noise schedule: a cosine, and the velocity as what is predicted.

    With the velocity the step from pure noise, where the signal is nearly 0, is well posed.

    Source:
        Salimans, Ho (2022), "Progressive distillation", arXiv:2202.00512, section 4; Nichol,
        Dhariwal (2021), arXiv:2102.09672, equation 17, for the cosine.
    """
    from diffusers import DDPMScheduler

    return DDPMScheduler(
        num_train_timesteps=settings.noise_steps,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        clip_sample=True,
    )


class Training:
    """One training run: the model, its average, its optimizer, and the file it goes on from."""

    def __init__(self, out: Path, settings: DigitsSettings) -> None:
        import torch

        self.settings = settings
        self.file = out / "checkpoint.safetensors"
        self.state = TrainingState()
        self.model = build_unet(settings)
        self.scheduler = build_scheduler(settings)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.parameters = dict(self.model.named_parameters())
        self.average = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.best = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.train, self.validation = (_tensor(part) for part in ("train", "validation"))
        if self.file.exists():
            self._load()

    def step(self) -> float:
        """Take one optimizer step and return its loss, the mean squared error of the velocity."""
        import torch

        settings, index = self.settings, self.state.step
        for group in self.optimizer.param_groups:
            group["lr"] = settings.rate(index)
        random = torch.Generator().manual_seed(fold_in(settings.seed, "batch", index))
        rows = torch.randint(len(self.train), (settings.batch_size,), generator=random)
        with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
            torch.manual_seed(fold_in(settings.seed, "dropout", index))
            self.model.train()
            loss = self._loss(self.train[rows], random)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.state.step += 1
        keep = min(settings.averaging, (1 + index) / (10 + index))  # young averages forget faster
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                self.average[name].lerp_(parameter.detach(), 1 - keep)
        return float(loss.detach())

    def _loss(self, images: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        import torch

        noise = torch.randn(images.shape, generator=random)
        # times spread evenly over a batch: less noise in the loss than independent ones
        shift = torch.rand((), generator=random)
        spread = (torch.arange(len(images)) / len(images) + shift) % 1
        times = (spread * self.settings.noise_steps).long()
        noisy = self.scheduler.add_noise(images, noise, times)
        target = self.scheduler.get_velocity(images, noise, times)
        return torch.nn.functional.mse_loss(self.model(noisy, times).sample, target)

    def validate(self) -> float:
        """Return the average's loss on the validation digits; keep it if it is the best so far."""
        import torch

        random = torch.Generator().manual_seed(fold_in(self.settings.seed, "validation"))
        self.model.eval()
        with torch.no_grad():
            own = {name: p.detach().clone() for name, p in self.parameters.items()}
            self._set(self.average)
            losses = [float(self._loss(self.validation, random)) for _ in range(VALIDATION_REPEATS)]
            self._set(own)
        loss = sum(losses) / len(losses)
        if loss < self.state.best_loss:
            self.state.best_loss, self.state.best_step, self.state.stale = loss, self.state.step, 0
            self.best = {name: value.clone() for name, value in self.average.items()}
        else:
            self.state.stale += 1
        return loss

    def finish(self) -> None:
        """Give the model the best average."""
        self._set(self.best)
        self.model.eval()

    def _set(self, tensors: dict[str, torch.Tensor]) -> None:
        import torch

        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[name])

    def save(self) -> None:
        """Write everything into one file, whole or not at all."""
        from safetensors.torch import save_file

        tensors: dict[str, torch.Tensor] = {}
        for name, parameter in self.parameters.items():
            tensors[f"model/{name}"] = parameter.detach()
            tensors[f"average/{name}"] = self.average[name]
            tensors[f"best/{name}"] = self.best[name]
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer/{key}/{name}"] = value
        metadata = {
            "state": json.dumps(asdict(self.state)),
            "settings": json.dumps(asdict(self.settings)),
        }
        partial = self.file.with_suffix(".partial")
        save_file(tensors, partial, metadata=metadata)
        os.replace(partial, self.file)

    def _load(self) -> None:
        from safetensors import safe_open
        from safetensors.torch import load_file

        with safe_open(self.file, framework="pt") as stored:
            metadata = stored.metadata()
        asked = json.loads(json.dumps(asdict(self.settings)))
        if json.loads(metadata["settings"]) | {"threads": 0} != asked | {"threads": 0}:
            allowed = "a folder without a run of other settings"
            raise ParameterError("out", str(self.file.parent), allowed)
        self.state = TrainingState(**json.loads(metadata["state"]))
        tensors = load_file(self.file)
        self._set({name: tensors[f"model/{name}"] for name in self.parameters})
        for name, parameter in self.parameters.items():
            self.average[name] = tensors[f"average/{name}"]
            self.best[name] = tensors[f"best/{name}"]
            self.optimizer.state[parameter] = {
                key: tensors[f"optimizer/{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq")
            }


def train(*, out: Path, settings: DigitsSettings, report: Report) -> Training:
    """Train until the schedule ends, validation stops improving, or the time is up.

    Args:
        out: Folder for the checkpoint; one that is there is gone on from.
        settings: What determines the model.
        report: Called with `step`, `loss`, `seconds` and, at a validation, `validation_loss`.

    Returns:
        The run, its model holding the best average.

    Raises:
        ParameterError: `out` holds a checkpoint of other settings.
    """
    import torch

    torch.set_num_threads(settings.threads)
    out.mkdir(parents=True, exist_ok=True)
    run = Training(out, settings)
    state = run.state
    started = time.monotonic() - state.seconds
    while not state.finished:
        row = {"loss": run.step(), "step": float(state.step)}
        state.seconds = time.monotonic() - started
        ended = state.step >= settings.steps or state.seconds >= settings.seconds_at_most
        if ended or state.step % settings.validate_every == 0:
            row["validation_loss"] = run.validate()
            state.finished = ended or state.stale >= settings.patience
            run.save()
        report(row | {"seconds": state.seconds})
    run.finish()
    return run


def _tensor(part: Any) -> torch.Tensor:
    """Give the digits of a part as the model sees them: in [-1, 1], shape (N, 1, 8, 8)."""
    import torch

    images, _ = load_digits(part)
    return torch.tensor(images).permute(0, 3, 1, 2).float() / 127.5 - 1
