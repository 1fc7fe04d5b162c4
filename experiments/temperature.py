"""Windows against temperature: the main job, swept over the paper's temperatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from experiments.text_windows import TextWindows


@dataclass(frozen=True, kw_only=True)
class Temperature(TextWindows):
    """Find the windows of answers at one temperature; `-m` sweeps it, `compare` pairs the runs.

    All temperatures answer the same problems, so that they can be compared problem by problem.

    Source:
        Li, Karan, Chen (2025), arXiv:2502.00921, Figures 12 and 13: .1, .4, .7, 1.0 on MATH.
    """

    name: ClassVar[str] = "temperature"
