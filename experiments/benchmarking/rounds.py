"""Rounds: every method in turn on the same work, in one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial

from critwin.feature import Feature
from critwin.forward_reverse import forward_reverse
from critwin.generation import Generation
from critwin.samplers.engine import Engine
from critwin.samplers.language import LanguageSampler
from critwin.seeds import fold_in
from experiments.benchmarking.choices import TRIED_CUTS, Choices, spaced
from experiments.benchmarking.every_token import EveryToken, Reference
from experiments.benchmarking.fork_estimation import ForkEstimate, estimate_by_forks
from experiments.benchmarking.measuring import ForwardPasses, held_memory, measure, watched
from experiments.benchmarking.plain_generation import Drawn
from experiments.benchmarking.results import HALF_WIDTHS, Drawing, Forking, Round, Truncating
from experiments.benchmarking.work import Cut, Work


@dataclass
class Rounds:
    """Measures round after round.

    Attributes:
        sampler: The sampler.
        work: The originals and their cuts.
        feature: Gives the labels.
        choices: How transformers is called.
        sampled: Cuts in a sample of the work of truncating at every token.
        told: Told after each piece what it gave.
        passes: Forward passes of the engine on the grid, in the latest round.
        drawn: Resamples of the engine, by original and level.
    """

    sampler: LanguageSampler
    work: Work
    feature: Feature
    choices: Choices
    sampled: int
    told: Callable[[dict[str, float]], None]
    passes: ForwardPasses = field(default_factory=ForwardPasses)
    drawn: list[list[list[Generation]]] = field(default_factory=list)

    @property
    def pieces_of_warm_up(self) -> int:
        """Pieces of the warm-up."""
        return 2 + (self.choices.paged is not None) + len(HALF_WIDTHS)

    @property
    def pieces(self) -> int:
        """Pieces of a round: truncation at every token comes to those of the warm-up."""
        return self.pieces_of_warm_up + len(HALF_WIDTHS)

    def warm_up(self) -> tuple[Round, Reference]:
        """Do a round whose times are not used, except for where transformers spends its own.

        Transformers draws some cuts of the grid only: it has drawn them before, to be chosen.

        Returns:
            The round, and the curves that its most precise forks gave.
        """
        some = spaced(self.work.cuts(), TRIED_CUTS)
        generate, paged = self._generate(some, watch=True), self._paged(some, watch=True)
        engine = self._engine()
        found = {name: self._forks(width, replicate=0) for name, width in HALF_WIDTHS.items()}
        precise, _ = found["02"]
        forks = {name: forking for name, (_, forking) in found.items()}
        return Round(generate, paged, engine, forks, {}), Reference.of(precise)

    def round(self, number: int, reference: Reference) -> Round:
        """Measure every method once.

        Args:
            number: Number of the round, from 1: forks of different rounds are independent.
            reference: Curves by which truncation at every token is planned.
        """
        cuts = self.work.cuts()
        generate, paged, engine = self._generate(cuts), self._paged(cuts), self._engine()
        forks = {n: self._forks(width, replicate=number)[1] for n, width in HALF_WIDTHS.items()}
        every_token = {
            name: self._every_token(
                reference, max(HALF_WIDTHS[name], forking.half_width), seed=number
            )
            for name, forking in forks.items()
        }
        return Round(generate, paged, engine, forks, every_token)

    def _generate(self, cuts: Sequence[Cut], *, watch: bool = False) -> Drawing:
        return self._transformers(partial(self.choices.grid.draw, cuts), watch=watch)

    def _paged(self, cuts: Sequence[Cut], *, watch: bool = False) -> Drawing | None:
        if self.choices.paged is None:
            return None
        held = held_memory(self.choices.paged.checkpoint.model.device)
        with self.choices.paged.ready(cuts) as draw:
            return self._transformers(draw, watch=watch, held=held)

    def _transformers(
        self, draw: Callable[[], Drawn], *, watch: bool, held: int | None = None
    ) -> Drawing:
        model = self.choices.grid.checkpoint.model
        with watched(model) if watch else nullcontext(ForwardPasses()) as passes:
            drawn, cost = measure(draw, model.device, held=held)
        tokens = sum(len(ids) for own in drawn for ids in own)
        return self._told(
            Drawing(
                resamples=sum(len(own) for own in drawn),
                tokens=tokens,
                seconds=cost.seconds,
                peak_bytes=cost.peak_bytes,
                forward_share=passes.share_of(cost.seconds),
            )
        )

    def _engine(self) -> Drawing:
        """Draw the grid by the engine, and once more to see how long the model itself takes."""
        model = self.sampler.loaded.model
        self.drawn, cost = measure(self._draw_by_engine, model.device)
        with watched(model) as self.passes:
            _, watched_cost = measure(self._draw_by_engine, model.device)
        share = self.passes.share_of(watched_cost.seconds)
        tokens = sum(
            len(x.token_ids) - level
            for levels, own in zip(self.work.levels, self.drawn, strict=True)
            for level, draws in zip(levels, own, strict=True)
            for x in draws
        )
        return self._told(
            Drawing(self.work.resamples, tokens, cost.seconds, cost.peak_bytes, share)
        )

    def _draw_by_engine(self) -> list[list[list[Generation]]]:
        self._forget()
        work = self.work
        return forward_reverse(
            self.sampler, work.samples, work.levels, draws=work.draws, seeds=work.seeds
        )

    def _forks(self, half_width: float, *, replicate: int) -> tuple[ForkEstimate, Forking]:
        self._forget()
        estimate, cost = measure(
            lambda: estimate_by_forks(
                self.sampler, self.work, self.feature, half_width=half_width, replicate=replicate
            ),
            self.sampler.loaded.model.device,
        )
        forking = Forking.of(estimate, cost)
        self.told({"seconds": forking.seconds, "half-width": forking.half_width})
        return estimate, forking

    def _every_token(self, reference: Reference, half_width: float, *, seed: int) -> Truncating:
        plan, way = EveryToken.to_half_width(reference, half_width), self.choices.many
        device = way.checkpoint.model.device
        sample = plan.sample(
            self.work,
            self.sampled,
            most=way.rows,
            seed=fold_in(seed, "every token", f"{half_width}"),
        )

        def seconds_of(cut: Cut) -> float:
            return measure(lambda: way.draw([cut]), device)[1].seconds

        truncating = Truncating(
            half_width=half_width,
            resamples=plan.resamples,
            tokens=plan.tokens,
            seconds=plan.seconds(sample, seconds_of),
            sampled=sum(cut.draws for cut in sample),
        )
        self.told({"seconds, scaled up": truncating.seconds})
        return truncating

    def _told(self, drawing: Drawing) -> Drawing:
        self.told({"resamples/s": drawing.resamples_per_second})
        return drawing

    def _forget(self) -> None:
        """Let the engine keep nothing of earlier pieces: each pays for all that it needs."""
        decoder = self.sampler.loaded.decoder
        if isinstance(decoder, Engine):
            decoder.store.clear()
