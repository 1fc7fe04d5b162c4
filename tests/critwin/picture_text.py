"""Samplers of pictures as the laws look at samplers: samples with tokens and a short text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from critwin.picture import NoisedPicture, Picture, PictureSampler
from critwin.prompt import Prompt
from critwin.sampler import Sampler
from critwin.samplers.diffusion import DiffusionSampler
from tests.critwin.exact_text import Shown
from tests.critwin.samplers.tiny_pipelines import TRAIN_STEPS, unit_normal


class PicturesAsText(Sampler[Shown, NoisedPicture]):
    """Passes everything on to a sampler of pictures.

    The text is the signs of the pixels, or, with `coarse`, their whole parts: a solver of the flow
    with few steps keeps signs exactly, and shrinks what it should not.
    """

    def __init__(self, sampler: PictureSampler, *, coarse: bool) -> None:
        self.sampler, self.coarse = sampler, coarse

    def start(self, prompts: Sequence[Prompt]) -> list[NoisedPicture]:
        return self.sampler.start(prompts)

    def observe(
        self, x: Sequence[Shown], level: Sequence[int], *, seeds: Sequence[int]
    ) -> list[NoisedPicture]:
        return self.sampler.observe([picture_of(g) for g in x], level, seeds=seeds)

    def resample(
        self, y: Sequence[NoisedPicture], *, seeds: Sequence[Sequence[int]]
    ) -> list[list[Shown]]:
        drawn = self.sampler.resample(y, seeds=seeds)
        return [[self.shown(picture) for picture in own] for own in drawn]

    def snap(self, x: Shown, t: float) -> int:
        return self.sampler.snap(picture_of(x), t)

    def fingerprint(self) -> str:
        return self.sampler.fingerprint()

    def shown(self, picture: Picture) -> Shown:
        values = picture.values.ravel()
        signs = "".join("+" if v > 0 else "-" for v in values)
        wholes = "".join(chr(ord("m") + int(np.clip(np.floor(v), -4, 4))) for v in values[:2])
        return Shown(tuple(map(float, values)), f"{wholes if self.coarse else ''}{signs}")


def picture_of(x: Shown) -> Picture:
    side = int(len(x.token_ids) ** 0.5)
    return Picture("", np.array(x.token_ids, np.float32).reshape(1, side, side))


def picture_sampler(scheduler: str, *, coarse: bool) -> Callable[[Path], PicturesAsText]:
    """Make the exact DDPM of unit normal pixels, stepped by a scheduler."""

    def make(folder: Path) -> PicturesAsText:
        path = str(unit_normal(folder.parent))
        sampler = DiffusionSampler(
            path=path, scheduler=scheduler, steps=TRAIN_STEPS, device="cpu", batch_size=2000
        )
        return PicturesAsText(sampler, coarse=coarse)

    return make
