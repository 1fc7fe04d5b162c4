"""The one list of samplers: every sampler goes through the same laws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from critwin.generation import Generation, Prefix
from critwin.sampler import ForkingSampler
from critwin.samplers.exact import ExactSampler
from critwin.samplers.gaussian_mixture import DiscourseVectors, GaussianMixture
from critwin.samplers.language import LanguageSampler
from critwin.samplers.markov_mixture import InContext, TwoModes
from critwin.samplers.markov_string import MarkovString
from critwin.samplers.masked_strings import MaskedStrings
from critwin.samplers.random_hierarchy import RandomHierarchy
from critwin.samplers.random_walk import RandomWalk
from critwin.samplers.sparse_regression import SparseRegression
from tests.critwin.exact_text import as_text
from tests.critwin.picture_text import picture_sampler

# exact samplers, small, with every shape that they can have
EXACT_SAMPLERS: dict[str, Callable[[], ExactSampler]] = {
    "gaussian_mixture": lambda: GaussianMixture(
        means=((-2.0, 0.0), (2.0, 1.0), (0.0, 3.0)), weights=(0.5, 0.3, 0.2), levels=8, horizon=2.0
    ),
    "gaussian_line": lambda: GaussianMixture(
        means=((-1.0, -2.0), (1.0, 2.0)), levels=8, horizon=2.0
    ),
    "gaussian_spikes": lambda: GaussianMixture(
        means=((0.0, 1.0), (0.5, 0.0)),
        scales=(0.5, 1.5),
        spikes=((2.0, 1.0), (0.0, 0.0)),
        levels=8,
        horizon=2.0,
    ),
    "discourse_vectors": lambda: DiscourseVectors(alpha=30.0, inner=0.3, levels=8, horizon=3.0),
    "masked_strings": lambda: MaskedStrings(
        strings=("0011", "0101", "1100", "1111"),
        laws=((0.5, 0.5, 0.0, 0.0), (0.2, 0.0, 0.3, 0.5)),
        weights=(0.4, 0.6),
        levels=9,
    ),
    "masked_strings_permuted": lambda: MaskedStrings(
        strings=("001100", "010101", "110000", "111111"),
        laws=((0.5, 0.5, 0.0, 0.0), (0.2, 0.0, 0.3, 0.5)),
        masking="permuted",
    ),
    "random_walk": lambda: RandomWalk(drift=0.2, length=12, barrier=4, strong_weight=0.3),
    "random_walk_free": lambda: RandomWalk(drift=0.1, length=9, barrier=None),
    "two_modes": lambda: TwoModes(length=8, branch=3, alike=0.4, mode_weight=0.6),
    "in_context": lambda: InContext(tasks=3, inputs=3, examples=3, noise=0.2),
    "random_hierarchy": lambda: RandomHierarchy(
        symbols=3, rules=2, branching=2, depth=3, levels=8, rules_seed=1
    ),
    "sparse_regression": lambda: SparseRegression(features=5, sparsity=2, sigma2=0.5, length=8),
}

# a maker takes the folder of a tiny random-weight checkpoint
ALL_SAMPLERS: dict[str, Callable[[Path], Any]] = {
    "markov_string": lambda _: MarkovString(max_new_tokens=24),
    "language": lambda folder: LanguageSampler(path=str(folder), max_new_tokens=6),
    "language_truncated": lambda folder: LanguageSampler(
        path=str(folder), max_new_tokens=6, temperature=0.8, top_k=5, top_p=0.9
    ),
    **{name: as_text(make) for name, make in EXACT_SAMPLERS.items()},
    "diffusion_ddpm": picture_sampler("ddpm", coarse=True),
    "diffusion_ddim": picture_sampler("ddim", coarse=False),
}

# those that also know the probability of each token drawn; the same makers, a narrower contract
FORKING_SAMPLERS: dict[str, Callable[[Path], ForkingSampler[Generation, Prefix]]] = {
    "markov_string": lambda _: MarkovString(max_new_tokens=24),
    "language": lambda folder: LanguageSampler(path=str(folder), max_new_tokens=6),
    "language_truncated": lambda folder: LanguageSampler(
        path=str(folder), max_new_tokens=6, temperature=0.8, top_k=5, top_p=0.9
    ),
    "markov_string_no_end": lambda _: MarkovString(
        symbols=("a", "b"),
        initial=(0.5, 0.5),
        transitions=((0.7, 0.3, 0.0), (0.0, 1.0, 0.0)),
        max_new_tokens=7,
    ),
}
