"""Gaussian mixtures in any dimension under the Ornstein-Uhlenbeck process.

X_t = e^{-t} X_0 + sqrt(1 - e^{-2t}) Z, so unit covariance is kept. Source: Li, Karan, Chen (2025),
arXiv:2502.00921, section 3 (diffusion) and Examples 1 and 2; Theorem 9 for spikes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from critwin.errors import ParameterError
from critwin.sampler import Level
from critwin.samplers.exact import ExactSampler, Ints, Values, Words, softmax
from critwin.seeds import normals
from critwin.theory.posteriors import Axis, Floats, Posteriors, check_weights

REACH = 12.0
"""Standard deviations around each mean that quadrature covers."""

NODES = 24_000
"""Nodes of the quadrature, shared by the components."""


@dataclass(frozen=True, kw_only=True)
class GaussianMixture(ExactSampler):
    """Components N(mean, scale^2 I + spike spike^T).

    Level k of L is the time horizon (1 - k / L), level 0 the infinite time.

    Attributes:
        means: K lists of d numbers.
        weights: K numbers > 0 that add up to 1; None for equal ones.
        scales: Standard deviation of each component, > 0; None for 1.
        spikes: K lists of d numbers; None for none.
        levels: L, >= 1.
        horizon: Time of the first level above 0 but for one step, > 0.
    """

    means: tuple[tuple[float, ...], ...] = ((-4.0,), (4.0,))
    weights: tuple[float, ...] | None = None
    scales: tuple[float, ...] | None = None
    spikes: tuple[tuple[float, ...], ...] | None = None
    levels: int = 80
    horizon: float = 8.0

    def __post_init__(self) -> None:
        k = len(self.means)
        if k == 0 or len({len(mean) for mean in self.means}) != 1 or not self.means[0]:
            raise ParameterError("means", self.means, "a list of lists of numbers, equally long")
        if not np.isfinite(np.array(self.means)).all():
            raise ParameterError("means", self.means, "finite numbers")
        if self.weights is not None:
            if len(self.weights) != k:
                raise ParameterError("weights", list(self.weights), f"null or {k} numbers")
            check_weights("weights", self.weights)
        if self.scales is not None and (len(self.scales) != k or min(self.scales) <= 0):
            raise ParameterError("scales", list(self.scales), f"null or {k} numbers > 0")
        if self.spikes is not None and np.shape(self.spikes) != np.shape(self.means):
            raise ParameterError("spikes", self.spikes, "null or lists shaped as means")
        if type(self.levels) is not int or self.levels < 1:
            raise ParameterError("levels", self.levels, "a whole number >= 1")
        if not 0 < self.horizon < math.inf:
            raise ParameterError("horizon", self.horizon, "a number > 0")

    @cached_property
    def mixture_weights(self) -> Floats:
        """Weights of the components."""
        k = len(self.means)
        return np.full(k, 1 / k) if self.weights is None else check_weights("weights", self.weights)

    @property
    def axis(self) -> Axis:
        """OU times."""
        return Axis(0.0, math.inf)

    @property
    def last_level(self) -> int:
        """Time 0."""
        return self.levels

    @property
    def nothing(self) -> Values:
        """Zero: at the infinite time no component makes a value more likely than another."""
        return np.zeros(len(self.means[0]))

    def time(self, level: Level) -> float:
        """Give the OU time of a level."""
        return math.inf if level == 0 else self.horizon * (1 - level / self.levels)

    def forget(self, values: Values, level: Ints, seeds: Words) -> Values:
        """Shrink and add noise."""
        signal = self._signal(level)[:, None]
        steps = np.arange(1, values.shape[1] + 1, dtype=np.uint64)
        return signal * values + np.sqrt(1 - signal**2) * normals(seeds[:, None], steps)

    def component_posterior(self, data: Values, level: Ints) -> Floats:
        """Give P(component | X_t)."""
        return softmax(self._log_density(data, self._signal(level)) + np.log(self.mixture_weights))

    def fill(self, component: Ints, data: Values, level: Ints, seeds: Words) -> Values:
        """Draw X_0 given its component and X_t: a Gaussian, along the spike and across it."""
        signal = self._signal(level)[:, None]
        noise = 1 - signal**2
        across = self._variance[component][:, None]
        z = normals(seeds[:, None], np.arange(1, data.shape[1] + 1, dtype=np.uint64))
        mean = self._means[component]
        seen = across * signal**2 + noise
        z *= np.sqrt(across * noise / seen)
        off = data - signal * mean
        if self.spikes is None:
            off *= across * signal / seen
            z += off
            z += mean
            return z
        unit = self._units[component]
        along = across + self._lengths[component][:, None]
        wide = along * signal**2 + noise
        part, z_part = (np.sum(v * unit, axis=1, keepdims=True) for v in (off, z))
        z += unit * z_part * (np.sqrt(along * noise / wide * seen / (across * noise)) - 1)
        z += across * signal / seen * off + unit * part * signal * (along / wide - across / seen)
        z += mean
        return z

    def posteriors(self, time: float) -> Posteriors:
        """By quadrature where the components differ along one line, else from draws."""
        if self._line is None:
            return self._sampled(time)
        signal = math.exp(-time)
        _, width, density = _on_line(signal * self._line, self._spread(signal))
        return Posteriors.of_laws(density * width, self.mixture_weights)

    def channel(self, time: float, *, nodes: int = 2400) -> tuple[Floats, Floats]:
        """Give laws of X_0 and the kernel to X_t on grids, for components along one line.

        Args:
            time: OU time > 0.
            nodes: Nodes of each grid.

        Returns:
            Laws, shape (K, X), and kernel, shape (X, Y); see `forward_reverse_distance`. What lies
            across the line does not depend on the component, and adds nothing to a distance.

        Raises:
            ValueError: The components differ along more than one line.
        """
        if self._line is None:
            raise ValueError("the components differ along more than one line")
        signal = math.exp(-time)
        x, width, density = _on_line(self._line, self._spread(1.0), nodes=nodes)
        y, step, _ = _on_line(signal * self._line, self._spread(signal), nodes=nodes)
        noise = math.sqrt(1 - signal**2)
        kernel = np.exp(-0.5 * ((y - signal * x[:, None]) / noise) ** 2) * step
        kernel /= kernel.sum(axis=1, keepdims=True)
        laws = density * width
        return np.asarray(laws / laws.sum(axis=1, keepdims=True)), kernel

    @cached_property
    def _means(self) -> Floats:
        return np.array(self.means, np.float64)

    @cached_property
    def _variance(self) -> Floats:
        """Variance across the spike, shape (K,)."""
        return np.ones(len(self.means)) if self.scales is None else np.array(self.scales) ** 2

    @cached_property
    def _lengths(self) -> Floats:
        """Squared length of each spike, shape (K,)."""
        return (
            np.zeros(len(self.means))
            if self.spikes is None
            else (np.array(self.spikes) ** 2).sum(1)
        )

    @cached_property
    def _units(self) -> Floats:
        """Direction of each spike, shape (K, d)."""
        length = np.sqrt(self._lengths)[:, None]
        spikes = np.zeros_like(self._means) if self.spikes is None else np.array(self.spikes, float)
        return np.asarray(np.divide(spikes, length, out=0 * spikes, where=length > 0))

    @cached_property
    def _line(self) -> Floats | None:
        """Place of each mean along the only line on which components differ; None for more."""
        if self._means.shape[1] == 1 and self.spikes is None:
            return np.asarray(self._means[:, 0])
        if self.spikes is not None or len(set(self._variance.tolist())) > 1:
            return None
        away = self._means - self._means[0]
        _, size, axes = np.linalg.svd(away, full_matrices=False)
        if len(size) > 1 and size[1] > 1e-9 * max(size[0], 1e-300):
            return None
        along: Floats = away @ axes[0]
        return np.asarray(along - along.mean())

    def _spread(self, signal: float) -> Floats:
        spread: Floats = np.sqrt(self._variance * signal**2 + 1 - signal**2)
        return spread

    def _signal(self, level: Ints) -> Floats:
        signal: Floats = self._signals[level]
        return signal

    @cached_property
    def _signals(self) -> Floats:
        """Give e^{-t} of every level."""
        return np.asarray(np.exp(-np.array([self.time(k) for k in range(self.levels + 1)])))

    def _log_density(self, data: Values, signal: Floats) -> Floats:
        """Give log p_t^theta but for a constant; `signal` is e^{-t} of each row, shape (N,)."""
        a = signal[:, None]
        across = self._variance * a**2 + 1 - a**2
        square = (
            (data**2).sum(1, keepdims=True)
            - 2 * a * (data @ self._means.T)
            + a**2 * (self._means**2).sum(1)
        )
        dimension = data.shape[1]
        log: Floats = -0.5 * (square / across + dimension * np.log(across))
        if self.spikes is not None:
            wide = across + self._lengths * a**2
            part = data @ self._units.T - a * (self._units * self._means).sum(1)
            log -= 0.5 * (part**2 * (1 / wide - 1 / across) + np.log(wide / across))
        return log

    def _sampled(self, time: float, *, draws: int = 40_000) -> Posteriors:
        """Give the law of the posterior at any time from the same noise at each call."""
        x, z = self._noise(draws)
        signal = math.exp(-time)
        data = signal * x + math.sqrt(1 - signal**2) * z
        logits = self._log_density(data, np.full(draws, signal)) + np.log(self.mixture_weights)
        return Posteriors(np.full(draws, 1 / draws), softmax(logits), self.mixture_weights, draws)

    def _noise(self, draws: int) -> tuple[Values, Values]:
        if "_drawn" not in self.__dict__:
            x = self._values_for_theory(draws)
            words = np.arange(draws, dtype=np.uint64)[:, None]
            steps = np.arange(1, x.shape[1] + 1, dtype=np.uint64) + np.uint64(1 << 32)
            self.__dict__["_drawn"] = (x, normals(words, steps))
        drawn: tuple[Values, Values] = self.__dict__["_drawn"]
        return drawn


@dataclass(frozen=True, kw_only=True)
class DiscourseVectors(GaussianMixture):
    """Discourse vectors C_0 ~ N(0, I + alpha theta theta^T), theta one of two unit vectors.

    Attributes:
        alpha: Strength of a topic, > 0.
        inner: Inner product of the two vectors, in (-1, 1).
        means: As below; zero.
        spikes: Made of `alpha` and `inner`.

    Source:
        Li, Karan, Chen (2025), arXiv:2502.00921, appendix C.2.3, Theorem 9.
    """

    means: tuple[tuple[float, ...], ...] = ((0.0, 0.0), (0.0, 0.0))
    alpha: float = 1e6
    inner: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < math.inf:
            raise ParameterError("alpha", self.alpha, "a number > 0")
        if not -1 < self.inner < 1:
            raise ParameterError("inner", self.inner, "a number in (-1, 1)")
        size, other = math.sqrt(self.alpha), math.sqrt(1 - self.inner**2)
        rest = (0.0,) * (len(self.means[0]) - 2)
        spikes = ((size, 0.0, *rest), (size * self.inner, size * other, *rest))
        object.__setattr__(self, "spikes", spikes)
        super().__post_init__()


def _on_line(
    places: Floats, spread: Floats, *, nodes: int = NODES
) -> tuple[Floats, Floats, Floats]:
    """Give nodes, their widths (trapezoid) and the density of each component there, (K, M).

    Nodes stand around each place, so that far components cost no accuracy.
    """
    each = max(nodes // len(places), 600)
    around = np.linspace(-REACH, REACH, each)
    at = np.unique((places[:, None] + spread[:, None] * around).ravel())
    width = np.zeros_like(at)
    steps = np.diff(at)
    width[:-1] += steps / 2
    width[1:] += steps / 2
    z = (at - places[:, None]) / spread[:, None]
    return at, width, np.exp(-0.5 * z**2) / (math.sqrt(2 * math.pi) * spread[:, None])
