"""What trainings share: how the learning rate goes, and where a training stands."""

from __future__ import annotations

import math
from dataclasses import dataclass


def learning_rate(step: int, *, steps: int, peak: float, warmup: int) -> float:
    """Give the learning rate of a step: linear warm-up, then a cosine to a twentieth of the peak.

    Args:
        step: Counted from 0.
        steps: Steps of the whole schedule, >= 1.
        peak: At the end of the warm-up, > 0.
        warmup: Steps of it, >= 0.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return peak * (0.05 + 0.95 * (1 + math.cos(math.pi * min(1.0, done))) / 2)


@dataclass
class TrainingState:
    """Where training stands; everything but the tensors."""

    step: int = 0
    best_loss: float = math.inf
    best_step: int = 0
    stale: int = 0
    seconds: float = 0.0
    finished: bool = False
