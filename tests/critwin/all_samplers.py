"""The one list of samplers: every sampler goes through the same laws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from critwin.generation import Generation, Prefix, TextSampler
from critwin.sampler import ForkingSampler
from critwin.samplers.language import LanguageSampler
from critwin.samplers.markov_string import MarkovString

# a maker takes the folder of a tiny random-weight checkpoint
ALL_SAMPLERS: dict[str, Callable[[Path], TextSampler]] = {
    "markov_string": lambda _: MarkovString(max_new_tokens=24),
    "language": lambda folder: LanguageSampler(path=str(folder), max_new_tokens=6),
    "language_truncated": lambda folder: LanguageSampler(
        path=str(folder), max_new_tokens=6, temperature=0.8, top_k=5, top_p=0.9
    ),
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
