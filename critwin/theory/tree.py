"""Hierarchies of sub-populations: epsilon-mixture trees.

Source: Li, Karan, Chen (2025), arXiv:2502.00921, Definition 8 and Corollaries 1 and 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from critwin.errors import ParameterError
from critwin.theory.posteriors import NoisedMixture
from critwin.theory.times import cached, t_end, t_start


@dataclass(frozen=True)
class Node:
    """A set of components that split at one noise amount.

    Attributes:
        members: Components below, increasing.
        depth: 0 for the root.
        children: Empty for a leaf.
        earliest: Least noise at which any two components that part here look alike; the axis'
            beginning for a leaf; None: they never do.
        latest: Most noise at which the members are told from all the others; None: they never are.
        noise: The noise amount of the node; None where none fulfils Definition 8.
    """

    members: tuple[int, ...]
    depth: int
    children: tuple[Node, ...]
    earliest: float | None
    latest: float | None
    noise: float | None

    def walk(self) -> list[Node]:
        """Give this node and all below, from the root down."""
        return [self, *(n for child in self.children for n in child.walk())]

    def path(self, component: int) -> list[Node]:
        """Give the nodes that hold a component, from the leaf up."""
        return [n for n in reversed(self.walk()) if component in n.members]

    @property
    def certified(self) -> bool:
        """Whether the tree below is an epsilon-mixture tree."""
        return all(n.noise is not None for n in self.walk())


def mixture_tree(mixture: NoisedMixture, nested: Sequence[Any], *, epsilon: float) -> Node:
    """Give noise amounts to a tree of components, as far as Definition 8 allows.

    The least noise amount with condition (1) is taken for each node: it leaves most room for (2),
    telling the node from the rest, and (3), noise that grows strictly towards the root.

    Args:
        mixture: The noised mixture.
        nested: Components as nested lists, [[0, 1], [2, 3]]; every component once.
        epsilon: In (0, 1).

    Raises:
        ParameterError: The lists do not hold every component once.
    """
    count = len(mixture.mixture_weights)
    if sorted(_members(nested)) != list(range(count)):
        raise ParameterError("tree", list(nested), f"nested lists of 0..{count - 1}, each once")
    return _grow(cached(mixture), nested, 0, epsilon)


def perturbed_epsilon(epsilon: float, distance: float) -> float:
    """Give the epsilon of the same tree for other components, TV(p^theta, q^theta) <= distance / 2.

    Source:
        Corollary 2.
    """
    return epsilon + math.sqrt(distance)


def _grow(mixture: NoisedMixture, nested: Any, depth: int, epsilon: float) -> Node:
    members = tuple(sorted(_members(nested)))
    if isinstance(nested, int):
        children: tuple[Node, ...] = ()
        earliest: float | None = mixture.axis.low
    else:
        children = tuple(_grow(mixture, child, depth + 1, epsilon) for child in nested)
        ends = [
            _pair_end(mixture, i, j, epsilon)
            for one, other in combinations(children, 2)
            for i in one.members
            for j in other.members
        ]
        known = [end for end in ends if end is not None]
        earliest = max(known, default=mixture.axis.low) if len(known) == len(ends) else None
    latest = t_start(mixture, members, epsilon=epsilon).value
    below = [child.noise for child in children]
    noise = earliest
    if earliest is not None and None not in below:
        least = max((n for n in below if n is not None), default=-math.inf)
        if earliest <= least:  # (3): strictly above the children
            step = 1.0 if mixture.axis.whole else 1e-9 * max(1.0, abs(least))
            noise = least + step
    if noise is None or latest is None or noise > latest:
        noise = None
    return Node(members, depth, children, earliest, latest, noise)


def _pair_end(mixture: NoisedMixture, i: int, j: int, epsilon: float) -> float | None:
    """Give when TV(p^i, p^j) <= epsilon: TV(p^i, p^{i,j}) is w_j / (w_i + w_j) of it."""
    w = mixture.mixture_weights
    return t_end(mixture, [i], [i, j], epsilon=epsilon * float(w[j] / (w[i] + w[j]))).value


def _members(nested: Any) -> list[int]:
    if isinstance(nested, int):
        return [nested]
    return [i for child in nested for i in _members(child)]
