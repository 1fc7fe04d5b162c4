"""Classes of real pictures as Gaussians of one covariance: a theory beside a diffusion model.

Its noised laws and posteriors are known, so that T_before, T_after and the leak of any classes can
be computed; real classes are no Gaussians, and a run says where measurement differs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from critwin.samplers.exact import softmax
from critwin.theory.posteriors import Axis, Floats, Posteriors, check_weights

LEAST_VARIANCE = 1e-3
"""Of a direction: pixels that never change would part classes at time 0 by rounding alone."""


@dataclass(frozen=True)
class GaussianClasses:
    """A mixture of Gaussians N(mean_k, covariance), noised by the Ornstein-Uhlenbeck process.

    Attributes:
        means: Mean of each class along the axes of the covariance, shape (K, D).
        variances: Variances along them, > 0, shape (D,).
        mixture_weights: Weights of the classes, shape (K,).
        draws: Observations behind each number.
        seed: Decides them.
    """

    means: Floats
    variances: Floats
    mixture_weights: Floats
    draws: int = 4000
    seed: int = 0

    @classmethod
    def fit(
        cls, values: npt.ArrayLike, classes: npt.ArrayLike, weights: npt.ArrayLike
    ) -> GaussianClasses:
        """Fit means and the covariance within classes, as linear discriminant analysis does.

        Args:
            values: Training pictures, shape (N, D).
            classes: Class of each, in 0..K-1, each at least once, shape (N,).
            weights: Weights of the K classes.
        """
        x, of = np.asarray(values, np.float64), np.asarray(classes)
        w = check_weights("weights", weights)
        means = np.stack([x[of == k].mean(axis=0) for k in range(len(w))])
        within = x - means[of]
        covariance = within.T @ within / (len(x) - len(w))
        variances, axes = np.linalg.eigh(covariance)
        return cls(means @ axes, np.maximum(variances, LEAST_VARIANCE), w)

    @property
    def axis(self) -> Axis:
        """Ornstein-Uhlenbeck times."""
        return Axis(0.0, math.inf)

    def posteriors(self, time: float) -> Posteriors:
        """Give the law of the posterior from the same draws at each call."""
        signal = math.exp(-time)
        # in units of the noised standard deviation, classes are unit Gaussians
        spread = np.sqrt(self.variances * signal**2 + 1 - signal**2)
        means = signal * self.means / spread
        of, noise = self._drawn
        data = means[of] + noise
        logits = data @ means.T - 0.5 * (means**2).sum(axis=1) + np.log(self.mixture_weights)
        mass = np.full(self.draws, 1 / self.draws)
        return Posteriors(mass, softmax(logits), self.mixture_weights, self.draws)

    @cached_property
    def _drawn(self) -> tuple[npt.NDArray[np.int64], Floats]:
        random = np.random.default_rng(self.seed)
        of = random.choice(len(self.mixture_weights), self.draws, p=self.mixture_weights)
        return of, random.standard_normal((self.draws, self.means.shape[1]))


def speciation_time(values: npt.ArrayLike) -> float | None:
    """Give 1/2 ln of the largest eigenvalue of the covariance; None where that is below 1.

    It is the time at which the direction in which the data spread most comes out of the noise.

    Args:
        values: The data as they are noised, shape (N, D).

    Source:
        Biroli, Bonnaire, de Bortoli, Mezard (2024), arXiv:2402.18491: Lambda e^{-2 t_S} = 1.
    """
    x = np.asarray(values, np.float64)
    largest = float(np.linalg.eigvalsh(np.cov(x, rowvar=False))[-1])
    return 0.5 * math.log(largest) if largest > 1 else None
