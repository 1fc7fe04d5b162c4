"""Samples and observations of samplers that make pictures, noise step by noise step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from critwin.sampler import Level, Sampler

Values = npt.NDArray[np.float32]

Image = npt.NDArray[np.uint8]
"""What is seen: bytes, shape (height, width, channels), 1 channel for grey and 3 for colour."""


class Picture:
    """A sample of a diffusion model.

    Attributes:
        condition: What it was drawn for: a prompt, the number of a class, or nothing, "".
        values: In the space that is noised, pixels in [-1, 1] or latents, shape (C, H, W).
    """

    __slots__ = ("condition", "values")

    def __init__(self, condition: str, values: Values) -> None:
        self.condition, self.values = condition, values

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Picture)
            and self.condition == other.condition
            and np.array_equal(self.values, other.values)
        )

    def __hash__(self) -> int:
        return hash((self.condition, self.values.tobytes()))

    def __repr__(self) -> str:
        return f"Picture({self.condition!r}, shape {self.values.shape})"


class NoisedPicture:
    """What is left of a picture.

    Attributes:
        condition: That of the picture; it is never forgotten.
        level: Reverse steps that are taken as done; 0 for nothing kept.
        values: The noised picture, shape (C, H, W); None at level 0, where nothing of it is left.
        whole: The picture itself where all of it is kept, else None.
    """

    __slots__ = ("condition", "level", "values", "whole")

    def __init__(
        self,
        condition: str,
        level: Level = 0,
        values: Values | None = None,
        whole: Picture | None = None,
    ) -> None:
        self.condition, self.level, self.values, self.whole = condition, level, values, whole

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NoisedPicture) or (self.values is None) != (other.values is None):
            return False
        same = (self.condition, self.level, self.whole) == (
            other.condition,
            other.level,
            other.whole,
        )
        return same and (
            self.values is None
            or (other.values is not None and np.array_equal(self.values, other.values))
        )

    def __hash__(self) -> int:
        seen = b"" if self.values is None else self.values.tobytes()
        return hash((self.condition, self.level, seen))


class PictureSampler(Sampler[Picture, NoisedPicture]):
    """What all samplers of pictures share: observing is noising, the unit is the reverse step.

    Level k of S means that k of the S reverse steps are taken as done: the picture is noised to
    the time at which step k + 1 begins. Level 0 keeps nothing, level S everything.
    """

    @property
    @abstractmethod
    def last_level(self) -> Level:
        """Reverse steps from noise to a picture, S >= 1."""

    @abstractmethod
    def timestep(self, level: Level) -> float:
        """Give the model's own time of a level in [0, S); it falls as the level rises."""

    @abstractmethod
    def time(self, level: Level) -> float:
        """Give the Ornstein-Uhlenbeck time of a level: -ln of the share of the signal kept.

        A picture X is seen as e^{-time} X + sqrt(1 - e^{-2 time}) Z, after rescaling where the
        model lets the variance grow. It is infinite at level 0, and 0 at level S.
        """

    @property
    @abstractmethod
    def draws_noise(self) -> bool:
        """Whether denoising draws noise of its own.

        Where it does not, all resamples of one observation are one picture, and only fresh
        observations differ; then P(. | Y) is no conditional law of the forward process.
        """

    def noise_if_known(self) -> bool | None:
        """Tell `draws_noise` without loading a model; None where that cannot be told."""
        return self.draws_noise

    def check_conditions(self, name: str, conditions: Sequence[str]) -> None:
        """Refuse conditions that pictures cannot be drawn for, as far as no model is needed.

        Args:
            name: Key of the conditions, for the message.
            conditions: Prompts, numbers of classes, or an empty text for no condition.

        Raises:
            ParameterError: One of them cannot be asked for.
        """

    @abstractmethod
    def trajectories(
        self, y: Sequence[NoisedPicture], levels: Sequence[Level], *, seeds: Sequence[int]
    ) -> list[tuple[list[NoisedPicture], Picture]]:
        """Draw once from each observation and keep what the path looked like at some levels.

        Args:
            y: Observations, length N.
            levels: Increasing, each above the levels of `y` and below the last one.
            seeds: One per observation; the picture is the one that `resample` gives for it.

        Returns:
            For each observation its states at the levels, and the picture that it became.
        """

    @abstractmethod
    def images(self, x: Sequence[Picture]) -> list[Image]:
        """Give pictures as they are seen."""

    @abstractmethod
    def pictures(self, images: Sequence[Image], conditions: Sequence[str]) -> list[Picture]:
        """Give images as pictures of this sampler: what a real original is noised as."""

    def snap(self, x: Picture, t: float) -> Level:
        """Give the reverse steps that are taken as done: the share 1 - t of all, rounded down."""
        if not 0 <= t <= 1:
            raise ValueError(f"t is {t!r}; allowed: [0, 1]")
        # 1 - 0.7 is 0.30000000000000004: the small term keeps 0.3 of 10 steps at 3, from below too
        return int((1 - t) * self.last_level + 1e-9)
