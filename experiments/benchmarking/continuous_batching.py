"""Resampling with transformers' own continuous batching, `model.generate_batch`.

Rows that have ended leave the batch and waiting ones enter; keys and values live in pages, and
resamples of one prefix share the pages of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from critwin.errors import ModelError
from experiments.benchmarking.plain_generation import Checkpoint, Drawn
from experiments.benchmarking.work import Cut

PAGE = 16
"""Tokens of a page on a CPU, where prefixes are short; elsewhere transformers' own choice."""


@dataclass(frozen=True)
class ContinuousBatching:
    """Calls the manager behind `generate_batch`, which takes a length limit for each request.

    Attributes:
        checkpoint: The model, and what it draws from.
        rows: Rows decoded together, on a CPU; None leaves them to transformers, which sizes them by
            the memory of a GPU.
    """

    checkpoint: Checkpoint
    rows: int | None

    def refusal(self) -> str | None:
        """Say why transformers' continuous batching cannot draw from this law; None if it can."""
        if self.checkpoint.config.stop_strings:
            return "it knows no stop strings"
        if self.checkpoint.config.repetition_penalty != 1:
            return "it knows no repetition penalty"
        return None

    @contextmanager
    def ready(self, cuts: Sequence[Cut]) -> Iterator[Callable[[], Drawn]]:
        """Set up and warm up; give what draws the resamples of some cuts with equally many draws.

        Raises:
            ModelError: It stopped before it was done; what it is asked for may not run here.
        """
        from transformers.utils import logging

        model, longest = self.checkpoint.model, max(cut.room for cut in cuts)
        config = self.checkpoint.limited(longest, draws=cuts[0].draws)
        attention, verbosity = model.config._attn_implementation, logging.get_verbosity()
        # it asks for masks that it has no use for
        logging.set_verbosity_error()
        try:
            with model.continuous_batching_context_manager(
                generation_config=config, continuous_batching_config=self._pages(cuts)
            ) as manager:
                yield lambda: _draw(manager, cuts)
        finally:
            logging.set_verbosity(verbosity)
            model.set_attn_implementation(attention)

    def _pages(self, cuts: Sequence[Cut]) -> Any:
        from transformers import ContinuousBatchingConfig

        if self.rows is None:
            return ContinuousBatchingConfig()
        longest = max(len(cut.ids) + cut.room for cut in cuts)
        return ContinuousBatchingConfig(
            page_size=PAGE,
            num_blocks=(self.rows + 1) * (longest // PAGE + 2),
            max_batch_tokens=self.rows,
            max_requests_per_batch=self.rows,
        )


def _draw(manager: Any, cuts: Sequence[Cut]) -> Drawn:
    # requests that begin alike stand side by side, so that they find each other's pages
    order = sorted(range(len(cuts)), key=lambda i: cuts[i].ids, reverse=True)
    for i in order:
        manager.add_request(
            input_ids=list(cuts[i].ids), request_id=str(i), max_new_tokens=cuts[i].room
        )
    drawn: Drawn = [[] for _ in cuts]
    for _ in range(sum(cut.draws for cut in cuts)):
        result = None
        while result is None or not result.is_finished():
            result = manager.get_result(timeout=1)
            if result is None and not manager.is_running():
                raise ModelError("continuous batching stopped before it was done")
        if result.error is not None:
            raise ModelError(f"continuous batching failed: {result.error}")
        drawn[int(result.request_id.partition("__child#")[0])].append(result.generated_tokens)
    return drawn
