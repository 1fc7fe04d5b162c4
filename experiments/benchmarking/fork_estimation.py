"""Every token's curve by forks, with what each part of it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace

import numpy as np

from critwin.feature import Feature
from critwin.fork_measuring import ForkMeasurement, measure_forks, reached_half_width
from critwin.generation import Generation
from critwin.protocol import ForkProtocol
from critwin.sampler import Path
from critwin.samplers.language import LanguageSampler
from critwin.seeds import fold_in
from experiments.benchmarking.work import Work


@dataclass
class Stages:
    """Seconds that went into each part of some work."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Count what happens inside to a part."""
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


@dataclass(frozen=True)
class ForkEstimate:
    """What the fork protocol gave for all originals of some work.

    Attributes:
        measurements: One per original.
        half_widths: Half-width reached for each, mean over its positions 0..n-1, pointwise 95 %.
        stages: Seconds of each part but the planning.
    """

    measurements: list[ForkMeasurement]
    half_widths: list[float]
    stages: dict[str, float]

    @property
    def half_width(self) -> float:
        """Mean over the originals of what was reached."""
        return float(np.mean(self.half_widths))

    @property
    def forks(self) -> int:
        """Forks drawn, those of the pilot among them."""
        return sum(len(m.pilot) + len(m.drawn) for m in self.measurements)

    @property
    def tokens(self) -> int:
        """Tokens drawn for them."""
        return sum(f.tokens_generated for m in self.measurements for f in (*m.pilot, *m.drawn))


def estimate_by_forks(
    sampler: LanguageSampler, work: Work, feature: Feature, *, half_width: float, replicate: int
) -> ForkEstimate:
    """Measure the curves of all originals by forks: paths, pilot, plan, forks, labels, intervals.

    Args:
        sampler: The sampler that made the originals.
        work: The originals.
        feature: Gives the labels.
        half_width: Wanted, mean over the positions.
        replicate: Estimates of another number draw independently.
    """
    stages = Stages()

    def label(original: int, samples: Sequence[Generation]) -> list[str]:
        with stages.timed("labels"):
            return work.labels(feature, original, samples)

    originals = [replace(o, seed=fold_in(o.seed, "estimate", replicate)) for o in work.originals]
    parameters = {f.name: getattr(sampler, f.name) for f in fields(LanguageSampler)}
    measurements = measure_forks(
        _Timed(stages=stages, **parameters),
        originals,
        protocol=ForkProtocol(half_width=half_width),
        label=label,
    )
    with stages.timed("intervals"):
        half_widths = [reached_half_width(m.forks, m.original.label) for m in measurements]
    return ForkEstimate(measurements, half_widths, stages.seconds)


@dataclass(frozen=True, kw_only=True)
class _Timed(LanguageSampler):
    """The same sampler, with the time that it takes for paths and for forks."""

    stages: Stages

    def paths(self, x: Sequence[Generation]) -> list[Path]:
        with self.stages.timed("paths"):
            return super().paths(x)

    def fork(
        self, x: Sequence[Generation], position: Sequence[int], *, seeds: Sequence[int]
    ) -> list[Generation]:
        with self.stages.timed("forks"):
            return super().fork(x, position, seeds=seeds)
