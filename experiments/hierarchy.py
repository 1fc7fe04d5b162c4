"""Hierarchies of windows: epsilon-mixture trees over any exact sampler (Definition 8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from critwin.errors import ParameterError
from critwin.samplers.exact import ExactSampler
from critwin.statistics import Interval
from critwin.theory.bounds import bounds_at
from critwin.theory.examples import PaperTimes
from critwin.theory.times import WindowTimes, window_times
from critwin.theory.total_variation import leak
from critwin.theory.tree import Node, mixture_tree
from experiments.exact.comparison import JOINT
from experiments.exact.figures import Panel
from experiments.exact.measuring import Measured
from experiments.exact.verdicts import (
    Row,
    at_most,
    crossing,
    equal,
    falls,
    of_bracket,
    plateau_begins,
)
from experiments.exact.windows import ExactWindows, named


@dataclass(frozen=True, kw_only=True)
class Hierarchy(ExactWindows):
    """Certify a tree, and measure the windows on the path of one component.

    Attributes:
        after: One component, whose path to the root is followed.
        before: All components.
        model: Any exact sampler.
        tree: Its components as nested lists, each once.
    """

    model: ExactSampler
    tree: tuple[Any, ...]

    name: ClassVar[str] = "hierarchy"

    @property
    def axis_name(self) -> str:  # type: ignore[override]
        """What the sampler's times are."""
        return "tokens or indices removed" if self.model.axis.whole else "time of the sampler"

    @property
    def sampler(self) -> ExactSampler:
        """The sampler."""
        return self.model

    def check(self) -> None:
        """Refuse a tree that does not hold every component once."""
        super().check()
        if len(self.after) != 1 or len(self.before) != len(self.model.mixture_weights):
            raise ParameterError("after", list(self.after), "one component, and before all of them")
        held = sorted(_flat(self.tree))
        count = len(self.model.mixture_weights)
        if held != list(range(count)):
            allowed = f"nested lists of the components 0..{count - 1}, each once"
            raise ParameterError("tree", self.tree, allowed)

    def paper(self) -> PaperTimes:
        """Give nothing: the paper has no times for trees."""
        note = (
            "Definition 8 has no times of its own: a noise amount of a node is certified where it "
            "lies between T_end of its pairs and T_start of the node"
        )
        return PaperTimes(None, None, None, (note,))

    @cached_property
    def grown(self) -> Node:
        """The tree with its noise amounts."""
        return mixture_tree(self.theory, _listed(self.tree), epsilon=self.epsilon)

    @cached_property
    def path(self) -> list[Node]:
        """Nodes that hold the component, from its leaf up to the root."""
        return self.grown.path(self.after[0])

    def windows(self) -> dict[str, WindowTimes]:
        """Give the window of each step up the path."""
        found = {}
        for low, high in zip(self.path, self.path[1:], strict=False):
            one, other = list(low.members), list(high.members)
            name = f"{named(one)} in {named(other)}"
            found[name] = window_times(self.theory, one, other, epsilon=self.epsilon)
        return found

    def groups(self) -> list[list[int]]:
        """Count every component."""
        return [[i] for i in range(len(self.model.mixture_weights))]

    def asked(self, times: dict[str, WindowTimes]) -> list[float | None]:
        """Add the noise amounts of the path."""
        return [*super().asked(times), *(node.noise for node in self.path)]

    def rows(self, measured: Measured, times: dict[str, WindowTimes]) -> list[Row]:
        """Give tree, windows and Corollary 1 along the path."""
        rows = [
            Row(
                "the tree is an epsilon-mixture tree",
                None,
                None,
                None,
                None,
                "certified" if self.grown.certified else "not certified",
            )
        ]
        for low, high in zip(self.path, self.path[1:], strict=False):
            rows += self._step(measured, low, high, times)
        rows.append(falls(measured, list(self.after), level=JOINT))
        return rows

    def _step(
        self, measured: Measured, low: Node, high: Node, times: dict[str, WindowTimes]
    ) -> list[Row]:
        one, other = list(low.members), list(high.members)
        name = f"{named(one)} in {named(other)}"
        window = times[name]
        rest, outside = self.rest(one), self.rest(other)

        def to(first: list[int], second: list[int]) -> Callable[[int], Interval]:
            return lambda p: of_bracket(measured.distance(first, second, p), level=JOINT)

        rows = [
            plateau_begins(
                f"T_before, {name}",
                window,
                measured,
                to(one, other),
                to(other, outside) if outside else None,
                epsilon=self.epsilon,
            ),
            crossing(
                f"T_after, {name}",
                window.start_after.value,
                measured,
                to(one, rest),
                threshold=1 - self.epsilon**2,
            ),
        ]
        if outside:  # else T_before is T_end
            rows.append(
                crossing(
                    f"T_end, {name}",
                    window.end.value,
                    measured,
                    to(one, other),
                    threshold=self.epsilon,
                )
            )
        if high.noise is not None:
            place = measured.at(high.noise)
            at = self.theory.posteriors(float(measured.times[place]))
            start = list(self.after)
            found = measured.label_distance(start, other, place, level=JOINT)
            bound = bounds_at(at, init=start, targ=other).by_leak
            rows.append(at_most(f"Corollary 1: labels' TV from {named(other)}", bound, found))
            if outside:
                expected = leak(at, other)
                error = (expected.upper - expected.lower) / 2
                lost = measured.leak(other, place, level=JOINT)
                rows.append(
                    equal(f"leak of {named(other)} there", expected.value, lost, error=error)
                )
        return rows

    def panels(self) -> list[Panel]:
        """Draw how long a label stays in each set of the path, and what looks alike."""
        sets = [list(node.members) for node in self.path if self.rest(node.members)]
        apart = [
            self.distance_line(
                low.members, high.members, f"{named(low.members)}, {named(high.members)}"
            )
            for low, high in zip(self.path, self.path[1:], strict=False)
        ]
        return [
            Panel("a label drawn again stays", [self.stay_line(s) for s in sets]),
            Panel("total variation", apart, (self.epsilon,)),
        ]


def _flat(nested: Any) -> list[int]:
    if not isinstance(nested, list | tuple):
        return [nested]
    return [i for child in nested for i in _flat(child)]


def _listed(nested: Any) -> Any:
    return [_listed(child) for child in nested] if isinstance(nested, Sequence) else nested
