"""Noise schedules of diffusers: which schedulers are served, and what their levels are."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from critwin.errors import ModelError, ParameterError

if TYPE_CHECKING:
    import torch

Values = npt.NDArray[np.float32]

SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddpm": ("DDPMScheduler", {}),
    "ddim": ("DDIMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "dpm_solver": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpm_solver_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "flow_match_euler": ("FlowMatchEulerDiscreteScheduler", {}),
}
"""Names in a config, the class of diffusers, and what is set in it."""


def scheduler_name(config: Mapping[str, Any]) -> str:
    """Name a scheduler by its configuration.

    Raises:
        ParameterError: It is none of SCHEDULERS, or steps or noises in a way that is not served.
    """
    found = config["_class_name"]
    stochastic = str(config.get("algorithm_type", "")).startswith("sde")
    names = [name for name, (kind, _) in SCHEDULERS.items() if kind == found]
    if not names:
        allowed = f"one of {', '.join(SCHEDULERS)}; the pipeline's own, {found}, is not served"
        raise ParameterError("scheduler", None, allowed)
    if config.get("use_dynamic_shifting") or config.get("stochastic_sampling"):
        allowed = "a scheduler whose noise is the same for every picture size"
        raise ParameterError("scheduler", found, allowed)
    return names[-1] if stochastic else names[0]


def draws_noise(config: Mapping[str, Any], eta: float) -> bool:
    """Tell whether steps of a scheduler draw noise."""
    name = scheduler_name(config)
    return name in ("ddpm", "euler_ancestral", "dpm_solver_sde") or (name == "ddim" and eta > 0)


@dataclass(frozen=True)
class Schedule:
    """The levels of a scheduler: its own timesteps, and how much signal is left at them.

    Attributes:
        scheduler: The scheduler, its timesteps set.
        timesteps: Timestep at which each level's next step begins, shape (S,).
        times: -ln of the share of the signal there, shape (S,).
        first_sigma: What pure noise is multiplied by at the beginning.
    """

    scheduler: Any
    timesteps: npt.NDArray[np.float64]
    times: npt.NDArray[np.float64]
    first_sigma: float

    def noised(self, values: Values, level: int, random: torch.Generator) -> Values:
        """Noise a picture to a level in [1, S), by the scheduler's own `add_noise`."""
        import torch

        noise = torch.randn(values.shape, generator=random)[None]
        clean = torch.from_numpy(values)[None]
        own = copy.copy(self.scheduler)
        if hasattr(own, "set_begin_index"):
            own.set_begin_index(level)
        at = own.timesteps[level : level + 1]
        # flow matching has another name for it
        add = own.add_noise if hasattr(own, "add_noise") else None
        noised = add(clean, noise, at) if add else own.scale_noise(clean, at, noise)
        return np.asarray(noised[0].numpy(), np.float32)


def schedule(scheduler: Any, steps: int) -> Schedule:
    """Give the levels of a scheduler with so many steps."""
    own = copy.deepcopy(scheduler)
    own.set_timesteps(steps)
    if len(own.timesteps) != steps:
        raise ModelError(f"model.scheduler makes {len(own.timesteps)} steps of {steps}")
    name = type(own).__name__
    if name == "FlowMatchEulerDiscreteScheduler":
        sigma = own.sigmas[:steps].double().numpy()
        signal = (1 - sigma) ** 2 / ((1 - sigma) ** 2 + sigma**2)
    elif name in ("DDPMScheduler", "DDIMScheduler"):
        signal = own.alphas_cumprod[own.timesteps.long()].double().numpy()
    else:
        signal = 1 / (1 + own.sigmas[:steps].double().numpy() ** 2)
    with np.errstate(divide="ignore"):
        times = -0.5 * np.log(signal)
    return Schedule(
        own,
        own.timesteps.double().numpy(),
        times,
        float(own.init_noise_sigma) if hasattr(own, "init_noise_sigma") else 1.0,
    )
