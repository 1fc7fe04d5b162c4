"""Resamples of originals, in parts: what truncation and forks share."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from critwin.asking import Labelled, ask, label_samples
from critwin.claimed_parts import undone_parts
from critwin.curve import MeasuredCurve
from critwin.feature import UNSCORED
from critwin.generation import Generation, TextSampler, truncate
from critwin.planning import quick_tokens
from critwin.protocol import Sampling
from critwin.records import RunDirectory
from critwin.statistics import clustered_share
from critwin.window import WindowRule
from experiments.experiment import Accounts
from experiments.originals import Drawing, generation, problem_blocks
from experiments.tracker import Progress, Silent, Tracker

RESAMPLED_PER_PART = 32
"""Originals resampled and written together, so that batches are full; fixed, so that a restart
meets the same parts."""

REDRAWN = 64
"""Resamples drawn again in a batch of another composition, to count what rounding flips."""

OWNERS = ("original_id", "problem_id")

ORDER = ("original_id", "kind", "position", "replicate")


@dataclass(frozen=True, kw_only=True)
class Resampling(ABC):
    """Draws originals, resamples them as a protocol says, and labels.

    Attributes:
        drawing: Draws the originals.
        protocol: How they are resampled.
    """

    drawing: Drawing
    protocol: Sampling

    tables: ClassVar[tuple[str, ...]] = ("resamples",)
    """Tables that are written, besides the originals."""

    def carry_out(
        self,
        directory: RunDirectory,
        *,
        rule: WindowRule | None = None,
        tracker: Tracker,
        progress: Progress,
    ) -> Accounts:
        """Write the originals and `tables`, drawing what is not drawn yet.

        Args:
            directory: The run directory, locked.
            rule: Used for the share with windows that the tracker is told; None tells none.
            tracker: Told after each part.
            progress: Shown after each part.
        """
        self._ready()
        parts = self.drawing.carry_out(directory, progress)
        blocks = self._resample(directory, parts, _Telling(rule, tracker, progress))
        notes = {
            table: [directory.notes(table, i) for i in range(count)]
            for table, count in (("originals", parts), ("resamples", blocks))
        }
        halvings = {
            table: int(sum(own.get("halvings", 0) for own in found))
            for table, found in notes.items()
        }
        originals = directory.assemble("originals", parts, sort_by=["original_id"])
        for table in self.tables:
            order = ORDER if table == "resamples" else ["original_id"]
            directory.assemble(table, blocks, sort_by=order)
        resamples = directory.read("resamples")
        drawn = sum(len(ids) for ids in originals["token_ids"].to_pylist())
        replies = [*originals["reply_tokens"].to_pylist(), *resamples["reply_tokens"].to_pylist()]
        drawn += sum(tokens for tokens in replies if tokens is not None)
        return Accounts(
            tokens_generated=drawn + sum(resamples["tokens_generated"].to_pylist()),
            seconds={table: sum(own["seconds"] for own in found) for table, found in notes.items()},
            facts={
                "device": self.sampler.device_used(),
                "model": self.sampler.facts(),
                "memory": {"halvings": halvings},
                "rounding": self._count_flips(originals, resamples),
            },
        )

    def _ready(self) -> None:
        """Refuse, before anything is drawn, a model that turns out not to do what is needed."""
        return

    @property
    def sampler(self) -> TextSampler:
        """The sampler, sampling parameters set."""
        return self.drawing.sampler

    @abstractmethod
    def _tables_of(self, originals: list[dict[str, Any]]) -> dict[str, pa.Table]:
        """Resample some originals together; give a table for each of `tables`."""

    @abstractmethod
    def _own_curves(
        self, originals: pd.DataFrame, tables: Mapping[str, pd.DataFrame]
    ) -> list[MeasuredCurve]:
        """Give the curves of own labels of some originals, for what the tracker is told."""

    @abstractmethod
    def _again(
        self, samples: Sequence[Generation], rows: Sequence[dict[str, Any]]
    ) -> list[Generation]:
        """Draw rows of the resamples table again, each from its original and with its seed."""

    def help(self, directory: RunDirectory, *, wanted: Callable[[], bool]) -> None:
        """Make parts that nobody makes yet, for the process that carries the run out.

        Args:
            directory: The run directory, held by that process.
            wanted: Tells whether it still needs parts.
        """
        parts = self.drawing.carry_out(directory, Silent(), wanted=wanted)
        if not wanted():
            return
        drawn, blocks = self._blocks(directory, parts)
        for i in undone_parts(directory, self.tables, len(blocks), wait=False, wanted=wanted):
            self._make(directory, i, drawn.slice(blocks[i].start, len(blocks[i])))

    def _blocks(self, directory: RunDirectory, parts: int) -> tuple[pa.Table, list[range]]:
        """Give the originals, and which of them are resampled together: those of whole problems."""
        scale = self.drawing.per_problem
        blocks = problem_blocks(len(self.drawing.problems), scale, RESAMPLED_PER_PART)
        drawn = pa.concat_tables([directory.read_part("originals", i) for i in range(parts)])
        return drawn, [range(block.start * scale, block.stop * scale) for block in blocks]

    def _make(self, directory: RunDirectory, part: int, originals: pa.Table) -> None:
        began, halvings = time.perf_counter(), self.sampler.halvings
        made = self._tables_of(originals.to_pylist())
        seconds = time.perf_counter() - began
        notes = {"seconds": seconds, "halvings": self.sampler.halvings - halvings}
        for table in self.tables:
            directory.write_part(table, part, made[table], notes=notes)

    def _resample(self, directory: RunDirectory, parts: int, telling: _Telling) -> int:
        """Resample block after block of problems; give the number of blocks."""
        drawn, blocks = self._blocks(directory, parts)
        uncounted = dict(enumerate(blocks))
        left = Remaining([self.expected_tokens(drawn.slice(b.start, len(b))) for b in blocks])

        def count() -> int:
            """Count the parts that came since the last time, whoever made them."""
            before = telling.originals
            for i, block in list(uncounted.items()):
                if all(directory.has_part(table, i) for table in self.tables):
                    del uncounted[i]
                    originals = drawn.slice(block.start, len(block))
                    left.done(i, self._count(directory, i, originals, telling))
            return telling.originals - before

        # parts of earlier starts are counted first, so that what is told is about the whole run
        telling.progress.begin("resamples", drawn.num_rows, unit="originals", done=count())
        left.tell(telling.progress)
        for i in undone_parts(directory, self.tables, len(blocks)):
            self._make(directory, i, drawn.slice(blocks[i].start, len(blocks[i])))
            fresh = count()
            left.tell(telling.progress)
            telling.tell(fresh)
        if uncounted:
            telling.tell(count())
        telling.progress.end()
        return len(blocks)

    def _count(
        self, directory: RunDirectory, part: int, originals: pa.Table, telling: _Telling
    ) -> float:
        """Count a part; give the seconds that it took."""
        tables = {name: directory.read_part(name, part).to_pandas() for name in self.tables}
        curves = self._own_curves(originals.to_pandas(), tables)
        seconds = directory.notes("resamples", part)["seconds"]
        telling.count(originals, curves, tables, seconds)
        return seconds

    def expected_tokens(self, originals: pa.Table) -> float:
        """Give about how many tokens the resamples of some originals take."""
        paths = [np.exp(-np.array(nats)) for nats in originals["surprisal"].to_pylist()]
        return sum(quick_tokens(self.protocol, path) for path in paths)

    def _labels(
        self, originals: Sequence[dict[str, Any]], drawn: Sequence[Sequence[Generation]]
    ) -> list[Labelled]:
        """Label the resamples of each original, all of them together."""
        by_id = {problem.problem_id: problem for problem in self.drawing.problems}
        batches = [
            (own, by_id[original["problem_id"]])
            for original, own in zip(originals, drawn, strict=True)
        ]
        return label_samples(self.drawing.feature, batches, self.sampler)

    def _count_flips(self, originals: pa.Table, resamples: pa.Table) -> dict[str, int]:
        """Draw some resamples again in one mixed batch and count those that come out differently.

        The seeds are the same, so a difference is float rounding alone.
        """
        by_id = {row["original_id"]: row for row in originals.to_pylist()}
        resamples = resamples.filter(pc.not_equal(resamples["kind"], "direct"))
        every = max(1, resamples.num_rows // REDRAWN)
        spaced = pa.array(range(0, resamples.num_rows, every), pa.int64())[:REDRAWN]
        chosen = resamples.take(spaced).to_pylist()
        samples = [generation(by_id[row["original_id"]]) for row in chosen]
        again = self._again(samples, chosen)
        differ = sum(
            x.text[: row["text_start"]] + row["text"] != draw.text
            for x, row, draw in zip(samples, chosen, again, strict=True)
        )
        counted = {"redrawn": len(chosen), "redrawn_differently": differ}
        return counted | self._count_reply_flips(originals)

    def _count_reply_flips(self, originals: pa.Table) -> dict[str, int]:
        """Ask some originals again, in a batch of another composition, where they were asked."""
        by_id = {problem.problem_id: problem for problem in self.drawing.problems}
        asked = []
        for row in originals.slice(0, REDRAWN).to_pylist():
            question = self.drawing.feature.follow_up(by_id[row["problem_id"]])
            if question is not None:
                x = generation(row)
                asked.append((truncate(x, len(x.token_ids)), question, row["reply"]))
        if not asked:
            return {}
        again = ask(self.sampler, [y for y, *_ in asked], [said for _, said, _ in asked])
        differ = sum(reply.text != row[2] for reply, row in zip(again, asked, strict=True))
        return {"asked_again": len(asked), "replied_differently": differ}


@dataclass
class Remaining:
    """How long blocks of work will still take, by their expected tokens.

    Attributes:
        expected: Expected tokens of each block.
    """

    expected: Sequence[float]
    _seconds: dict[int, float] = field(default_factory=dict)

    def done(self, block: int, seconds: float) -> None:
        """Count a block as done; what it took replaces what was thought."""
        self._seconds[block] = seconds

    def seconds(self) -> float | None:
        """Give the seconds left; None before a block is done, whose speed tells of the others."""
        left = sum(tokens for i, tokens in enumerate(self.expected) if i not in self._seconds)
        known = sum(self.expected[i] for i in self._seconds)
        return left / known * sum(self._seconds.values()) if known > 0 else None

    def tell(self, progress: Progress) -> None:
        """Show them where they are known."""
        seconds = self.seconds()
        if seconds is not None:
            progress.remaining(seconds)


@dataclass
class _Telling:
    """Keeps count over the parts of a run and tells tracker and progress."""

    rule: WindowRule | None
    tracker: Tracker
    progress: Progress
    originals: int = 0
    trials: Counter[str] = field(default_factory=Counter)
    with_window: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    seconds: float = 0.0
    half_widths: list[float] = field(default_factory=list)

    def count(
        self,
        originals: pa.Table,
        curves: Sequence[MeasuredCurve],
        tables: Mapping[str, pd.DataFrame],
        seconds: float,
    ) -> None:
        """Count a part and the seconds that it took."""
        self.originals += originals.num_rows
        problem = dict(zip(*(originals[key].to_pylist() for key in OWNERS), strict=True))
        self.trials.update(problem.values())
        scored = [curve for curve in curves if curve.label != UNSCORED]
        found = [curve for curve in scored if self.rule is not None and self.rule.find(curve)]
        self.with_window.update(problem[curve.original_id] for curve in found)
        self.tokens += int(tables["resamples"]["tokens_generated"].sum())
        self.seconds += seconds
        if "plans" in tables:
            self.half_widths += tables["plans"]["half_width"].tolist()

    def tell(self, fresh: int) -> None:
        """Tell what was counted; `fresh` originals are new since the last time."""
        told = {
            "originals_done": self.originals,
            "tokens_per_second": self.tokens / self.seconds,
        }
        hits = [self.with_window[problem] for problem in self.trials]
        share = clustered_share(hits, list(self.trials.values()))
        if self.rule is not None and share is not None:
            told["share_with_window"] = share.estimate
            told["share_with_window_lower"] = share.lower  # 95 %, over problems
            told["share_with_window_upper"] = share.upper
        if self.half_widths:
            told["half_width"] = sum(self.half_widths) / len(self.half_widths)
        self.tracker.log(told)
        self.progress.advance(fresh, **{"tokens/s": self.tokens / self.seconds})
