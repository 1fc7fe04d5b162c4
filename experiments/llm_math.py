"""The main job: where does a language model decide the answers that it gives?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from experiments.text_windows import TextWindows


@dataclass(frozen=True, kw_only=True)
class LlmMath(TextWindows):
    """Draw originals, cut them, resample, label, and find the windows of every answer."""

    name: ClassVar[str] = "llm_math"
