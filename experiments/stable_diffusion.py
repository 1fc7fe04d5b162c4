"""Where does a model that is told what to draw decide what it was not told?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from experiments.diffusion.windows import PictureWindows


@dataclass(frozen=True, kw_only=True)
class StableDiffusion(PictureWindows):
    """Draw pictures for prompts or classes, noise them to some levels and denoise them.

    Attributes:
        conditions: Prompts, or numbers of classes for a class-conditional model.

    Source:
        Li, Chen (2024), arXiv:2403.01633: Stable Diffusion 2.1, 100 steps, guidance 7.5, and the
        prompt "a highly realistic photo of a car" (experiments/run_noising_denoising.py there).
    """

    conditions: tuple[str, ...] = ("a highly realistic photo of a car",)
    originals: int = 20
    pictures_kept: int = 2

    name: ClassVar[str] = "stable_diffusion"

    def asked(self) -> tuple[str, ...]:
        """Give the conditions."""
        return self.conditions
