"""Where does a text sampler decide its answers? What experiments with curves and windows share."""

from __future__ import annotations

from dataclasses import dataclass

from critwin.changes import Sought
from critwin.protocol import Protocol
from critwin.records import RunDirectory
from critwin.window import WindowRule
from experiments.analysis import analyse, products
from experiments.estimates import Estimate
from experiments.experiment import Accounts
from experiments.planning import estimate
from experiments.text_experiment import TextExperiment
from experiments.tracker import Progress, Tracker


@dataclass(frozen=True, kw_only=True)
class TextWindows(TextExperiment):
    """Draw originals, cut them, resample, label, and find the windows of every answer.

    Attributes:
        window: What counts as a window.
    """

    sampler: Protocol
    window: WindowRule

    @property
    def products(self) -> tuple[str, ...]:
        """Tables, those of forks where there are any, summary, figures and page."""
        return products(("problems", *self._drawn), self.sampler)

    def check(self) -> None:
        """Refuse components that do not fit together, the window rule and the levels among them."""
        self.window.check(self.sampler)
        super().check()

    @property
    def _sought(self) -> Sought | None:
        return self.window.sought

    def estimate(self, *, originals: int, forks: int, progress: Progress) -> Estimate:
        """Measure, by a pilot of seconds, what a run would cost and show."""
        return estimate(
            self._drawing(),
            self.sampler,
            self.window,
            originals=originals,
            forks=forks,
            progress=progress,
        )

    def _draw(self, directory: RunDirectory, tracker: Tracker, progress: Progress) -> Accounts:
        return self._resampling().carry_out(
            directory, rule=self.window, tracker=tracker, progress=progress
        )

    def _analyse(self, directory: RunDirectory, progress: Progress) -> None:
        analyse(
            directory,
            protocol=self.sampler,
            rule=self.window,
            progress=progress,
            feature=self.feature,
        )
