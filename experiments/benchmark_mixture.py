"""How fast exact samplers are: many resamples of a Gaussian mixture in many dimensions."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any, ClassVar

import numpy as np

from critwin.errors import ParameterError
from critwin.protocol import check_number, check_whole
from critwin.records import RunDirectory
from critwin.report import write_report
from critwin.samplers.gaussian_mixture import GaussianMixture
from critwin.seeds import fold_in
from critwin.statistics import clustered_share
from critwin.theory.total_variation import leak
from experiments.exact.verdicts import equal, table
from experiments.experiment import Accounts, Experiment
from experiments.tracker import Progress, Tracker

BLOCK = 200_000
"""Resamples held in memory at once."""

LEVELS, HORIZON = 80, 4.0


@dataclass(frozen=True, kw_only=True)
class BenchmarkMixture(Experiment):
    """Noise originals, resample each of them, and time it; the leak is held against the theory.

    Attributes:
        components: Components, >= 2; their means are drawn from N(0, spread^2 I).
        dimensions: Dimensions, >= 1.
        spread: Standard deviation of the means, > 0.
        time: Ornstein-Uhlenbeck time that originals are noised to, in (0, 4).
        originals: Originals, >= 10.
        resamples: Resamples in all, a multiple of originals.
        rounds: Times that it is measured, >= 1.
        seed: All randomness comes from it.
    """

    components: int = 10
    dimensions: int = 64
    spread: float = 1.0
    time: float = 1.5
    originals: int = 1000
    resamples: int = 1_000_000
    rounds: int = 3
    seed: int = 0

    name: ClassVar[str] = "benchmark_mixture"
    stage: ClassVar[str] = "benchmark"
    axis: ClassVar[str] = "rounds_done"
    always: ClassVar[bool] = True
    products: ClassVar[tuple[str, ...]] = ("summary.json", "report.html")

    def check(self) -> None:
        """Refuse numbers that are too small."""
        least = {"components": 2, "dimensions": 1, "originals": 10, "resamples": 10, "rounds": 1}
        for name, low in least.items():
            check_whole(name, getattr(self, name), low=low)
        check_number("spread", self.spread, low=0.0, high=100.0)
        if not 0 < self.time < HORIZON:
            raise ParameterError("time", self.time, f"a number in (0, {HORIZON:g})")
        if self.resamples % self.originals:
            allowed = f"a multiple of originals = {self.originals}"
            raise ParameterError("resamples", self.resamples, allowed)

    @cached_property
    def mixture(self) -> GaussianMixture:
        """The mixture."""
        random = np.random.default_rng(fold_in(self.seed, "means"))
        means = self.spread * random.standard_normal((self.components, self.dimensions))
        return GaussianMixture(
            means=tuple(map(tuple, means.tolist())), levels=LEVELS, horizon=HORIZON
        )

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        """Measure the rounds and write the table."""
        began = time.perf_counter()
        mixture = self.mixture
        level = mixture.level_at(self.time)
        xs = mixture.draw_population(mixture.mixture_weights, self.originals, seed=self.seed)
        own = np.array([x.component for x in xs])
        values = np.stack([x.value for x in xs])
        levels = np.full(self.originals, level)
        seconds, left = [], np.zeros(self.originals, np.int64)
        progress.begin("rounds", self.rounds, unit="rounds")
        for number in range(self.rounds):
            start = time.perf_counter()
            words = np.arange(self.originals, dtype=np.uint64) + np.uint64(
                fold_in(self.seed, "observe", number)
            )
            seen = mixture.forget(values, levels, words)
            left += self._left(seen, levels, own, number)
            seconds.append(time.perf_counter() - start)
            tracker.log({"rounds_done": number + 1.0, "seconds": seconds[-1]})
            progress.advance(1, **{"resamples/s": self.resamples / seconds[-1]})
        progress.end()
        directory.write_json("summary", self._summary(seconds, left, own, level))
        write_report(directory.path)
        return Accounts(seconds={"all": time.perf_counter() - began})

    def _left(self, seen: np.ndarray, levels: np.ndarray, own: np.ndarray, number: int) -> Any:
        """Resample, in blocks, and count per original the draws of another component."""
        each = self.resamples // self.originals
        row = np.repeat(np.arange(self.originals), each)
        words = np.arange(self.resamples, dtype=np.uint64) + np.uint64(
            fold_in(self.seed, "resample", number)
        )
        left = np.zeros(self.originals, np.int64)
        for first in range(0, self.resamples, BLOCK):
            at = slice(first, first + BLOCK)
            component, _ = self.mixture.resample_rows(seen, levels, row[at], words[at])
            left += np.bincount(row[at][component != own[row[at]]], minlength=self.originals)
        return left

    def _summary(
        self, seconds: list[float], left: np.ndarray, own: np.ndarray, level: int
    ) -> dict[str, Any]:
        mixture = self.mixture
        at = mixture.posteriors(mixture.time(level))
        leaks = [leak(at, [k]) for k in range(self.components)]
        # as often as each component was drawn: what the measured mean is an estimate of
        share = np.bincount(own, minlength=self.components) / len(own)
        expected = float(share @ [found.value for found in leaks])
        error = float(share @ [(found.upper - found.lower) / 2 for found in leaks])
        trials = np.full(self.originals, self.resamples // self.originals * self.rounds)
        found = clustered_share(left, trials)
        assert found is not None
        row = equal("draws of another component", expected, found, error=error)
        speed = self.resamples / median(seconds)
        name = f"seconds for {self.resamples:,} resamples in {self.dimensions} dimensions"
        return {
            "headline": [
                {
                    "name": name,
                    "estimate": median(seconds),
                    "lower": min(seconds),
                    "upper": max(seconds),
                    "n": self.rounds,
                    "problems": None,
                    "note": f"median, least and greatest of the rounds; {self.components} "
                    "components, values drawn in full",
                }
            ],
            "tables": [table([row], "Theory beside measurement")],
            "notes": [
                f"{os.cpu_count()} cores, load of the machine {os.getloadavg()[0]:.1f}",
            ],
            "resamples_per_second": speed,
            "seconds": seconds,
        }
