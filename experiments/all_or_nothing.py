"""The window of sparse regression in context, all or nothing: Theorems 5 and 6."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from critwin.samplers.sparse_regression import SparseRegression
from critwin.theory.examples import PaperTimes, all_or_nothing
from experiments.exact.windows import ExactWindows


@dataclass(frozen=True, kw_only=True)
class AllOrNothing(ExactWindows):
    """Compare theory and measurement of signal against nothing.

    Attributes:
        model: The regression; `after` and `before` are the signal and everything.
        delta: Of Theorem 6, > 0.
    """

    model: SparseRegression
    delta: float = 0.5
    replicates: int = 10

    name: ClassVar[str] = "all_or_nothing"
    axis_name: ClassVar[str] = "examples removed"

    @property
    def sampler(self) -> SparseRegression:
        """The regression."""
        return self.model

    def sets(self) -> tuple[list[int], list[int]]:
        """Give the supports, and the supports with NULL, where the fields are empty."""
        signal = list(self.after) or self.model.signal
        return signal, list(self.before) or [*self.model.signal, len(self.model.signal)]

    def paper(self) -> PaperTimes:
        """Give Theorem 6."""
        m = self.model
        return all_or_nothing(m.length, m.features, m.sparsity, m.sigma2, self.delta)
