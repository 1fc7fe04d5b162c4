"""What the experiments on pictures share: originals, measuring, curves, windows, page."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import pandas as pd

from critwin.curve import GridCurve
from critwin.errors import ModelError, ParameterError
from critwin.feature import UNSCORED
from critwin.image_feature import ImageFeature
from critwin.levels import Levels
from critwin.picture import PictureSampler
from critwin.records import RunDirectory
from critwin.report import write_report
from critwin.sampler import Level
from critwin.window import WindowRule, verdicts_table
from experiments.diffusion.curves import (
    curves_of,
    feature_frames,
    mean_agreement,
    picture_curves_table,
    picture_windows_table,
)
from experiments.diffusion.figures import (
    MeanLine,
    agreement_figure,
    picture_grid,
    write_figure,
)
from experiments.diffusion.label_counts import any_sampler_rows, count_labels
from experiments.diffusion.measuring import Kind, Original, PictureMeasuring
from experiments.exact.verdicts import Row
from experiments.exact.verdicts import table as verdict_table
from experiments.experiment import Accounts, Experiment
from experiments.tracker import Progress, Tracker

LEAST_ORIGINALS = 20
"""With fewer originals nothing is held against the theory: intervals over them are rough."""

SHOWN_ORIGINALS = 6
"""Originals in the picture grid."""


@dataclass(frozen=True, kw_only=True)
class PictureWindows(Experiment):
    """Noise originals to some levels, denoise them, and see where what they show is decided.

    Attributes:
        model: The sampler.
        sampler: Levels visited and draws at each.
        features: What is decided, by name; the first is the label of the records, and coarse and
            fine ones together give the hierarchy of windows.
        window: What counts as a window of an original.
        originals: Originals of each condition, >= 1.
        pictures_kept: Resampled pictures that are kept per original and level, >= 0.
        seed: All randomness comes from it.
    """

    model: PictureSampler
    sampler: Levels
    features: Mapping[str, ImageFeature]
    window: WindowRule
    originals: int = 4
    pictures_kept: int = 4
    seed: int = 0

    axis: ClassVar[str] = "originals_done"
    kind: ClassVar[Kind] = "grid"
    theory_title: ClassVar[str] = "theory beside measurement, intervals joint 95 %"
    drawn: ClassVar[tuple[str, ...]] = ("originals", "resamples", "pictures")
    products: ClassVar[tuple[str, ...]] = (
        *(f"{name}.parquet" for name in (*drawn, "curves", "windows", "verdicts")),
        "summary.json",
        "report.html",
        "figures",
    )

    def make_originals(self, measuring: PictureMeasuring, chosen: range) -> list[Original]:
        """Draw or read some originals, by number."""
        return measuring.draw(self.asked(), chosen, per_condition=self.originals, seed=self.seed)

    def asked(self) -> tuple[str, ...]:
        """Give what pictures are drawn for; one empty text for an unconditional model."""
        return ("",)

    def check(self) -> None:
        """Refuse what does not fit together."""
        for name, low in (("originals", 1), ("pictures_kept", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < low:
                raise ParameterError(name, value, f"a whole number >= {low}")
        if type(self.seed) is not int:
            raise ParameterError("seed", self.seed, "a whole number")
        if not self.features:
            raise ParameterError("features", dict(self.features), "one feature or more, by name")
        try:
            self.sampler.levels(self.model.last_level)
        except ParameterError as error:
            raise error.within("sampler") from None
        self.model.check_conditions("conditions", self.asked())
        self.refuse_equal_draws()

    def refuse_equal_draws(self) -> None:
        """Refuse several resamples of an observation that would all be the same picture."""
        if self.sampler.draws > 1 and self.model.noise_if_known() is False:
            allowed = (
                "1, because this scheduler draws no noise: all resamples of one observation are "
                "one picture; or model.scheduler=ddpm"
            )
            raise ParameterError("sampler.draws", self.sampler.draws, allowed)

    def measuring(self) -> PictureMeasuring:
        """Give what draws and labels."""
        return PictureMeasuring(
            sampler=self.model,
            features=self.features,
            protocol=self.sampler,
            kind=self.kind,
            pictures_kept=self.pictures_kept,
        )

    def run(self, directory: RunDirectory, *, tracker: Tracker, progress: Progress) -> Accounts:
        """Draw what is not drawn yet, then make curves, windows, figures, summary and page."""
        began = time.perf_counter()
        cost: dict[str, float] = {}
        if not all(directory.has(table) for table in self.drawn):
            cost = self._draw(directory, tracker, progress)
        drawn = time.perf_counter()
        progress.begin("analysis", 1, unit="runs")
        self._analyse(directory, cost)
        progress.advance(1)
        progress.end()
        seconds = {"drawing": drawn - began, "analysis": time.perf_counter() - drawn}
        facts = {
            "device": self.model.device_used(),
            "draws_noise": self.model.draws_noise,
            "images_generated": int(cost.get("images", 0)),
            "reverse_steps": int(cost.get("steps", 0)),
        }
        return Accounts(seconds=seconds, facts=facts)

    def _draw(
        self, directory: RunDirectory, tracker: Tracker, progress: Progress
    ) -> dict[str, float]:
        measuring = self.measuring()
        self.check_loaded()
        return measuring.carry_out(
            directory,
            partial(self.make_originals, measuring),
            self.originals * len(self.asked()),
            tracker=tracker,
            progress=progress,
        )

    def check_loaded(self) -> None:
        """Refuse what only a loaded model can tell.

        Raises:
            ModelError: It cannot draw what is asked for.
        """
        takes = getattr(self.model, "takes", None)
        strange = [c for c in self.asked() if takes is not None and not takes(c)]
        if strange:
            raise ModelError(f"the model cannot be asked for {strange[0]!r}")
        if self.sampler.draws > 1 and not self.model.draws_noise:
            raise ModelError("the scheduler draws no noise; allowed: sampler.draws=1")

    def _analyse(self, directory: RunDirectory, cost: Mapping[str, float]) -> None:
        originals = directory.read("originals").to_pandas()
        resamples = directory.read("resamples").to_pandas()
        last = self.model.last_level
        curves = curves_of(originals, resamples, list(self.features), last=last)
        directory.write("curves", picture_curves_table(curves))
        windows, found = picture_windows_table(curves, self.window, last=last)
        directory.write("windows", windows)
        directory.write("verdicts", verdicts_table(found.verdicts))
        summary = self.summarise(directory, originals, resamples)
        summary["windows_found"] = windows.num_rows
        if cost:
            summary["images_per_second"] = cost["images"] / max(cost["seconds"], 1e-9)
        directory.write_json("summary", summary)
        self.draw_figures(directory, originals, resamples, curves)
        write_report(directory.path)

    def summarise(
        self, directory: RunDirectory, originals: pd.DataFrame, resamples: pd.DataFrame
    ) -> dict[str, Any]:
        """Give the summary: mean agreement of each feature at each level, and counts."""
        last = self.model.last_level
        means = {
            name: mean_agreement(*feature_frames(originals, resamples, name, last=last))
            for name in self.features
        }
        columns = ["feature", "position", "timestep", "agreement", "lower", "upper", "unscored"]
        rows = []
        for name, frame in means.items():
            for row in frame.to_dict("records"):
                level = int(row["position"])
                place = [name, level, self.model.timestep(level)]
                rows.append([*place, *(float(row[column]) for column in columns[3:])])
        table = {
            "title": "Resamples that agree with their original, mean over originals, 95 %",
            "columns": columns,
            "rows": rows,
        }
        found = self.theory_rows(directory, originals, resamples)
        theory = [verdict_table(found, f"{self.name}: {self.theory_title}")] if found else []
        return {
            "headline": self.headline(originals, resamples),
            "tables": [*theory, table],
            "verdicts": dict(Counter(row.verdict for row in found)),
            "notes": self.notes(),
            "counts": {
                "originals": len(originals),
                "resamples": len(resamples),
                "unscored_originals": int(originals["unscored"].sum()),
                "unscored_resamples": int(resamples["unscored"].sum()),
            },
        }

    def theory_rows(
        self, directory: RunDirectory, originals: pd.DataFrame, resamples: pd.DataFrame
    ) -> list[Row]:
        """Compare measurement with what theory says of any sampler; few originals say nothing."""
        if len(originals) < LEAST_ORIGINALS:
            return []
        first = next(iter(self.features))
        own, drawn = feature_frames(originals, resamples, first, last=self.model.last_level)
        names = [str(label) for label in own["label"].value_counts().index if label != UNSCORED]
        return any_sampler_rows(count_labels(own, drawn, names, self.model))

    def headline(self, originals: pd.DataFrame, resamples: pd.DataFrame) -> list[dict[str, Any]]:
        """Give where averaged agreement is half way between its ends, for each feature."""
        found = []
        for name in self.features:
            frames = feature_frames(originals, resamples, name, last=self.model.last_level)
            means = mean_agreement(*frames)
            lower, upper = halfway(means)
            row = {
                "name": f"{name}: agreement half way, in steps taken",
                "estimate": None if None in (lower, upper) else (lower + upper) / 2,  # type: ignore[operator]
                "lower": lower,
                "upper": upper,
                "n": len(frames[1]),
                "problems": len(originals),
                "note": "between levels visited; 95 % pointwise",
            }
            found.append(row)
        return found

    def notes(self) -> list[str]:
        """Give what a reader has to know."""
        if self.model.draws_noise:
            return ["the scheduler draws noise at each reverse step, as DDPM does"]
        return [
            "the scheduler draws no noise (DDIM and other solvers of the flow): resamples of an "
            "original differ by the noise of their observations alone, and what a label's "
            "probability is given an observation is 0 or 1, not the posterior of the theory"
        ]

    def draw_figures(
        self,
        directory: RunDirectory,
        originals: pd.DataFrame,
        resamples: pd.DataFrame,
        curves: Mapping[str, Sequence[GridCurve]],
    ) -> None:
        """Draw averaged agreement of each feature, and the picture grid."""
        last = self.model.last_level
        lines = [
            MeanLine(name, mean_agreement(*feature_frames(originals, resamples, name, last=last)))
            for name in self.features
        ]
        write_figure(agreement_figure(lines, last=last), directory.path, "agreement")
        grid = picture_grid(
            directory.read("pictures").to_pandas(), self.model, shown=SHOWN_ORIGINALS
        )
        if grid is not None:
            write_figure(grid, directory.path, "pictures")


def halfway(means: pd.DataFrame) -> tuple[Level | None, Level | None]:
    """Give between which visited levels averaged agreement passes the middle of its range.

    The middle is that between the value at the lowest level visited and 1. The lower level is the
    last one at which the interval lies below it, the upper one the first at which it lies above.
    """
    if means.empty:
        return None, None
    middle = (float(means["agreement"].iloc[0]) + 1) / 2
    below = means.loc[means["upper"] < middle, "position"]
    above = means.loc[means["lower"] > middle, "position"]
    return (
        int(below.max()) if len(below) else None,
        int(above.min()) if len(above) else None,
    )
