"""The training loop of the embedded diffusion model: a small UNet2DModel on real digits.

Every batch is drawn from the seed and its own number, so a run that was killed goes on from its
checkpoint as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from critwin.digits import SIDE, load_digits
from critwin.errors import ParameterError
from critwin.seeds import fold_in
from experiments.training import Report, Settings, Training, Weights

if TYPE_CHECKING:
    import torch

NORM_GROUPS = 8

VALIDATION_REPEATS = 8
"""Noises and times at which each validation digit is looked at, the same at every validation."""


@dataclass(frozen=True, kw_only=True)
class DigitsSettings(Settings):
    """What determines the trained model, beside what every training has.

    Attributes:
        averaging: Share of the average of the weights that a step keeps, in [0, 1); the average
            is what is validated and shipped.
        channels: Channels at 8 by 8 and at 4 by 4 pixels, each a multiple of 8.
        dropout: In the residual blocks, in [0, 1).
        noise_steps: Steps of the noise schedule, at least 2.
        classifier_steps: Optimizer steps of the judge, at least 1.
        evaluate_samples: Pictures drawn to measure the result, at least 20.
    """

    steps: int = 1200
    learning_rate: float = 2e-3
    averaging: float = 0.99
    channels: tuple[int, ...] = (32, 64)
    dropout: float = 0.1
    noise_steps: int = 100
    patience: int = 6
    classifier_steps: int = 600
    evaluate_samples: int = 300

    least: ClassVar[Mapping[str, int]] = {
        **Settings.least,
        "noise_steps": 2,
        "evaluate_samples": 20,
    }

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ParameterError: One of them is not allowed.
        """
        super().__post_init__()
        whole = all(type(c) is int and c > 0 and c % NORM_GROUPS == 0 for c in self.channels)
        if len(self.channels) != 2 or not whole:
            raise ParameterError("channels", list(self.channels), f"two multiples of {NORM_GROUPS}")
        for name in ("averaging", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ParameterError(name, getattr(self, name), "a number in [0, 1)")


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


class DigitsTraining(Training):
    """A training of the digits' model; an average over its weights is validated and shipped."""

    settings: DigitsSettings

    def __init__(self, out: Path, settings: DigitsSettings) -> None:
        self.scheduler = build_scheduler(settings)
        self.train, self.validation = (_tensor(part) for part in ("train", "validation"))
        super().__init__(out, settings, build_unet(settings), copies=("average",))

    def training_loss(self, index: int) -> torch.Tensor:
        """Give the mean squared error of the velocity."""
        import torch

        settings = self.settings
        random = torch.Generator().manual_seed(fold_in(settings.seed, "batch", index))
        rows = torch.randint(len(self.train), (settings.batch_size,), generator=random)
        with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
            torch.manual_seed(fold_in(settings.seed, "dropout", index))
            self.model.train()
            return self._loss(self.train[rows], random)

    def stepped(self, index: int) -> None:
        """Move the average; a young one forgets faster."""
        import torch

        keep = min(self.settings.averaging, (1 + index) / (10 + index))
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                self.kept["average"][name].lerp_(parameter.detach(), 1 - keep)

    def candidate(self) -> Weights:
        """Give the average."""
        return self.kept["average"]

    def validation_loss(self) -> float:
        """Give the average's loss on the validation digits, the same noises at every validation."""
        import torch

        random = torch.Generator().manual_seed(fold_in(self.settings.seed, "validation"))
        self.model.eval()
        with torch.no_grad():
            own = self.weights()
            self.set_weights(self.kept["average"])
            losses = [float(self._loss(self.validation, random)) for _ in range(VALIDATION_REPEATS)]
            self.set_weights(own)
        return sum(losses) / len(losses)

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


def train(*, out: Path, settings: DigitsSettings, report: Report) -> DigitsTraining:
    """Train; see `Training.carry_on`.

    Args:
        out: Folder for the checkpoint; one that is there is gone on from.
        settings: What determines the model.
        report: Called after each step.

    Returns:
        The run, its model holding the best average.

    Raises:
        ParameterError: `out` holds a checkpoint of other settings.
    """
    run = DigitsTraining(out, settings)
    run.carry_on(report)
    run.model.eval()
    return run


def _tensor(part: Any) -> torch.Tensor:
    """Give the digits of a part as the model sees them: in [-1, 1], shape (N, 1, 8, 8)."""
    import torch

    images, _ = load_digits(part)
    return torch.tensor(images).permute(0, 3, 1, 2).float() / 127.5 - 1
