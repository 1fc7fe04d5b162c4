"""One run of a pipeline's own loop for rows that begin at different noise levels.

The loop of a diffusers pipeline asks its scheduler for the timesteps, calls the denoiser on all
rows and hands the result to the scheduler. A `Ladder` takes the scheduler's place: rows wait, as
they were noised, until the loop comes to their level, and are stepped from there on; the denoiser
computes those that do not wait. Prompts, classes and guidance stay the pipeline's own business.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch


class Finished(Exception):
    """The last step was taken: what a pipeline does after it (decoding, checks) is not wanted."""


class _Group:
    """Rows of one level, with a scheduler of their own: multistep ones remember past outputs."""

    def __init__(self, level: int, rows: slice) -> None:
        self.level, self.rows = level, rows
        self.scheduler: Any = None


class Ladder:
    """A scheduler that lets rows join at their level.

    Attributes:
        state: The rows as they are now, shape (B, C, H, W).
        states: What the rows looked like at the levels that were asked for.
    """

    def __init__(
        self,
        scheduler: Any,
        state: torch.Tensor,
        levels: Sequence[int],
        generators: Sequence[torch.Generator],
        *,
        eta: float = 0.0,
        kept: Sequence[int] = (),
    ) -> None:
        """Begin.

        Args:
            scheduler: The pipeline's own; it is copied, never changed.
            state: The rows, each noised to its level, shape (B, C, H, W).
            levels: Steps taken as done of each row, not decreasing, length B.
            generators: Noise of each row, length B.
            eta: Share of DDPM's noise that a DDIM scheduler adds.
            kept: Levels at which the rows are to be kept in `states`.
        """
        self.state = state
        self.states: dict[int, torch.Tensor] = {}
        self._base = copy.deepcopy(scheduler)
        self._generators, self._kept = list(generators), frozenset(kept)
        self._groups = [
            _Group(level, slice(levels.index(level), len(levels) - levels[::-1].index(level)))
            for level in dict.fromkeys(levels)
        ]
        self._number = -1
        self._scaled = False
        self.timesteps = torch.empty(0)
        # pipelines look at the signatures to see what a scheduler takes
        self.step = _with_signature(scheduler.step, self._step)
        self.set_timesteps = _with_signature(scheduler.set_timesteps, self._set_timesteps)
        known = inspect.signature(scheduler.step).parameters
        self._extra = {"eta": eta} if "eta" in known else {}
        self._takes_generators = "generator" in known

    def __getattr__(self, name: str) -> Any:
        return getattr(self._base, name)

    def _set_timesteps(self, *arguments: Any, **named: Any) -> None:
        self._base.set_timesteps(*arguments, **named)
        every = self._base.timesteps
        for group in self._groups:
            group.scheduler = copy.deepcopy(self._base)
            if hasattr(group.scheduler, "set_begin_index"):
                group.scheduler.set_begin_index(group.level)
        first = self._groups[0].level
        self._number = first - 1
        # one turn of the loop more, at which nothing is computed and the rows take their places
        self.timesteps = torch.cat([every[first : first + 1], every[first:]])

    @property
    def active(self) -> int:
        """How many rows, the first ones, are being denoised now."""
        running = [g.rows.stop for g in self._groups if g.level <= self._number]
        return max(running, default=0)

    def scale_model_input(self, sample: torch.Tensor, *arguments: Any) -> torch.Tensor:
        """Scale the rows that are being denoised, as the scheduler wants them."""
        self._scaled = True
        if not hasattr(self._base, "scale_model_input"):
            return sample
        scaled = sample.clone()
        rows = len(self.state)
        for group in self._groups:
            if group.level <= self._number:
                for first in range(0, len(sample), rows):
                    own = slice(first + group.rows.start, first + group.rows.stop)
                    scaled[own] = group.scheduler.scale_model_input(sample[own], *arguments)
        return scaled

    def scaled(self, sample: torch.Tensor) -> torch.Tensor:
        """Scale the rows where the pipeline's loop has not done so: that of DDPM knows no scale."""
        if self._scaled or not self.active or not hasattr(self._base, "scale_model_input"):
            return sample
        return self.scale_model_input(sample, self._base.timesteps[self._number])

    def _step(
        self, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, **named: Any
    ) -> Any:
        """Take one step with each row that is being denoised; the others wait."""
        whole = named.pop("return_dict", True)
        self._scaled = False
        for group in self._groups:
            if group.level <= self._number:
                self._step_group(group, model_output, timestep, named)
        self._number += 1
        if self._number in self._kept:
            self.states[self._number] = self.state.clone()
        if self._number == len(self._base.timesteps):
            raise Finished
        copies = len(sample) // len(self.state)
        state = self.state.repeat(copies, *[1] * (self.state.dim() - 1))
        if not whole:
            return (state,)
        from diffusers.schedulers.scheduling_utils import SchedulerOutput

        return SchedulerOutput(prev_sample=state)

    def _step_group(
        self, group: _Group, output: torch.Tensor, timestep: Any, named: dict[str, Any]
    ) -> None:
        arguments = {k: v for k, v in named.items() if k not in ("generator", "eta")} | self._extra
        if self._takes_generators:
            arguments["generator"] = self._generators[group.rows]
        # the state is the ladder's own: some pipelines hand over a scaled or doubled one
        (stepped, *_) = group.scheduler.step(
            output[group.rows], timestep, self.state[group.rows], return_dict=False, **arguments
        )
        self.state[group.rows] = stepped.to(self.state.dtype)


