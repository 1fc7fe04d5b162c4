"""Where does a diffusion model decide which digit it draws? Measurement beside theory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from critwin.curve import GridCurve
from critwin.digits import PARTS, load_digits
from critwin.errors import ModelError, ParameterError
from critwin.picture import NoisedPicture
from critwin.picture_records import image_of
from critwin.records import RunDirectory
from critwin.seeds import fold_in
from critwin.theory.examples import PaperTimes
from critwin.theory.gaussian_classes import GaussianClasses, speciation_time
from critwin.theory.posteriors import NoisedMixture
from critwin.theory.times import WindowTimes, cached, check_epsilon, window_times
from experiments.diffusion.curves import feature_frames, mean_agreement
from experiments.diffusion.figures import MeanLine, agreement_figure, picture_grid, write_figure
from experiments.diffusion.label_counts import count_labels, law_row
from experiments.diffusion.measuring import Original, PictureMeasuring
from experiments.diffusion.memorisation import QUANTILE, memorisation
from experiments.diffusion.theory_figure import theory_figure
from experiments.diffusion.windows import LEAST_ORIGINALS, SHOWN_ORIGINALS, PictureWindows, halfway
from experiments.exact.comparison import Comparison
from experiments.exact.measuring import Measured
from experiments.exact.tables import told
from experiments.exact.verdicts import Row, at_most


@dataclass(frozen=True, kw_only=True)
class DiffusionDigits(PictureWindows):
    """Noise digits to some levels, denoise them, and compare with the theory of noised classes.

    The theory is that of Gaussian classes fitted to the training digits
    (critwin/theory/gaussian_classes.py): real classes are none, and the model is learned, so the
    table says where they differ. What holds for any model (detailed balance, a leak that falls as
    more is kept, Theorem 2's step) is held against the measurement, too.

    Attributes:
        source: `model` for pictures that the model draws, which are what the theory is about;
            `held_out` for real digits that nobody learned from.
        after: Labels of S_after, by the first feature.
        before: Labels of S_before, more than S_after.
        epsilon: Of Definition 4, in (0, 1).
        originals: As in the base, for the one condition there is.
    """

    source: Literal["model", "held_out"] = "model"
    after: tuple[str, ...] = ("1", "4", "7", "9")
    before: tuple[str, ...] = tuple("0123456789")
    epsilon: float = 0.3
    originals: int = 100

    name: ClassVar[str] = "diffusion_digits"
    theory_title: ClassVar[str] = f"{PictureWindows.theory_title}; times are OU"

    @property
    def label_feature(self) -> str:
        """Name of the first feature, whose labels are the theory's components."""
        return next(iter(self.features))

    @property
    def labels(self) -> tuple[str, ...]:
        """The ten digits."""
        return tuple(map(str, range(10)))

    def check(self) -> None:
        """Refuse what does not fit together."""
        super().check()
        check_epsilon(self.epsilon)
        if self.originals < LEAST_ORIGINALS:
            allowed = f"a whole number >= {LEAST_ORIGINALS}"
            raise ParameterError("originals", self.originals, allowed)
        if self.source == "held_out" and self.originals > PARTS["held_out"]:
            allowed = f"at most {PARTS['held_out']}, the digits that nobody learned from"
            raise ParameterError("originals", self.originals, allowed)
        if self.sampler.n != 1:
            allowed = "1: originals are observed once per level, so that observations are apart"
            raise ParameterError("sampler.n", self.sampler.n, allowed)
        if self.sampler.draws < 2:
            allowed = "2 or more: distances are measured from two halves"
            raise ParameterError("sampler.draws", self.sampler.draws, allowed)
        if set(self.features[self.label_feature].known_labels()) != set(self.labels):
            allowed = "a feature whose labels are the digits 0 to 9, first"
            raise ParameterError("features", list(self.features), allowed)
        for name in ("after", "before"):
            own = getattr(self, name)
            if not own or len(set(own)) != len(own) or not set(own) <= set(self.labels):
                raise ParameterError(name, list(own), "different digits, as texts: ['4', '9']")
        if not set(self.after) < set(self.before):
            allowed = f"a part of before, {list(self.before)}, not all of it"
            raise ParameterError("after", list(self.after), allowed)

    def check_loaded(self) -> None:
        """Refuse a model of other pictures than digits."""
        super().check_loaded()
        images, _ = load_digits("held_out")
        shape = self.model.pictures([images[0]], [""])[0].values.shape
        drawn = self.model.resample([NoisedPicture("")], seeds=[[0]])[0][0].values.shape
        if shape != drawn:
            raise ModelError(
                f"the model draws {drawn}; allowed: a model of handwritten digits, {shape}"
            )

    def make_originals(self, measuring: PictureMeasuring, chosen: range) -> list[Original]:
        """Draw them from the model, or take real digits."""
        if self.source == "model":
            return super().make_originals(measuring, chosen)
        images, classes = (part[chosen.start : chosen.stop] for part in load_digits("held_out"))
        pictures = self.model.pictures(list(images), [""] * len(images))
        return [
            Original(
                f"held_out/{i:04d}", "held_out", i, x, str(c), fold_in(self.seed, "held_out", i)
            )
            for i, x, c in zip(chosen, pictures, classes, strict=True)
        ]

    @cached_property
    def _fitted(self) -> dict[str, NoisedMixture]:
        return {}

    def theory(self, measured: Measured) -> NoisedMixture:
        """Give Gaussian classes, weighed as the model weighs its classes."""
        if "theory" not in self._fitted:
            images, classes = load_digits("train")
            weights = measured.weights[:-1] / measured.weights[:-1].sum()
            fitted = GaussianClasses.fit(_values(images), classes, weights)
            self._fitted["theory"] = cached(fitted)
        return self._fitted["theory"]

    def window_times(self, measured: Measured) -> WindowTimes:
        """Give the theory's times of the window."""
        sets = (self._numbers(self.after), self._numbers(self.before))
        return window_times(self.theory(measured), *sets, epsilon=self.epsilon)

    def _numbers(self, labels: Sequence[str]) -> list[int]:
        return sorted(self.labels.index(label) for label in labels)

    def measured(self, originals: pd.DataFrame, resamples: pd.DataFrame) -> Measured:
        """Count the labels of the first feature."""
        last = self.model.last_level
        frames = feature_frames(originals, resamples, self.label_feature, last=last)
        return count_labels(*frames, self.labels, self.model)

    def summarise(
        self, directory: RunDirectory, originals: pd.DataFrame, resamples: pd.DataFrame
    ) -> dict[str, Any]:
        """Give what every run on pictures gives, and the times of the theory."""
        summary = super().summarise(directory, originals, resamples)
        window = self.window_times(self.measured(originals, resamples))
        summary["times"] = {
            **told(window),
            "speciation": self.speciation,
            "speciation_position": self.level_at(self.speciation),
        }
        return summary

    @cached_property
    def speciation(self) -> float | None:
        """1/2 ln of the largest eigenvalue of the training digits' covariance."""
        return speciation_time(_values(load_digits("train")[0]))

    def level_at(self, time: float | None) -> float | None:
        """Give the position, between two levels, at which a time is met."""
        if time is None:
            return None
        levels = np.arange(1, self.model.last_level + 1)
        times = np.array([self.model.time(int(level)) for level in levels])
        return float(np.interp(-time, -times, levels))

    def theory_rows(
        self, directory: RunDirectory, originals: pd.DataFrame, resamples: pd.DataFrame
    ) -> list[Row]:
        """Compare the window, and what holds for any sampler, with Gaussian classes."""
        measured = self.measured(originals, resamples)
        window = self.window_times(measured)
        comparison = Comparison(
            sampler=None,
            theory=self.theory(measured),
            after=self._numbers(self.after),
            before=self._numbers(self.before),
            epsilon=self.epsilon,
            paper=PaperTimes(None, None, None, ()),
            measured=measured,
        )
        drawn = set(measured.own.tolist())
        sets = (comparison.after, comparison.rest(comparison.after))
        if all(drawn & set(members) for members in sets):
            rows = comparison.rows(window)
        else:
            rows = [Row("window of S_after", None, None, None, None, "no original of it was drawn")]
        rows.append(self._speciation_row(originals, resamples))
        rows.append(law_row(measured))
        rows.append(self._memory_row(directory))
        return rows

    def _speciation_row(self, originals: pd.DataFrame, resamples: pd.DataFrame) -> Row:
        """Compare the speciation time with where averaged agreement is half way."""
        frames = feature_frames(
            originals, resamples, self.label_feature, last=self.model.last_level
        )
        low, high = halfway(mean_agreement(*frames))
        early, late = (None if not k else self.model.time(k) for k in (high, low))
        verdict = "not resolved"
        if not (self.speciation is None or early is None or late is None):
            verdict = "agrees" if early <= self.speciation <= late else "differs"
        quantity = "speciation time 1/2 ln Lambda, and where agreement is half way"
        return Row(quantity, self.speciation, None, early, late, verdict)

    def _memory_row(self, directory: RunDirectory) -> Row:
        """Compare how near pictures drawn from next to nothing are to training digits."""
        pictures = directory.read("pictures").to_pandas()
        lowest = pictures["position"].min()
        drawn = pictures[pictures["position"] == lowest]
        train, fresh = (list(load_digits(part)[0]) for part in ("train", "held_out"))
        quantity = "share of pictures near a training digit: at most that of held-out digits"
        if drawn.empty:
            return Row(quantity, QUANTILE, None, None, None, "no pictures were kept")
        found = memorisation([image_of(png) for png in drawn["png"]], train, fresh)
        return at_most(quantity, QUANTILE, found.near)

    def draw_figures(
        self,
        directory: RunDirectory,
        originals: pd.DataFrame,
        resamples: pd.DataFrame,
        curves: Mapping[str, Sequence[GridCurve]],
    ) -> None:
        """Draw averaged and per-class agreement, theory over measured points, and pictures."""
        last = self.model.last_level
        frames = {
            name: feature_frames(originals, resamples, name, last=last) for name in self.features
        }
        lines = [MeanLine(name, mean_agreement(*own)) for name, own in frames.items()]
        own, drawn = frames[self.label_feature]
        seen = [label for label in self.labels if (own["label"] == label).any()]
        classes = [MeanLine(label, mean_agreement(own, drawn, by=label)) for label in seen]
        level = self.level_at(self.speciation)
        marks = {} if level is None else {"speciation": level}
        figure = agreement_figure(lines, last=last, classes=classes, marks=marks)
        write_figure(figure, directory.path, "agreement")
        pictures = directory.read("pictures").to_pandas()
        grid = picture_grid(pictures, self.model, shown=SHOWN_ORIGINALS)
        if grid is not None:
            write_figure(grid, directory.path, "pictures")
        self._theory_figure(directory, self.measured(originals, resamples))

    def _theory_figure(self, directory: RunDirectory, measured: Measured) -> None:
        figure = theory_figure(
            measured,
            self.theory(measured),
            self.window_times(measured),
            after=self._numbers(self.after),
            before=self._numbers(self.before),
            epsilon=self.epsilon,
        )
        for axes in figure.axes:
            if self.speciation is not None:
                axes.axvline(self.speciation, color="0.45", linewidth=0.8, linestyle=(0, (4, 2)))
        write_figure(figure, directory.path, "windows")

    def notes(self) -> list[str]:
        """Give what a reader has to know."""
        where = {
            "model": "originals are the model's own pictures",
            "held_out": "originals are real digits that neither model nor judge learned from: "
            "their law is not quite the model's, so the table's statements hold approximately",
        }
        return [
            *super().notes(),
            where[self.source],
            "theory: ten Gaussian classes of one covariance, fitted to the training digits and "
            "weighed as the model weighs its classes; real classes are no Gaussians, and a row "
            "that differs says by how much",
            "the dashed line is the speciation time of the training digits' covariance, "
            "1/2 ln Lambda (Biroli et al. 2024), a statement about high dimensions",
        ]


def _values(images: np.ndarray) -> np.ndarray:
    """Give digits as the model sees them, in [-1, 1], shape (N, 64)."""
    return np.asarray(images.reshape(len(images), -1) / 127.5 - 1)
