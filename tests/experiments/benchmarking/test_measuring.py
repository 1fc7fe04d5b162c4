"""Memory, and time in the model where several threads decode."""

import numpy as np
import pytest
import torch

from experiments.benchmarking.measuring import ForwardPasses, measure, watched

CPU = torch.device("cpu")


def test_threads_that_decode_side_by_side_count_by_their_mean() -> None:
    passes = ForwardPasses(seconds_of={1: 0.5, 2: 3.0, 3: 1.0}, rows=[4, 4], decoding={2, 3})
    assert passes.lanes == 2
    assert passes.share_of(5.0) == pytest.approx((0.5 + 2.0) / 5)
    assert ForwardPasses().share_of(5.0) is None


def test_passes_are_seen_while_they_are_watched() -> None:
    class Model(torch.nn.Module):
        device = CPU

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            return input_ids

    model = Model()
    with watched(model) as passes:
        model(input_ids=torch.zeros(3, 7))
        model(input_ids=torch.zeros(5, 1))
        model(torch.zeros(2, 1))
    model(input_ids=torch.zeros(9, 1))
    assert passes.rows == [5, 2]
    assert passes.lanes == 1
    assert 0 < passes.share_of(1.0) < 1


def test_the_peak_is_what_the_work_held_and_let_go() -> None:
    size = 64 * 2**20
    _, cost = measure(lambda: np.ones(size, np.uint8).sum(), CPU)
    if cost.peak_bytes is None:
        pytest.skip("this system does not tell the peak of the memory")
    # the kernel counts pages in lots of 64 for each thread
    assert 0.98 * size < cost.peak_bytes < 1.5 * size
    _, small = measure(lambda: None, CPU)
    assert small.peak_bytes < 0.1 * size
