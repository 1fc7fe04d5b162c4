"""Windows of every level of the random hierarchy model: the higher, the more leaves it takes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar

import numpy as np
import pyarrow as pa

from critwin.drawing import QUIET, SINGLE, drawing
from critwin.errors import ParameterError
from critwin.forward_reverse import resample_seeds
from critwin.protocol import check_whole
from critwin.records import RunDirectory
from critwin.report import write_report
from critwin.sampler import Level
from critwin.samplers.random_hierarchy import RandomHierarchy
from critwin.seeds import fold_in
from critwin.statistics import Interval
from experiments.exact.comparison import JOINT
from experiments.exact.figures import COLORS, LINES, MARKERS, write
from experiments.exact.verdicts import Row, equal, table
from experiments.experiment import Accounts, Experiment
from experiments.tracker import Progress, Tracker

Stays = list[np.ndarray]
"""For each height from the leaves to the root: how often nodes stay, shape (L, N)."""


@dataclass(frozen=True, kw_only=True)
class RandomHierarchyLevels(Experiment):
    """Mask leaves, draw them again, and count the nodes of each height whose symbol is the same.

    The theory is belief propagation up the tree and down again, exact for each observation and
    averaged over drawn ones.

    Attributes:
        model: The hierarchy.
        originals: Originals, >= 50.
        replicates: Resamples per original and level, >= 1.
        grid: Levels visited, >= 3.
        seed: All randomness comes from it.
    """

    model: RandomHierarchy
    originals: int = 500
    replicates: int = 4
    grid: int = 16
    seed: int = 0

    name: ClassVar[str] = "random_hierarchy_levels"
    axis: ClassVar[str] = "levels_done"
    products: ClassVar[tuple[str, ...]] = ("summary.json", "report.html", "figures")

    def check(self) -> None:
        """Refuse numbers that are too small."""
        for name, low in (("originals", 50), ("replicates", 1), ("grid", 3)):
            if getattr(self, name) is None:
                raise ParameterError(name, None, f"a whole number >= {low}")
            check_whole(name, getattr(self, name), low=low)

    def levels(self) -> list[Level]:
        """Give the levels visited, from nothing seen to all but the last."""
        last = self.model.last_level
        spread = np.linspace(0, last, min(self.grid, last), endpoint=False)
        return sorted({int(level) for level in spread})

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        """Measure at every level, compute the theory, and write what both say."""
        began = time.perf_counter()
        levels = self.levels()
        measured = self._measure(directory, levels, tracker, progress)
        masked = [self.model.time(level) for level in levels]
        theory = [self.model.node_stays(t) for t in masked]
        rows = self._rows(measured, theory, masked)
        half = [_half(masked, [own[h].mean() for own in theory]) for h in range(len(measured))]
        self._draw(directory, measured, theory, masked)
        directory.write_json(
            "summary",
            {
                "tables": [
                    table(rows, "random_hierarchy_levels: theory beside measurement, joint 95 %")
                ],
                "half_way": dict(zip(self._names(), half, strict=True)),
                "notes": [
                    "half_way: share of masked leaves at which a node's symbol is drawn again half "
                    "as often as it could be, between chance and 1, by belief propagation",
                    "belief propagation is exact; its mean is over drawn observations",
                ],
                "verdicts": {
                    v: sum(r.verdict == v for r in rows) for v in sorted({r.verdict for r in rows})
                },
            },
        )
        write_report(directory.path)
        return Accounts(seconds={"all": time.perf_counter() - began})

    def _names(self) -> list[str]:
        middle = [f"height {h}" for h in range(1, self.model.depth)]
        return ["leaves", *middle, "root"]

    def _measure(
        self, directory: RunDirectory, levels: list[Level], tracker: Tracker, progress: Progress
    ) -> Stays:
        """Count per level, original and height; a level is a part."""
        model = self.model
        xs = model.draw_population(model.mixture_weights, self.originals, seed=self.seed)
        own = model.ancestors(np.stack([x.value for x in xs]))
        done = [i for i in range(len(levels)) if directory.has_part("stays", i)]
        progress.begin("levels", len(levels), unit="levels", done=len(done))
        for number, level in enumerate(levels):
            if number in done:
                continue
            own_seeds = [fold_in(self.seed, "resamples of", i) for i in range(len(xs))]
            noise = [fold_in(seed, "observe", level) for seed in own_seeds]
            cuts = model.observe(xs, [level] * len(xs), seeds=noise)
            seeds = [resample_seeds(seed, level, self.replicates) for seed in own_seeds]
            drawn = model.resample(cuts, seeds=seeds)
            again = model.ancestors(np.stack([d.value for draws in drawn for d in draws]))
            shares = {
                f"h{height}": (one.reshape(len(xs), self.replicates, -1) == other[:, None]).mean(
                    axis=(1, 2)
                )
                for height, (one, other) in enumerate(zip(again, own, strict=True))
            }
            directory.write_part("stays", number, pa.table(shares), notes={})
            progress.advance(1)
            tracker.log({"levels_done": number + 1.0})
        progress.end()
        parts = [directory.read_part("stays", i) for i in range(len(levels))]
        return [
            np.stack([np.asarray(part[f"h{h}"]) for part in parts]) for h in range(model.depth + 1)
        ]

    def _rows(self, measured: Stays, theory: list[Stays], masked: list[float]) -> list[Row]:
        rows = []
        for height, name in enumerate(self._names()):
            for wanted in (0.75, 0.5, 0.25):
                place = int(np.abs(np.array(masked) - wanted).argmin())
                drawn = theory[place][height]
                found = _interval(measured[height][place])
                error = 5 * float(drawn.std(ddof=1)) / len(drawn) ** 0.5
                quantity = f"{name} drawn again the same, {masked[place]:.2f} masked"
                rows.append(equal(quantity, float(drawn.mean()), found, error=error))
        return rows

    def _draw(
        self, directory: RunDirectory, measured: Stays, theory: list[Stays], masked: list[float]
    ) -> None:
        with drawing(SINGLE, 2.6) as figure:
            axes = figure.add_subplot()
            for height, name in enumerate(self._names()):
                color, style = COLORS[height % len(COLORS)], LINES[height % len(LINES)]
                values = [own[height].mean() for own in theory]
                axes.plot(masked, values, color=color, linestyle=style, label=name)
                found = [_interval(row) for row in measured[height]]
                middle = np.array([f.estimate for f in found])
                ends = [middle - [f.lower for f in found], [f.upper for f in found] - middle]
                axes.errorbar(
                    masked,
                    middle,
                    yerr=np.maximum(ends, 0),
                    fmt=MARKERS[height % len(MARKERS)],
                    color=color,
                    markerfacecolor="white",
                    markersize=3,
                    elinewidth=0.7,
                    linestyle="none",
                )
            axes.set(xlim=(0, 1.01), ylim=(0, 1.03))
            axes.set_xlabel("share of leaves masked")
            axes.set_ylabel("nodes drawn again the same")
            axes.legend(loc="lower left")
            title = "lines: belief propagation; points: measured, joint 95 %"
            axes.set_title(title, color=QUIET, fontsize=6.5)
        write(figure, directory.path, "levels")


def _interval(values: np.ndarray) -> Interval:
    """Give the mean over originals with its joint interval."""
    k = NormalDist().inv_cdf(0.5 + JOINT / 2)
    mean = float(values.mean())
    margin = k * float(values.std(ddof=1)) / len(values) ** 0.5
    return Interval(
        mean, max(mean - margin, 0.0), min(mean + margin, 1.0), len(values), len(values)
    )


def _half(masked: list[float], stays: list[float]) -> float:
    """Give the share masked at which a curve is half way from its value at nothing seen to 1."""
    middle = (stays[0] + 1) / 2
    return float(np.interp(middle, [*stays, 1.0], [*masked, 0.0]))
