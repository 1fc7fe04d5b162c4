"""Draws that follow a sample that is known: its logits are there, so no model is needed.

A resample of an original draws the original's next token again with the probability that it had,
often close to 1. As long as it does, all its distributions are those of the original's own
teacher-forced pass. Each draw uses its own random numbers, as if it were decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from critwin.samplers.token_draws import END, GOING, LENGTH, REASONS, STOP
from critwin.samplers.token_law import NO_TOKEN, Drawn, Request, Row, TokenLaw, surprisals_of
from critwin.seeds import uniforms

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class KnownPath:
    """A sample with the share of each distribution that leads along it.

    All arrays have shape (n,), the sample's token u at entry u - 1.

    Attributes:
        lower: Cumulative probability below the token, in the order of the vocabulary.
        upper: The same with the token.
        total: Sum of all probabilities, 1 but for rounding.
        surprisal: Of each token, in nats.
        reason: What each token would end a sample by; GOING for nothing.
    """

    lower: Floats
    upper: Floats
    total: Floats
    surprisal: tuple[float, ...]
    reason: Ints

    @classmethod
    def of(
        cls,
        logits: torch.Tensor,
        prompt_ids: tuple[int, ...],
        sample_ids: tuple[int, ...],
        law: TokenLaw,
    ) -> KnownPath:
        """Read a path off the logits after each token of prompt and sample, shape (L, V)."""
        import torch

        token = torch.tensor(sample_ids, device=logits.device)[:, None]
        facts = []
        for piece, scores in law.along(logits, prompt_ids, sample_ids):
            own = token[piece]
            surprisal = surprisals_of(scores, own)[:, 0]
            cumulative = scores.to(torch.float64, copy=True).exp_().cumsum_(dim=1)
            upper = cumulative.gather(1, own)[:, 0]
            lower = cumulative.gather(1, (own - 1).clamp(min=0))[:, 0]
            lower = torch.where(own[:, 0] > 0, lower, 0.0)
            facts.append(torch.stack([lower, upper, cumulative[:, -1], surprisal]))
        lower, upper, total, surprisal = torch.cat(facts, dim=1).cpu().numpy()
        return cls(lower, upper, total, tuple(surprisal.tolist()), endings(sample_ids, law))

    def follow(self, request: Request, number: int) -> tuple[list[Row], dict[int, Drawn]]:
        """Follow the path with all draws of a request, as far as each of them does.

        Returns:
            The rows that have left the path or reached its open end, to be decoded from there; and
            the draws that ended on it, by number.
        """
        kept, end = request.kept, len(self.lower)
        steps = np.arange(kept, end)
        seeds = np.array(request.seeds, dtype=np.uint64)
        target = uniforms(seeds[:, None], steps.astype(np.uint64)) * self.total[steps]
        stays = (self.lower[steps] <= target) & (target < self.upper[steps])
        left = np.where(stays.all(axis=1), end, kept + stays.argmin(axis=1))
        reason = self.reason[kept:].copy()
        if request.limit <= end and reason[request.limit - 1 - kept] == GOING:
            reason[request.limit - 1 - kept] = LENGTH
        last = kept + int(np.argmax(reason != GOING)) if (reason != GOING).any() else end
        rows: list[Row] = []
        done: dict[int, Drawn] = {}
        for draw, at in enumerate(left.tolist()):
            if at > last:
                done[draw] = Drawn(
                    request.sample_ids[kept : last + 1],
                    self.surprisal[kept : last + 1],
                    REASONS[int(reason[last - kept])],
                )
            else:
                rows.append(Row(request, number, draw, at, self.surprisal[kept:at]))
        return rows, done


def surprisals_along(
    logits: torch.Tensor, prompt_ids: Sequence[int], sample_ids: Sequence[int], law: TokenLaw
) -> list[float]:
    """Read the surprisals of a sample's tokens off the logits after each token, shape (L, V)."""
    import torch

    token = torch.tensor(sample_ids, dtype=torch.int64, device=logits.device)[:, None]
    nats: list[float] = []
    for piece, scores in law.along(logits, prompt_ids, sample_ids):
        nats += surprisals_of(scores, token[piece])[:, 0].tolist()
    return nats


def endings(sample_ids: tuple[int, ...], law: TokenLaw) -> Ints:
    """Give what each token of a sample ends it by, were it the last one."""
    import torch

    ids = np.array(sample_ids)
    reason = np.full(len(ids), GOING)
    if law.stop:
        reach = law.reach
        padded = [NO_TOKEN] * reach + list(sample_ids)
        tails = [padded[i + 1 : i + 1 + reach] for i in range(len(ids))]
        reason[law.stops(torch.tensor(tails), None).numpy()] = STOP
    reason[np.isin(ids, law.end_ids)] = END
    return reason
