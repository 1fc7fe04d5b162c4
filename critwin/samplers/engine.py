"""Draws continuations of many prefixes in one large batch that shares what prefixes share.

A sequence is run once, teacher-forced; its keys and values serve all draws that begin inside of
it, cut where they begin. A row that has finished leaves, a waiting one enters.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from critwin.errors import ModelError
from critwin.samplers.following import KnownPath, surprisals_along
from critwin.samplers.memory import Together, fitting_rows, free_bytes, in_batches
from critwin.samplers.stream import PER_GROUP, Family, Stream, families_of, shares
from critwin.samplers.teacher_forcing import SequenceStore
from critwin.samplers.token_law import Drawn, Request, Row, TokenLaw

if TYPE_CHECKING:
    from torch import Tensor

    from critwin.samplers.shared_attention import SharedRows

PROBE = 12
"""Tokens on which a model is compared with itself before the engine takes it over."""


class Engine:
    """Decodes for one loaded model.

    Attributes:
        model: A causal language model of transformers, in eval mode; it is taken over.
    """

    def __init__(self, model: Any) -> None:
        from critwin.samplers.shared_attention import take_over

        ids = _probe(model)
        expected = _recomputed(model, ids)
        take_over(model)
        self.model = model
        self.store = SequenceStore(model, room=free_bytes(model.device) // 8)
        self._halvings = 0
        self._check(ids, expected)

    @property
    def halvings(self) -> int:
        """How often memory ran out and what is computed at once was halved."""
        return self._halvings + self.store.together.halvings

    def decode(
        self,
        requests: Sequence[Request],
        law: TokenLaw,
        *,
        rows: int | None = None,
        memory: int | None = None,
    ) -> list[list[Drawn]]:
        """Draw continuations.

        Args:
            requests: Prefixes with the seeds of their draws.
            law: What tokens are drawn from.
            rows: Rows decoded together at most; None finds what fits into memory and is of use.
            memory: Bytes that decoding may take; None is half of what is free.

        Returns:
            For each request its draws, in the order of its seeds.

        Raises:
            ValueError: A request excludes a token that had probability 1.
        """
        room = memory or free_bytes(self.model.device) // 2
        self.store.room = room // 4
        results: list[dict[int, Drawn]] = [{} for _ in requests]
        waiting = self._follow(requests, law, results)
        together = None
        while waiting:
            together = together or Together(rows or self._row_limit(room // 2, waiting))
            try:
                self._decode(families_of(waiting), law, together.most, results)
            except (RuntimeError, MemoryError) as error:
                together.halve(error, together.most)
                self._halvings += 1
                self.store.clear()
            waiting = [row for row in waiting if row.draw not in results[row.number]]
        return [[found[i] for i in range(len(found))] for found in results]

    def _follow(
        self, requests: Sequence[Request], law: TokenLaw, results: list[dict[int, Drawn]]
    ) -> list[Row]:
        """Let draws follow known samples, without the model; give what is left to be decoded."""
        import torch

        rows: list[Row] = []
        known: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
        for number, request in enumerate(requests):
            if request.kept < len(request.sample_ids) and request.excluded is None:
                known.setdefault((request.prompt_ids, request.sample_ids), []).append(number)
            else:
                rows += [Row(request, number, d, request.kept) for d in range(len(request.seeds))]

        def follow(batch: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> None:
            states = self.store.of([prompt_ids + ids for prompt_ids, ids in batch])
            paths = [
                KnownPath.of(state.logits, *sample, law)
                for sample, state in zip(batch, states, strict=True)
            ]
            for sample, path in zip(batch, paths, strict=True):
                for number in known[sample]:
                    left, done = path.follow(requests[number], number)
                    rows.extend(left)
                    results[number] |= done

        with torch.inference_mode():
            ordered = sorted(known, key=_length)
            in_batches(ordered, follow, together=self.store.together, size=_length)
        return rows

    def _decode(
        self,
        families: Sequence[Family],
        law: TokenLaw,
        limit: int,
        results: list[dict[int, Drawn]],
    ) -> None:
        """Decode on each core of the host apart: threads that share a step wait for each other."""
        import torch

        cores = torch.get_num_threads() if self.model.device.type == "cpu" else 1
        lanes = [lane for lane in shares(families, cores) if lane]

        def work(lane: Sequence[Family]) -> None:
            if len(lanes) > 1:
                torch.set_num_threads(1)
            with torch.inference_mode():
                stream = Stream(self, self.model.device, lane, law, max(1, limit // len(lanes)))
                for row, drawn in stream.finish():
                    results[row.number][row.draw] = row.behind(drawn)

        if len(lanes) == 1:
            work(lanes[0])
            return
        try:
            with ThreadPoolExecutor(len(lanes)) as pool:
                list(pool.map(work, lanes))
        finally:
            torch.set_num_threads(cores)

    def surprisals(
        self, samples: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], law: TokenLaw
    ) -> list[list[float]]:
        """Give the surprisal of each token of samples, in nats, by one pass each.

        Args:
            samples: Prompt ids and sample ids of each sample.
            law: What tokens are drawn from.
        """
        import torch

        found: dict[int, list[float]] = {}
        lengths = [_length(sample) for sample in samples]

        def read(batch: Sequence[int]) -> None:
            states = self.store.of([samples[i][0] + samples[i][1] for i in batch])
            for i, state in zip(batch, states, strict=True):
                found[i] = surprisals_along(state.logits, *samples[i], law)

        with torch.inference_mode():
            order = sorted(range(len(samples)), key=lengths.__getitem__)
            in_batches(order, read, together=self.store.together, size=lengths.__getitem__)
        return [found[i] for i in range(len(samples))]

    def _check(self, ids: tuple[int, ...], expected: Tensor) -> None:
        """Refuse a model that does not give the same logits here as by full recomputation.

        Half of the digits have to agree: what is left out or doubled shows in the first ones. Norms
        and rotary angles have the digits of float32 in models of float64 too.

        Raises:
            ModelError: They differ, or a layer does not say which window it has.
        """
        import torch

        from critwin.samplers.shared_attention import SharedRows, check_windows

        with torch.inference_mode():
            check_windows(self.model, ids)
            [whole] = self.store.of([ids])
            found = [whole.logits]
            cuts = [len(ids) // 3 + 1, len(ids) // 2 + 1]
            rows = SharedRows(1, len(cuts), self.model.device)
            rows.load(0, whole.keys, whole.values)
            rows.admit([*range(len(cuts))], starts=cuts, ends=[len(ids)] * len(cuts))
            rows.look(range(len(cuts)))
            for step in range(len(ids) - max(cuts)):
                at = [cut + step for cut in cuts]
                fed = torch.tensor([[ids[i]] for i in at], device=self.model.device)
                found.append(self.forward(fed, rows))
                expected = torch.cat([expected, expected[at]])
            difference = (torch.cat(found) - expected).abs().max()
            scale = (expected - expected.mean()).abs().max()
        self.store.clear()
        relative = float(difference / scale)
        precision = max(torch.finfo(t).eps for t in (expected.dtype, torch.float32))
        if not relative <= precision**0.5:
            raise ModelError(
                f"{type(self.model).__name__} gives other logits when prefixes are shared "
                f"(relative difference {relative:.1e})"
            )

    def forward(self, ids: Tensor, rows: SharedRows) -> Tensor:
        """Feed one token to each row, ids of shape (B, 1); give the logits after it, (B, V)."""
        positions = rows.begin_step()
        output = self.model(input_ids=ids, position_ids=positions, use_cache=False, rows=rows)
        rows.end_step()
        logits: Tensor = output.logits[:, -1]
        return logits

    def _row_limit(self, room: int, rows: Sequence[Row]) -> int:
        longest = max((row.request.ids for row in rows), key=len)
        [state] = self.store.of([longest])
        return fitting_rows(
            room,
            self.model.device,
            per_token=state.token_bytes,
            columns=max(row.left for row in rows),
            shared=len(longest) / PER_GROUP,
            logits=state.logits.shape[1],
        )


def _probe(model: Any) -> tuple[int, ...]:
    """Give token ids to try a model on, as many as it takes."""
    config = model.config.get_text_config()
    length = min(PROBE, getattr(config, "max_position_embeddings", PROBE))
    return tuple(i * i % config.vocab_size for i in range(1, length + 1))


def _length(sample: tuple[tuple[int, ...], tuple[int, ...]]) -> int:
    prompt_ids, sample_ids = sample
    return len(prompt_ids) + len(sample_ids)


def _recomputed(model: Any, ids: tuple[int, ...]) -> Tensor:
    """Give the logits after each token by one pass with the model's plain attention, (L, V)."""
    import torch

    own = model.config._attn_implementation
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        whole = torch.tensor([ids], device=model.device)
        logits: Tensor = model(input_ids=whole, use_cache=False).logits[0]
    model.set_attn_implementation(own)
    return logits
