"""How a model is sampled and which levels are visited: the `sampler` group of a config."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Literal

from critwin.errors import ParameterError

PAPER_FRACTIONS = (0.05, 0.1, 0.3, 0.5, 0.7, 0.9)
"""Fractions of a generation that are kept.

Source: default of the authors' code (github.com/marvinli-harvard/critical-windows-lm).
"""


TWENTIETHS = tuple(twentieth / 20 for twentieth in range(20))
"""Fractions at which averages over originals are shown where every position was measured."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a language model draws its tokens; None leaves the model's own default.

    Attributes:
        temperature: Divides the logits, >= 0; 0 takes the most probable token.
        top_k: Keep the k most probable tokens, >= 1.
        top_p: Keep the most probable tokens that together reach this probability, in (0, 1].
        min_p: Drop tokens less probable than this share of the most probable one, in [0, 1].
        repetition_penalty: Divides the logits of tokens that stand in prompt or sample already
            (multiplies those below 0), > 0; 1 for none.
        max_new_tokens: Length limit in tokens, counted from the end of the prompt for originals and
            resamples alike, >= 1.
        stop: Strings that end a generation; they stay part of it.
    """

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    max_new_tokens: int | None = None
    stop: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        check_number("temperature", self.temperature, low=0.0, low_in=True, high=math.inf)
        check_number("top_p", self.top_p, low=0.0, low_in=False, high=1.0)
        check_number("min_p", self.min_p, low=0.0, low_in=True, high=1.0)
        check_number("repetition_penalty", self.repetition_penalty, low=0.0, high=math.inf)
        check_whole("top_k", self.top_k, low=1)
        check_whole("max_new_tokens", self.max_new_tokens, low=1)
        # 1 and 1.0 are one value, and one run id
        for name in ("temperature", "top_p", "min_p", "repetition_penalty"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, float(getattr(self, name)))
        if self.stop is not None:
            if isinstance(self.stop, str) or not all(isinstance(s, str) and s for s in self.stop):
                raise ParameterError("stop", self.stop, "null or a list of non-empty strings")
            object.__setattr__(self, "stop", tuple(self.stop))

    def chosen(self) -> dict[str, object]:
        """Give the sampling parameters that are set, by name."""
        values = {f.name: getattr(self, f.name) for f in fields(Sampling)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Protocol(Sampling, ABC):
    """Sampling parameters together with what is resampled of an original."""

    @abstractmethod
    def missing(self, fractions: Sequence[float]) -> list[float]:
        """Give those of some fractions kept at which no value will be measured."""

    @abstractmethod
    def shown_fractions(self) -> tuple[float, ...]:
        """Give the fractions kept, in [0, 1) and increasing, at which averages are shown."""


@dataclass(frozen=True, kw_only=True)
class Grid(Protocol, ABC):
    """Cuts each original at certain positions and resamples each cut anew.

    Attributes:
        n: Resamples per original and position, >= 1.
    """

    n: int = 25

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n is None:
            raise ParameterError("n", None, "a whole number >= 1")
        check_whole("n", self.n, low=1)

    @abstractmethod
    def positions(self, length: int, snap: Callable[[float], int]) -> list[int]:
        """Give the positions at which an original is cut.

        Args:
            length: Tokens of the original, n >= 1.
            snap: Gives the position that is run when a share in [0, 1] is to be forgotten.

        Returns:
            Tokens kept, increasing, each in [0, n).
        """


@dataclass(frozen=True, kw_only=True)
class Fractions(Grid):
    """The paper's protocol: keep a few fractions of each original, resample each one anew.

    The level that keeps nothing is visited too, for the plot and for the label's prior; the paper's
    rule does not look at it. A fraction of the original's own length looks ahead, so curves over
    fractions are for display and for comparison with the paper; positions are reported beside them.

    Attributes:
        fractions: Fractions kept, each in [0, 1], increasing; 0 is visited anyway, and what keeps
            everything is known, so both are left out.

    Source:
        Li, Karan, Chen (2025), Section 6.2; 100 resamples in the paper, 25 in the authors' code.
    """

    fractions: tuple[float, ...] = PAPER_FRACTIONS

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fractions("fractions", self.fractions)
        visited = sorted({float(f) for f in self.fractions} - {0.0, 1.0})
        object.__setattr__(self, "fractions", tuple(visited))

    def missing(self, fractions: Sequence[float]) -> list[float]:
        """Give the fractions that are not visited."""
        return [f for f in fractions if f not in self.shown_fractions()]

    def shown_fractions(self) -> tuple[float, ...]:
        """Give the fractions with 0 in front."""
        return (0.0, *self.fractions)

    def positions(self, length: int, snap: Callable[[float], int]) -> list[int]:
        """Give the positions of the fractions; on short originals some fall together."""
        return sorted({snap(1 - fraction) for fraction in self.shown_fractions()})


@dataclass(frozen=True, kw_only=True)
class EveryToken(Grid):
    """Cut each original at every token, from nothing kept to all but the last token."""

    def missing(self, fractions: Sequence[float]) -> list[float]:
        """Give nothing: every position is visited."""
        return []

    def shown_fractions(self) -> tuple[float, ...]:
        """Give twentieths."""
        return TWENTIETHS

    def positions(self, length: int, snap: Callable[[float], int]) -> list[int]:
        """Give every position but the one that keeps everything."""
        return list(range(length))


@dataclass(frozen=True, kw_only=True)
class ForkProtocol(Protocol):
    """Get the curve at every token from one pool of forks (critwin/forks.py).

    How many forks stand at each token is planned for each original by itself, from the
    probabilities of its path and a pilot; the least that precision and budgets ask for is drawn.
    As many tokens may be spent on windows instead (critwin/fork_aiming.py): on telling whether
    there is one where a pilot thinks it possible, while the rest of the curve stays rough.

    Attributes:
        aim: Whether the forks make the `curve` precise, or are aimed at `windows`.
        half_width: Wanted half-width of the 95 % intervals of the own label's curve, in (0, 1).
        max_forks: Greatest number of forks per original, the pilot not counted, >= 1.
        max_tokens: Greatest number of expected tokens of them, >= 1. One or more of the three are
            set.
        over: Whether the half-width is the mean or the maximum over the positions.
        joint: Whether it is that of intervals that cover at all positions at once.
        pilot: Forks per original whose labels steer the numbers and enter nothing else, >= 0;
            without any the probabilities alone steer. Where windows are the aim up to about half of
            the tokens are a pilot's instead, which are counted among those of the budgets.
    """

    aim: Literal["curve", "windows"] = "curve"
    half_width: float | None = 0.05
    max_forks: int | None = None
    max_tokens: int | None = None
    over: Literal["mean", "maximum"] = "mean"
    joint: bool = False
    pilot: int = 12

    def __post_init__(self) -> None:
        super().__post_init__()
        wanted = "null or a number in (0, 1)"
        if (self.half_width, self.max_forks, self.max_tokens) == (None, None, None):
            allowed = "a number in (0, 1) where neither max_forks nor max_tokens is set"
            raise ParameterError("half_width", None, allowed)
        if self.half_width is not None:
            if isinstance(self.half_width, bool) or not 0 < self.half_width < 1:
                raise ParameterError("half_width", self.half_width, wanted)
            object.__setattr__(self, "half_width", float(self.half_width))
        check_whole("max_forks", self.max_forks, low=1)
        check_whole("max_tokens", self.max_tokens, low=1)
        if self.aim not in ("curve", "windows"):
            raise ParameterError("aim", self.aim, "curve or windows")
        if self.over not in ("mean", "maximum"):
            raise ParameterError("over", self.over, "mean or maximum")
        if not isinstance(self.joint, bool):
            raise ParameterError("joint", self.joint, "true or false")
        if self.pilot is None:
            raise ParameterError("pilot", None, "a whole number >= 0")
        check_whole("pilot", self.pilot, low=0)

    def missing(self, fractions: Sequence[float]) -> list[float]:
        """Give nothing: the curve has a value at every position."""
        return []

    def shown_fractions(self) -> tuple[float, ...]:
        """Give twentieths."""
        return TWENTIETHS


def check_fractions(name: str, fractions: object) -> None:
    """Refuse anything but a non-empty increasing list of numbers in [0, 1]."""
    allowed = "a non-empty list of increasing numbers, each in [0, 1]"
    if isinstance(fractions, str) or not isinstance(fractions, list | tuple) or not fractions:
        raise ParameterError(name, fractions, allowed)
    for value in fractions:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ParameterError(name, fractions, f"{allowed} (found {value!r})")
    if any(a >= b for a, b in pairwise(fractions)):
        raise ParameterError(name, fractions, allowed)


def check_number(
    name: str, value: object, *, low: float, low_in: bool = False, high: float
) -> None:
    """Refuse anything but None and finite numbers between `low` and `high`, `high` included."""
    if value is None:
        return
    bounds = f"{'[' if low_in else '('}{low:g}, {'inf)' if math.isinf(high) else f'{high:g}]'}"
    allowed = f"null or a number in {bounds}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ParameterError(name, value, allowed)
    too_low = value < low or (value == low and not low_in)
    if math.isnan(value) or math.isinf(value) or too_low or value > high:
        raise ParameterError(name, value, allowed)


def check_whole(name: str, value: object, *, low: int) -> None:
    """Refuse anything but None and whole numbers >= `low`."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ParameterError(name, value, f"a whole number >= {low}")
