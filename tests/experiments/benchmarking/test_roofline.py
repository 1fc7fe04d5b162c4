"""What the roofline counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from critwin.generation import Generation
from critwin.samplers.language import LanguageSampler
from experiments.benchmarking.measuring import ForwardPasses
from experiments.benchmarking.plain_generation import Checkpoint
from experiments.benchmarking.roofline import Steps, roofline, token_bytes


def generation(*ids: int) -> Generation:
    return Generation((9,) * 4, ids, (0.0,) * len(ids), "", "end")


ORIGINAL = generation(1, 1, 1, 1, 2)


def test_steps_by_hand() -> None:
    """Resamples of one original of 5 tokens, from 0 and from 2.

    One leaves at its first token and has 2 more, one at its fourth and has 3 more, one follows to
    the end. Shared: 4 of the prompt and at most 3 of the original, in 3 steps; own: 1 + 2 and
    1 + 2 + 3.
    """
    drawn = [[[generation(3, 1, 2), ORIGINAL], [generation(1, 1, 1, 5, 1, 1, 2)]]]
    assert Steps.of([ORIGINAL], [[0, 2]], drawn) == Steps(drawn=3 + 5 + 5, computed=5, read=30)


def test_the_matrices_of_a_model_and_its_cache(letters: Callable[..., LanguageSampler]) -> None:
    """Two layers of width 16: 16 x (48 + 16 + 64 + 64) each, and 16 x 7 for the letters."""
    model = Checkpoint.of(letters()).model
    threads = torch.get_num_threads()
    limit = roofline(
        model,
        passes=ForwardPasses(seconds_of={1: 1.0, 2: 1.0}, rows=[4, 6, 8], decoding={1, 2}),
        originals=[ORIGINAL],
        levels=[[0]],
        drawn=[[[generation(3, 1, 2)]]],
    )
    assert torch.get_num_threads() == threads
    assert limit.matrix_bytes == 4 * (2 * 16 * (48 + 16 + 64 + 64) + 16 * 7)
    assert (limit.rows, limit.lanes) == (6, 2)
    assert token_bytes(model) == 2 * 2 * 16 * 4  # keys and values of two layers
    assert (limit.drawn, limit.computed, limit.run) == (3, 2, 18)
    assert limit.read_bytes == 256 * (4 * 2 + 3)
    least = limit.product_seconds * 2 / 12 + limit.read_bytes / limit.bandwidth
    assert limit.tokens_per_second == pytest.approx(3 / least)
