"""The contract: a stochastic localization sampler is a pair, observe and resample.

Source: Li, Karan, Chen (2025), "Blink of an eye", arXiv:2502.00921, Definitions 1 to 3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic, Self, TypeVar

from critwin.errors import ParameterError
from critwin.prompt import Prompt
from critwin.protocol import Sampling

X = TypeVar("X")
Y = TypeVar("Y")

Level = int
"""How much is kept, in the sampler's own unit: tokens for text; grows with what is kept."""


class Sampler(ABC, Generic[X, Y]):
    """Gives observations of a sample and draws samples from an observation.

    Batch first: a level per item and a seed per draw, so that one batch mixes originals, levels and
    replicates. A draw depends on its observation and its seed alone, never on the rest of the batch
    (float rounding apart). Constructors are cheap: weights are loaded on first use.

    The laws that every sampler is held to (tests/critwin/test_sampler_laws.py): nothing kept leaves
    nothing of `x`; everything kept returns it; observe-then-resample at a fixed level leaves the
    sampler's law unchanged; averaged agreement does not fall as more is kept; same seeds, same
    draws. They hold at levels that do not look ahead: a fraction of an original's own length does.
    """

    exact: ClassVar[bool] = False
    """Whether `resample` draws from the exact conditional law, and closed forms are offered."""

    execution: ClassVar[frozenset[str]] = frozenset()
    """Constructor arguments that say how or where to compute, not what: left out of the run id."""

    @abstractmethod
    def start(self, prompts: Sequence[Prompt]) -> list[Y]:
        """Give, for each prompt, the observation that keeps nothing; resampling it draws originals.

        A sampler without a condition ignores what the prompts say.
        """

    @abstractmethod
    def observe(self, x: Sequence[X], level: Sequence[Level], *, seeds: Sequence[int]) -> list[Y]:
        """Forget all of `x` but `level`; one observation per item.

        Args:
            x: Samples of this sampler, length N.
            level: What is kept of each, >= 0, length N; an `x` that is shorter is kept whole.
            seeds: Randomness of the observation, length N; unused where forgetting is not random.
        """

    @abstractmethod
    def resample(self, y: Sequence[Y], *, seeds: Sequence[Sequence[int]]) -> list[list[X]]:
        """Draw from the law of a sample given each observation; one draw per seed.

        Args:
            y: Observations, length N.
            seeds: For each observation the seeds of its draws, in [0, 2**63).

        Returns:
            For each observation its draws, in the order of the seeds.
        """

    @abstractmethod
    def snap(self, x: X, t: float) -> Level:
        """Give the level that is really run when the share `t` in [0, 1] of `x` is to be forgotten.

        Results are reported at it. `snap(x, 1.0)` is 0 and `snap(x, 0.0)` keeps everything.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Give the hex SHA-256 of the content (weights, tables) that fixes the law."""

    def device_used(self) -> str:
        """Name what computes, for the record of a run."""
        return "cpu"

    def with_sampling(self, sampling: Sampling) -> Self:
        """Return this sampler with its defaults replaced by the parameters that `sampling` sets.

        Raises:
            ParameterError: A parameter is set that this sampler does not have.
        """
        for name, value in sampling.chosen().items():
            raise ParameterError(
                name, value, f"null, because {type(self).__name__} has no such parameter"
            )
        return self
