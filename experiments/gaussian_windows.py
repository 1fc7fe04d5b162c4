"""Windows of Gaussian mixtures under Ornstein-Uhlenbeck noise: Examples 1 and 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from critwin.samplers.gaussian_mixture import GaussianMixture
from critwin.theory.examples import PaperTimes, gaussian_pair, gaussians
from experiments.exact.windows import ExactWindows


@dataclass(frozen=True, kw_only=True)
class GaussianWindows(ExactWindows):
    """Compare theory and measurement for a Gaussian mixture.

    Attributes:
        model: The mixture.
    """

    model: GaussianMixture

    name: ClassVar[str] = "gaussian_windows"
    axis_name: ClassVar[str] = "Ornstein-Uhlenbeck time"

    @property
    def sampler(self) -> GaussianMixture:
        """The mixture."""
        return self.model

    def paper(self) -> PaperTimes:
        """Give Example 1 for two equal components, Example 2 for one within all of several."""
        after, before = self.sets()
        means = np.array(self.model.means)
        if self.model.scales is not None or self.model.spikes is not None:
            return PaperTimes(None, None, None, ("the examples have unit covariance",))
        if len(after) != 1 or len(before) != len(means):
            note = "the examples are about one component within all; no formula of the paper"
            return PaperTimes(None, None, None, (note,))
        if len(means) == 2 and self.model.weights is None:
            return gaussian_pair(float(np.linalg.norm(means[1] - means[0])) / 2, self.epsilon)
        return gaussians(means, after[0], self.epsilon)
