"""Images per second: one batch of many originals, levels and seeds beside a call for each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, ClassVar

import numpy as np

from critwin.errors import ModelError, ParameterError
from critwin.levels import Levels
from critwin.picture import NoisedPicture, Picture
from critwin.protocol import check_whole
from critwin.records import RunDirectory
from critwin.report import write_report
from critwin.sampler import Level
from critwin.samplers.diffusion import DiffusionSampler
from critwin.seeds import fold_in
from experiments.experiment import Accounts, Experiment
from experiments.tracker import Progress, Tracker

Cut = tuple[Picture, Level, int]
"""An original, a level, and the seed of its resamples."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkDiffusion(Experiment):
    """Resample the same cuts in both ways, side by side, several times.

    The plain way is what a script does that knows diffusers: for each original and level, noise
    the original with the scheduler's `add_noise` and run the loop of unet and scheduler from there,
    one call with `draws` rows (predecessor: one). Both give the same pictures.

    Attributes:
        model: An unconditional pipeline.
        sampler: Levels, and resamples of each cut (`draws`; `n` is 1).
        originals: Originals that are resampled in one batch, >= 1.
        plain_originals: Those of them that are resampled the plain way in a round: it is slow, and
            its speed does not depend on how many there are. >= 1.
        rounds: Times that both are measured, alternately, >= 2.
        seed: All randomness comes from it.
    """

    model: DiffusionSampler
    sampler: Levels
    originals: int = 32
    plain_originals: int = 2
    rounds: int = 5
    seed: int = 0

    name: ClassVar[str] = "benchmark_diffusion"
    stage: ClassVar[str] = "benchmark"
    axis: ClassVar[str] = "rounds_done"
    always: ClassVar[bool] = True
    products: ClassVar[tuple[str, ...]] = ("summary.json", "report.html")

    def check(self) -> None:
        """Refuse what does not fit together."""
        for name, low in (("originals", 1), ("plain_originals", 1), ("rounds", 2)):
            if getattr(self, name) is None:
                raise ParameterError(name, None, f"a whole number >= {low}")
            check_whole(name, getattr(self, name), low=low)
        if self.plain_originals > self.originals:
            allowed = f"at most originals = {self.originals}"
            raise ParameterError("plain_originals", self.plain_originals, allowed)
        if self.sampler.n != 1:
            raise ParameterError("sampler.n", self.sampler.n, "1; sampler.draws says how many rows")
        try:
            self.sampler.levels(self.model.last_level)
        except ParameterError as error:
            raise error.within("sampler") from None
        self.model.check_conditions("model.path", ("",))

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        """Measure both ways alternately and write the table."""
        began = time.perf_counter()
        if self.model.loaded.conditional:
            raise ModelError("model.path is told what to draw; allowed: an unconditional pipeline")
        cuts = self._cuts()
        few = cuts[: self.plain_originals * (len(cuts) // self.originals)]
        self._batched(few[:1])  # loads the model and warms up
        self._plain(few[:1])
        progress.begin("rounds", self.rounds, unit="rounds")
        rows: list[list[float]] = []
        gap = 0.0
        for number in range(self.rounds):
            ours, batched = _timed(self._batched, cuts)
            theirs, plain = _timed(self._plain, few)
            gap = max(gap, *(_gap(a, b) for a, b in zip(batched, plain, strict=False)))
            speed = len(cuts) * self.sampler.draws / ours
            slow = len(few) * self.sampler.draws / theirs
            rows.append([float(number), speed, slow, speed / slow])
            tracker.log({"rounds_done": number + 1.0, "speedup": speed / slow})
            progress.advance(1, **{"images/s": speed, "plain images/s": slow})
        progress.end()
        directory.write_json("summary", self._summary(rows, gap, len(cuts), len(few)))
        write_report(directory.path)
        return Accounts(seconds={"all": time.perf_counter() - began})

    def _cuts(self) -> list[Cut]:
        seeds = [fold_in(self.seed, "original", i) for i in range(self.originals)]
        (xs,) = self.model.resample([NoisedPicture("")], seeds=[seeds])
        levels = self.sampler.levels(self.model.last_level)
        return [
            (x, level, fold_in(seed, level))
            for x, seed in zip(xs, seeds, strict=True)
            for level in levels
        ]

    def _seeds(self, seed: int) -> list[int]:
        return [fold_in(seed, replicate) for replicate in range(self.sampler.draws)]

    def _batched(self, cuts: list[Cut]) -> list[list[np.ndarray]]:
        xs, levels, seeds = zip(*cuts, strict=True)
        observed = self.model.observe(xs, levels, seeds=seeds)
        drawn = self.model.resample(observed, seeds=[self._seeds(seed) for seed in seeds])
        return [[picture.values for picture in own] for own in drawn]

    def _plain(self, cuts: list[Cut]) -> list[list[np.ndarray]]:
        """Do it as a script does: a loop of unet and scheduler per original and level."""
        import torch

        pipeline = self.model.loaded.pipeline
        scheduler, unet = pipeline.scheduler, pipeline.unet
        found = []
        for x, level, seed in cuts:
            generators = [torch.Generator().manual_seed(s) for s in self._seeds(seed)]
            scheduler.set_timesteps(self.model.steps)
            times = scheduler.timesteps[level:]
            clean = torch.from_numpy(x.values)[None]
            if level == 0:
                rows = [torch.randn(clean.shape, generator=g) for g in generators]
                state = torch.cat(rows) * scheduler.init_noise_sigma
            else:
                noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
                state = scheduler.add_noise(clean, noise, times[:1])
                state = state.repeat(len(generators), 1, 1, 1)
            state = state.to(unet.device, unet.dtype)
            with torch.no_grad():
                for t in times:
                    output = unet(scheduler.scale_model_input(state, t), t).sample
                    state = scheduler.step(output, t, state, generator=generators).prev_sample
            found.append(list(state.float().cpu().numpy()))
        return found

    def _summary(self, rows: list[list[float]], gap: float, cuts: int, few: int) -> dict[str, Any]:
        import torch

        ratios = [row[3] for row in rows]
        draws = self.sampler.draws
        headline = {
            "name": "times as many images per second as a plain call per original and level",
            "estimate": median(ratios),
            "lower": min(ratios),
            "upper": max(ratios),
            "n": len(ratios),
            "problems": None,
            "note": "median, least and greatest of the rounds",
        }
        return {
            "headline": [headline],
            "tables": [
                {
                    "title": "Images per second, measured alternately",
                    "columns": ["round", "one batch", "a call for each", "ratio"],
                    "rows": [[int(row[0]), *row[1:]] for row in rows],
                }
            ],
            "notes": [
                f"a round resamples {cuts} cuts, {draws} seeds each, in one batch, and {few} of "
                "them by a call each; a mean image takes the same number of steps in both",
                f"greatest difference between pictures of the two ways: {gap:.2e}, of [-1, 1]",
                f"{torch.get_num_threads()} threads of torch on {self.model.device_used()}; load "
                f"of the machine {os.getloadavg()[0]:.1f}",
            ],
            "speedup": median(ratios),
            "speedup_least": min(ratios),
            "greatest_difference": gap,
            "images_per_second": median(row[1] for row in rows),
            "plain_images_per_second": median(row[2] for row in rows),
        }


def _timed(
    work: Callable[[list[Cut]], list[list[np.ndarray]]], cuts: list[Cut]
) -> tuple[float, list[list[np.ndarray]]]:
    began = time.perf_counter()
    found = work(cuts)
    return time.perf_counter() - began, found


def _gap(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))
