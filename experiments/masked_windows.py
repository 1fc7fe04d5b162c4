"""Windows of masked diffusion: Example 3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from critwin.samplers.masked_strings import MaskedStrings
from critwin.theory.examples import PaperTimes, masked_diracs
from experiments.exact.windows import ExactWindows


@dataclass(frozen=True, kw_only=True)
class MaskedWindows(ExactWindows):
    """Compare theory and measurement for masked strings.

    Attributes:
        model: The strings.
    """

    model: MaskedStrings

    name: ClassVar[str] = "masked_windows"
    axis_name: ClassVar[str] = "probability of a mask (or masks)"

    @property
    def sampler(self) -> MaskedStrings:
        """The strings."""
        return self.model

    def paper(self) -> PaperTimes:
        """Give Example 3 for two strings with a law each."""
        single = all(sorted(law)[-1] == 1 for law in self.model.laws)
        if len(self.model.laws) != 2 or not single or self.model.masking != "independent":
            note = "Example 3 is about two fixed strings under independent masking"
            return PaperTimes(None, None, None, (note,))
        one, two = (self.model.strings[law.index(1.0)] for law in self.model.laws)
        distance = sum(a != b for a, b in zip(one, two, strict=True))
        return masked_diracs(distance, self.epsilon)
