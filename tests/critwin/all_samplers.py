"""The one list of samplers: every sampler goes through the same laws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from critwin.generation import TextSampler
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