def _with_signature(of: Callable[..., Any], called: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function that looks like another one and does what `called` does."""

    @functools.wraps(of)
    def function(*arguments: Any, **named: Any) -> Any:
        return called(*arguments, **named)

    return function


@contextmanager
def climbing(pipeline: Any, denoiser: Any, ladder: Ladder) -> Iterator[None]:
    """Let a pipeline's loop run on a ladder; it ends with `Finished`, which is caught here."""
    scheduler, forward = pipeline.scheduler, denoiser.forward
    own = denoiser.__dict__.get("forward")  # hooks that move weights about put one there
    # past the pipeline's own __setattr__, which would note the ladder in its configuration
    object.__setattr__(pipeline, "scheduler", ladder)
    denoiser.forward = _with_signature(
        forward, functools.partial(_forward, forward, denoiser, ladder)
    )
    try:
        yield
    except Finished:
        pass
    finally:
        object.__setattr__(pipeline, "scheduler", scheduler)
        del denoiser.forward
        if own is not None:
            denoiser.forward = own


def _forward(forward: Any, denoiser: Any, ladder: Ladder, *arguments: Any, **named: Any) -> Any:
    """Compute the rows that are being denoised; guidance stacks the batch several times."""
    from diffusers.models.unets.unet_2d import UNet2DOutput

    rows, active = len(ladder.state), ladder.active
    if arguments:
        arguments = (ladder.scaled(arguments[0]), *arguments[1:])
    else:
        name = "hidden_states" if "hidden_states" in named else "sample"
        named[name] = ladder.scaled(named[name])
    if active == rows:
        return forward(*arguments, **named)
    sample = arguments[0] if arguments else named[name]
    every = len(sample)
    chosen = torch.cat([torch.arange(active) + first for first in range(0, every, rows)])
    chosen = chosen.to(sample.device)

    def part(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.dim() > 0 and len(value) == every:
            return value[chosen]
        if isinstance(value, dict):
            return {key: part(inner) for key, inner in value.items()}
        return value

    channels = getattr(denoiser.config, "out_channels", None) or sample.shape[1]
    shape = (every, channels, *sample.shape[2:])
    spread = torch.zeros(shape, dtype=sample.dtype, device=sample.device)
    if active:
        found = forward(*map(part, arguments), **{k: part(v) for k, v in named.items()})
        computed = found[0]
        spread[chosen] = computed
    return UNet2DOutput(sample=spread) if named.get("return_dict", True) else (spread,)
