"""The paper's protocol on its benchmarks: fractions kept, resamples of each, the paper's rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from experiments.text_windows import TextWindows


@dataclass(frozen=True, kw_only=True)
class LlmReasoning(TextWindows):
    """Draw originals, cut them at the paper's fractions, resample, label, and find windows.

    Source:
        Li, Karan, Chen (2025), arXiv:2502.00921, Section 6.2.
    """

    name: ClassVar[str] = "llm_reasoning"
    originals_per_problem: int = 1
