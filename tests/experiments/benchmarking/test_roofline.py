"""What the roofline counts."""

from __future__ import annotations

from collections.abc import Callable

import torch

from critwin.generation import Generation
from critwin.samplers.language import LanguageSampler
from experiments.benchmarking.measuring import ForwardPasses
from experiments.benchmarking.plain_generation import Checkpoint
from experiments.benchmarking.roofline import read_tokens, roofline, token_bytes


def generation(length: int) -> Generation:
    return Generation((9,) * 4, (1,) * length, (0.0,) * length, "", "end")


def test_tokens_read_for_a_token_by_hand() -> None:
    """Two cuts of one original, at 0 and 6; resamples of 3, 5 and 2 tokens.

    Shared: 4 of the prompt and 6 kept, in 5 steps. Own: 0 + 1 + 2, 0 + ... + 4, 0 + 1. Per token of
    the ten that were drawn: (50 + 3 + 10 + 1) / 10.
    """
    drawn = [[[generation(3), generation(5)], [generation(8)]]]
    assert read_tokens([[0, 6]], drawn) == 6.4


def test_the_matrices_of_a_model_and_its_cache(letters: Callable[..., LanguageSampler]) -> None:
    """Two layers of width 16: 16 x (48 + 16 + 64 + 64) each, and 16 x 7 for the letters."""
    model = Checkpoint.of(letters()).model
    threads = torch.get_num_threads()
    limit = roofline(
        model,
        passes=ForwardPasses(seconds_of={1: 1.0, 2: 1.0}, rows=[4, 6, 8], decoding={1, 2}),
        levels=[[0]],
        drawn=[[[generation(3)]]],
    )
    assert torch.get_num_threads() == threads
    assert limit.matrix_bytes == 4 * (2 * 16 * (48 + 16 + 64 + 64) + 16 * 7)
    assert (limit.rows, limit.lanes) == (6, 2)
    assert token_bytes(model) == 2 * 2 * 16 * 4  # keys and values of two layers
    per_token = limit.product_seconds / 12 + limit.cache_bytes_per_token / limit.bandwidth
    assert limit.tokens_per_second == 1 / per_token
    assert limit.cache_bytes_per_token == 256 * (4 * 3 + 3) / 3
