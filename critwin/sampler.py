"""The contract: a stochastic localization sampler is a pair, observe and resample.

Source: Li, Karan, Chen (2025), "Blink of an eye", arXiv:2502.00921, Definitions 1 to 3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

from critwin.errors import ParameterError
from critwin.prompt import Prompt
from critwin.protocol import Sampling

Floats = npt.NDArray[np.float64]

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

    @property
    def halvings(self) -> int:
        """How often memory ran out in this process and half as much was computed at once."""
        return 0

    def device_used(self) -> str:
        """Name what computes, for the record of a run."""
        return "cpu"

    def facts(self) -> dict[str, object]:
        """Say what draws, for the record of a run: plain values, fit for JSON."""
        return {}

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


@dataclass(frozen=True, slots=True)
class Path:
    """How probable each token of a sample was when the sampler drew it.

    Attributes:
        probability: Probability that the sampler's own distribution (after temperature, top-k,
            top-p and the like) gives token u after the tokens before it, in [0, 1], shape (n,); the
            end token is one of the n. Exactly 1 where the sampler had no choice.
    """

    probability: Floats

    @property
    def surprisal(self) -> Floats:
        """-log of the probability of each token, in nats, >= 0, shape (n,)."""
        with np.errstate(divide="ignore"):
            nats: Floats = 0.0 - np.log(self.probability)
        return nats


class ForkingSampler(Sampler[X, Y]):
    """A sampler that knows the probability of each token it draws, and can be made to leave a path.

    A fork follows the sample up to a token and takes another one there. With the probabilities of
    the path, forks give the law of any feature at every position (critwin/forks.py). A sampler
    declares by this class that both are exact; the laws are in tests/critwin/test_forking_laws.py.
    """

    def forks_refused(self) -> str | None:
        """Say why forks would not be exact with these settings; None where they are."""
        return None

    @abstractmethod
    def paths(self, x: Sequence[X]) -> list[Path]:
        """Give the probability that this sampler gave each token of each sample.

        It is that of the distribution that `resample` really draws from, and agrees with the
        surprisal that was recorded when the token was drawn, up to float rounding.
        """

    @abstractmethod
    def fork(self, x: Sequence[X], position: Sequence[int], *, seeds: Sequence[int]) -> list[X]:
        """Draw, for each item, a sample that leaves `x` at one token.

        The tokens before it are those of `x`; the token itself is drawn from the sampler's
        distribution with `x`'s own token removed and the rest renormalised; then the sampler goes
        on to the end. The length limit is absolute, from the end of the prompt, as for `x` itself:
        a fresh limit would break the identity that forks are used in. Surprisals in the result are
        those of the sampler's distribution, as for any other sample, not of the renormalised one.

        Args:
            x: Samples of this sampler, length N.
            position: The token that is replaced, counted from 1, in [1, n]; length N.
            seeds: One per draw, in [0, 2**63), length N. A draw depends on its item and its seed
                alone; forks need other seeds than resamples to be independent of them.

        Returns:
            One sample per item.

        Raises:
            ValueError: A position lies outside [1, n], or its token had probability 1, so that
                there is nothing else to draw.
        """
