"""Belief in the inner nodes of the random hierarchy model, against enumeration of all trees."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from critwin.samplers.random_hierarchy import MASK, RandomHierarchy


def every_tree(model: RandomHierarchy) -> list[list[np.ndarray]]:
    """Give the nodes of every tree, root first; all trees are equally likely."""
    trees = [[np.array([root])] for root in range(model.symbols)]
    for rules in model.tables:
        grown = []
        for tree in trees:
            options = itertools.product(range(model.rules), repeat=len(tree[-1]))
            for chosen in options:
                below = [rules[a, r] for a, r in zip(tree[-1], chosen, strict=True)]
                grown.append([*tree, np.concatenate(below)])
        trees = grown
    return trees


@pytest.mark.parametrize("branching", [2, 3])
def test_beliefs_are_those_of_all_trees_that_fit(branching: int) -> None:
    model = RandomHierarchy(symbols=3, rules=2, branching=branching, depth=2, rules_seed=3)
    trees = every_tree(model)
    leaves = np.stack([tree[-1] for tree in trees])
    random = np.random.default_rng(0)
    for _ in range(6):
        seen = leaves[random.integers(len(leaves))].copy()
        seen[random.random(len(seen)) < 0.6] = MASK
        fits = ((leaves == seen) | (seen == MASK)).all(axis=1)
        found = model.node_posteriors(seen[None])
        for height, belief in enumerate(found):
            nodes = np.stack([tree[model.depth - height] for tree in trees])[fits]
            expected = (nodes[:, :, None] == np.arange(3)).mean(axis=0)
            np.testing.assert_allclose(belief[0], expected, atol=1e-12)


def test_nodes_stay_surely_where_everything_is_seen_and_by_chance_where_nothing_is() -> None:
    model = RandomHierarchy(symbols=4, rules=2, branching=2, depth=3)
    for stays in model.node_stays(0.0):
        np.testing.assert_allclose(stays, 1)
    np.testing.assert_allclose(model.node_stays(1.0)[-1], 1 / 4)
