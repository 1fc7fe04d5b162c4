"""Clones: share the reverse path down to a step, then branch, and see what they have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from critwin.errors import ParameterError
from experiments.diffusion.measuring import Kind
from experiments.diffusion.windows import PictureWindows


@dataclass(frozen=True, kw_only=True)
class DiffusionClone(PictureWindows):
    """Branch off the paths on which originals were drawn.

    Instead of noising a picture, its own path is kept down to a step, and noise is drawn afresh
    from there on. For an exact sampler both give the same averages; where they differ, the model's
    reverse path is not the forward process run backwards.

    Attributes:
        conditions: Prompts, class numbers, or one empty text for an unconditional model.

    Source:
        Biroli, Bonnaire, de Bortoli, Mezard (2024), arXiv:2402.18491, section on cloning; Li, Chen
        (2024), arXiv:2403.01633, whose scripts clone at a step.
    """

    conditions: tuple[str, ...] = ("",)
    originals: int = 20

    name: ClassVar[str] = "diffusion_clone"
    kind: ClassVar[Kind] = "clone"

    def check(self) -> None:
        """Refuse a scheduler whose clones would all be one picture, and needless observations."""
        if self.model.noise_if_known() is False:
            allowed = (
                "a scheduler that draws noise (ddpm, euler_ancestral, dpm_solver_sde, or ddim with "
                "eta > 0): without it every clone is the picture itself"
            )
            raise ParameterError("model.scheduler", getattr(self.model, "scheduler", None), allowed)
        if self.sampler.n != 1:
            allowed = (
                "1, because a path has one state at a level; sampler.draws says how many clones"
            )
            raise ParameterError("sampler.n", self.sampler.n, allowed)
        super().check()

    def asked(self) -> tuple[str, ...]:
        """Give the conditions."""
        return self.conditions
