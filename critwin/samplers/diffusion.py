"""Pipelines of diffusers as samplers: observing is noising, resampling is denoising.

Source: Li, Karan, Chen (2025), arXiv:2502.00921, Definitions 1 to 3, with Y_t the noised picture;
Li, Chen (2024), "Critical windows", arXiv:2403.01633, whose scripts noise to the last steps of the
scheduler's grid and denoise from there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from critwin.errors import ParameterError
from critwin.picture import Image, NoisedPicture, Picture, PictureSampler
from critwin.prompt import Prompt
from critwin.protocol import check_number, check_whole
from critwin.sampler import Level
from critwin.samplers.checkpoint import check_path, hub_commit, local_folder
from critwin.samplers.memory import Together, in_batches
from critwin.samplers.noise_schedule import SCHEDULERS, Schedule, draws_noise, schedule
from critwin.samplers.pipeline import (
    INDEX,
    LoadedPipeline,
    described,
    hash_pipeline,
    load_pipeline,
)

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16", "float64")

MOST_ROWS, MOST_NUMBERS = 256, 1 << 18
"""Rows denoised together at most, and numbers in them: 16 latents of Stable Diffusion."""


@dataclass(frozen=True, kw_only=True)
class DiffusionSampler(PictureSampler):
    """A pipeline of diffusers with a DDPM, DDIM, Euler, DPM-Solver or flow-matching scheduler.

    Rows of one batch may begin at different levels, be of different conditions and have seeds of
    their own: each has its own stream of noise, and what it becomes does not depend on the others
    (float rounding apart).

    Attributes:
        path: Folder of a pipeline, hub name such as `org/name`, or `embedded:digits`.
        revision: Branch, tag or commit of a hub pipeline; None for its default.
        scheduler: One of SCHEDULERS, made from the configuration of the pipeline's own; None for
            the pipeline's own, which has to be one of them.
        steps: Reverse steps from noise to a picture, S >= 1.
        guidance: Scale of classifier-free guidance, >= 0; None for the pipeline's default.
        negative_prompt: What guidance leads away from, for pipelines with prompts.
        eta: Share of DDPM's noise that DDIM adds at each step, in [0, 1]; for DDIM alone.
        height: Of the picture in pixels; None for the model's own, and so for `width`.
        width: As `height`.
        dtype: Number type of weights and computation: float32, bfloat16, float16 or float64.
        device: `auto` (a GPU if there is one), `cpu`, `mps`, `cuda` or `cuda:N`.
        batch_size: Rows denoised together at most, >= 1; None takes what is of use.
    """

    path: str
    revision: str | None = None
    scheduler: str | None = None
    steps: int = 50
    guidance: float | None = None
    negative_prompt: str | None = None
    eta: float = 0.0
    height: int | None = None
    width: int | None = None
    dtype: str = "float32"
    device: str = "auto"
    batch_size: int | None = None

    execution = frozenset({"path", "device", "batch_size"})
    loaded_by = frozenset({"path", "revision", "scheduler", "dtype", "device"})

    def __post_init__(self) -> None:
        check_path(self.path, holds=INDEX)
        check_whole("steps", self.steps, low=1)
        check_whole("batch_size", self.batch_size, low=1)
        check_number("guidance", self.guidance, low=0.0, low_in=True, high=math.inf)
        check_number("eta", self.eta, low=0.0, low_in=True, high=1.0)
        for name in ("height", "width"):
            value = getattr(self, name)
            check_whole(name, value, low=8)
            if value is not None and value % 8:
                raise ParameterError(name, value, "null or a multiple of 8")
        if self.dtype not in DTYPES:
            raise ParameterError("dtype", self.dtype, f"one of {', '.join(DTYPES)}")
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", str(self.device)):
            raise ParameterError("device", self.device, "auto, cpu, mps, cuda or cuda:N")
        if self.scheduler is not None and self.scheduler not in SCHEDULERS:
            allowed = f"null or one of {', '.join(SCHEDULERS)}"
            raise ParameterError("scheduler", self.scheduler, allowed)
        self._check_files()

    def _check_files(self) -> None:
        """Refuse what the files of a local pipeline tell to be impossible."""
        folder = local_folder(self.path)
        if folder is None:
            if self.eta and self.scheduler not in (None, "ddim"):
                raise ParameterError("eta", self.eta, f"0 with scheduler {self.scheduler}")
            return
        facts = described(folder, self.scheduler)
        if self.eta and facts.scheduler != "ddim":
            raise ParameterError("eta", self.eta, f"0 with scheduler {facts.scheduler}")
        if self.steps > facts.train_steps:
            allowed = f"at most {facts.train_steps}, the steps of the model's noise schedule"
            raise ParameterError("steps", self.steps, allowed)
        if self.guidance is not None and not facts.guided:
            raise ParameterError("guidance", self.guidance, f"null, for {facts.pipeline} has none")
        if self.negative_prompt is not None and not facts.prompted:
            allowed = f"null, because {facts.pipeline} takes no prompts"
            raise ParameterError("negative_prompt", self.negative_prompt, allowed)

    def fingerprint(self) -> str:
        """Hash the pipeline's files, or give the commit of a hub pipeline."""
        folder = local_folder(self.path)
        return hash_pipeline(folder) if folder else hub_commit(self.path, self.revision, INDEX)

    def device_used(self) -> str:
        """Name the device that holds the weights."""
        import torch

        device = self.loaded.device
        if device.type == "cuda":
            return f"{device} ({torch.cuda.get_device_name(device)})"
        return str(device)

    @property
    def halvings(self) -> int:
        """How often memory ran out in this process and half as much was computed at once."""
        known = self.__dict__.get("_together")
        return 0 if known is None else int(known.halvings)

    @property
    def last_level(self) -> Level:
        """Reverse steps."""
        return self.steps

    @property
    def draws_noise(self) -> bool:
        """By the scheduler and `eta`; loads a hub pipeline whose own scheduler is used."""
        known = self.noise_if_known()
        return draws_noise(self.loaded.config, self.eta) if known is None else known

    def noise_if_known(self) -> bool | None:
        """By the scheduler and `eta`; None for the own scheduler of a hub pipeline."""
        folder = local_folder(self.path)
        if folder is not None:
            return draws_noise(described(folder, self.scheduler).config, self.eta)
        if self.scheduler is None:
            return None
        class_name, changes = SCHEDULERS[self.scheduler]
        return draws_noise({"_class_name": class_name, **changes}, self.eta)

    def check_conditions(self, name: str, conditions: Sequence[str]) -> None:
        """Refuse what a local pipeline cannot be asked for; a hub pipeline is asked once loaded."""
        if not conditions or len(set(conditions)) != len(conditions):
            raise ParameterError(name, list(conditions), "different texts, at least one")
        folder = local_folder(self.path)
        facts = None if folder is None else described(folder, self.scheduler)
        for condition in conditions:
            if facts is not None and not facts.takes(condition):
                raise ParameterError(name, condition, facts.allowed_conditions)

    def timestep(self, level: Level) -> float:
        """Give the scheduler's own timestep."""
        return float(self._schedule.timesteps[level])

    def time(self, level: Level) -> float:
        """Give -ln of the share of the signal, from the scheduler's own noise."""
        if level == 0:
            return math.inf
        return 0.0 if level == self.steps else float(self._schedule.times[level])

    def takes(self, condition: str) -> bool:
        """Tell whether a condition can be one of this pipeline; loads it where it is a hub name."""
        return self.loaded.takes(condition)

    def start(self, prompts: Sequence[Prompt]) -> list[NoisedPicture]:
        """Keep what the user says as the condition; an unconditional pipeline ignores it."""
        conditional = self.loaded.conditional
        return [NoisedPicture(prompt.user if conditional else "") for prompt in prompts]

    def observe(
        self, x: Sequence[Picture], level: Sequence[Level], *, seeds: Sequence[int]
    ) -> list[NoisedPicture]:
        """Noise each picture to the time of its level, by the scheduler's own `add_noise`."""
        found: list[NoisedPicture] = []
        for picture, own, seed in zip(x, level, seeds, strict=True):
            if own < 0:
                raise ValueError(f"level is {own}; allowed: >= 0")
            if own >= self.steps:
                found.append(NoisedPicture(picture.condition, self.steps, whole=picture))
            elif own == 0:
                found.append(NoisedPicture(picture.condition))
            else:
                values = self._schedule.noised(picture.values, own, _generator(seed))
                found.append(NoisedPicture(picture.condition, own, values))
        return found

    def resample(
        self, y: Sequence[NoisedPicture], *, seeds: Sequence[Sequence[int]]
    ) -> list[list[Picture]]:
        """Denoise each observation, once per seed; a picture that was kept whole is returned."""
        flat = [(cut, seed) for cut, own in zip(y, seeds, strict=True) for seed in own]
        drawn = iter(self._denoise(flat, ()))
        return [[next(drawn)[1] for _ in own] for own in seeds]

    def trajectories(
        self, y: Sequence[NoisedPicture], levels: Sequence[Level], *, seeds: Sequence[int]
    ) -> list[tuple[list[NoisedPicture], Picture]]:
        """Denoise each observation once and keep its states at some levels."""
        if any(not cut.level < level < self.steps for cut in y for level in levels):
            raise ValueError(f"levels are {list(levels)}; allowed: between those of y and the last")
        return self._denoise(list(zip(y, seeds, strict=True)), levels)

    def images(self, x: Sequence[Picture]) -> list[Image]:
        """Decode latents where there are any, and turn the values into bytes."""
        found: list[Image] = []
        for values in self._stacks([picture.values for picture in x]):
            seen = self.loaded.decode(values)
            found += list(np.rint(seen.transpose(0, 2, 3, 1) * 255).astype(np.uint8))
        return found

    def pictures(self, images: Sequence[Image], conditions: Sequence[str]) -> list[Picture]:
        """Turn bytes into values, encoded where there are latents (the mean of the encoder)."""
        values = [
            np.asarray(image, np.float32).transpose(2, 0, 1) / np.float32(127.5) - 1
            for image in images
        ]
        found: list[Picture] = []
        for stack in self._stacks(values):
            for encoded in self.loaded.encode(stack):
                found.append(Picture(conditions[len(found)], encoded))
        return found

    @cached_property
    def _together(self) -> Together:
        numbers = math.prod(self.loaded.shape(self.height, self.width))
        most = self.batch_size or max(1, min(MOST_ROWS, MOST_NUMBERS // numbers))
        return Together(most)

    @property
    def loaded(self) -> LoadedPipeline:
        """The pipeline in memory."""
        return load_pipeline(self.path, self.revision, self.scheduler, self.dtype, self.device)

    @cached_property
    def _schedule(self) -> Schedule:
        return schedule(self.loaded.pipeline.scheduler, self.steps)

    def _stacks(self, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        size = self._together.most
        return [np.stack(values[i : i + size]) for i in range(0, len(values), size)]

    def _denoise(
        self, rows: Sequence[tuple[NoisedPicture, int]], kept: Sequence[Level]
    ) -> list[tuple[list[NoisedPicture], Picture]]:
        found: dict[int, tuple[list[NoisedPicture], Picture]] = {
            i: ([], cut.whole) for i, (cut, _) in enumerate(rows) if cut.whole is not None
        }
        # those that begin together stand together: a batch waits for nobody
        waiting = sorted(
            (i for i in range(len(rows)) if i not in found), key=lambda i: -rows[i][0].level
        )

        def work(batch: list[int]) -> None:
            batch = sorted(batch, key=lambda i: rows[i][0].level)
            found.update(
                zip(batch, self._denoise_batch([rows[i] for i in batch], kept), strict=True)
            )

        in_batches(waiting, work, together=self._together)
        return [found[i] for i in range(len(rows))]

    def _denoise_batch(
        self, rows: Sequence[tuple[NoisedPicture, int]], kept: Sequence[Level]
    ) -> list[tuple[list[NoisedPicture], Picture]]:
        import torch

        loaded = self.loaded
        shape = loaded.shape(self.height, self.width)
        generators = [_generator(seed) for _, seed in rows]
        values = [
            torch.randn(shape, generator=random) * self._schedule.first_sigma
            if cut.values is None
            else torch.from_numpy(cut.values)
            for (cut, _), random in zip(rows, generators, strict=True)
        ]
        conditions = [cut.condition for cut, _ in rows]
        done, states = loaded.run(
            torch.stack(values),
            [cut.level for cut, _ in rows],
            generators,
            conditions,
            steps=self.steps,
            guidance=self.guidance,
            negative_prompt=self.negative_prompt,
            eta=self.eta,
            kept=kept,
        )
        return [
            (
                [NoisedPicture(condition, level, states[level][i]) for level in kept],
                Picture(condition, done[i]),
            )
            for i, condition in enumerate(conditions)
        ]


def _generator(seed: int) -> torch.Generator:
    """Give a row's own stream of noise, on the host: the same on every device."""
    import torch

    return torch.Generator().manual_seed(seed)
