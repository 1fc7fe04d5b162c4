"""Exact samplers as the laws look at samplers: samples with tokens and a text of a few letters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from critwin.prompt import Prompt
from critwin.sampler import Sampler
from critwin.samplers.exact import Draw, ExactSampler, Observation


@dataclass(frozen=True)
class Shown:
    """A sample; `text` is a coarse picture of its value and ends in its component."""

    token_ids: tuple[float, ...]
    text: str


class AsText(Sampler[Shown, Observation]):
    """Passes everything on to an exact sampler."""

    def __init__(self, sampler: ExactSampler) -> None:
        self.sampler = sampler

    def start(self, prompts: Sequence[Prompt]) -> list[Observation]:
        return self.sampler.start(prompts)

    def observe(
        self, x: Sequence[Shown], level: Sequence[int], *, seeds: Sequence[int]
    ) -> list[Observation]:
        return self.sampler.observe([draw_of(g, self.sampler) for g in x], level, seeds=seeds)

    def resample(
        self, y: Sequence[Observation], *, seeds: Sequence[Sequence[int]]
    ) -> list[list[Shown]]:
        drawn = self.sampler.resample(y, seeds=seeds)
        return [[shown(draw) for draw in own] for own in drawn]

    def snap(self, x: Shown, t: float) -> int:
        return self.sampler.snap(draw_of(x, self.sampler), t)

    def fingerprint(self) -> str:
        return self.sampler.fingerprint()


def shown(draw: Draw) -> Shown:
    values = draw.value.tolist()
    letters = "".join(chr(97 + int(np.clip(np.floor(v), -12, 12)) + 12) for v in values)
    return Shown((*values, draw.component), f"{letters[:5]:_<5}{draw.component % 10}")


def draw_of(x: Shown, sampler: ExactSampler) -> Draw:
    kind = sampler.nothing.dtype
    return Draw(int(x.token_ids[-1]), np.array(x.token_ids[:-1], kind))


def as_text(make: Callable[[], ExactSampler]) -> Callable[[object], AsText]:
    return lambda _: AsText(make())
