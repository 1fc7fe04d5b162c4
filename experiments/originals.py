"""Originals of a text sampler, drawn in parts: a kill loses one part at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from critwin.asking import label_samples
from critwin.claimed_parts import undone_parts
from critwin.feature import UNSCORED, Feature
from critwin.generation import Generation, TextSampler
from critwin.problem import Problem
from critwin.prompt import PromptTemplate
from critwin.records import ORIGINALS, RunDirectory
from critwin.seeds import fold_in
from experiments.tracker import Progress

ORIGINALS_PER_PART = 128
"""Originals drawn and written together; fixed, so that a restart meets the same parts."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Draws and labels originals.

    Attributes:
        sampler: The sampler, sampling parameters set.
        problems: The problems.
        prompt: How a problem is put to the model.
        feature: Gives the labels.
        per_problem: Originals drawn per problem.
        seed: Folded over identities before it reaches the sampler.
        prefixed: Whether labels are read off the prompt's prefix and the text together: what was
            put into the model's mouth counts as said.
    """

    sampler: TextSampler
    problems: Sequence[Problem]
    prompt: PromptTemplate
    feature: Feature
    per_problem: int
    seed: int
    prefixed: bool = False

    def carry_out(
        self,
        directory: RunDirectory,
        progress: Progress,
        *,
        wanted: Callable[[], bool] = lambda: True,
    ) -> int:
        """Write the parts of the originals table that are not there yet, and give their number.

        Args:
            directory: The run directory.
            progress: Shows it.
            wanted: Asked before each part; it ends when they are wanted no more.
        """
        blocks = problem_blocks(len(self.problems), self.per_problem, ORIGINALS_PER_PART)
        done = self._drawn(directory, blocks)
        total = len(self.problems) * self.per_problem
        progress.begin("originals", total, unit="originals", done=done)
        for i in undone_parts(directory, ["originals"], len(blocks), wanted=wanted):
            began, halvings = time.perf_counter(), self.sampler.halvings
            self.sampler.start([])  # loads the model: no speed is told by that
            loading = time.perf_counter() - began
            rows = self.draw([self.problems[k] for k in blocks[i]])
            notes = {
                "seconds": time.perf_counter() - began,
                "loading": loading,
                "halvings": self.sampler.halvings - halvings,
            }
            directory.write_part("originals", i, rows, notes=notes)
            before, done = done, self._drawn(directory, blocks)  # other processes may draw, too
            progress.advance(done - before)
        progress.end()
        return len(blocks)

    def _drawn(self, directory: RunDirectory, blocks: Sequence[range]) -> int:
        there = [len(b) for i, b in enumerate(blocks) if directory.has_part("originals", i)]
        return sum(there) * self.per_problem

    def draw(self, block: Sequence[Problem]) -> pa.Table:
        """Draw and label the originals of some problems; give their rows of the originals table."""
        prompts = [self.prompt.render(problem) for problem in block]
        starts = self.sampler.start(prompts)
        replicates = range(self.per_problem)
        seeds = [
            [fold_in(self.seed, problem.problem_id, "original", r) for r in replicates]
            for problem in block
        ]
        drawn = self.sampler.resample(starts, seeds=seeds)
        rows = []
        said = [
            [replace(x, text=prompt.prefix + x.text) for x in own] if self.prefixed else own
            for prompt, own in zip(prompts, drawn, strict=True)
        ]
        labelled = label_samples(self.feature, [*zip(said, block, strict=True)], self.sampler)
        for problem, own, own_seeds, found in zip(block, drawn, seeds, labelled, strict=True):
            truth = self.feature.truth(problem)
            triples = zip(own, found.labels, found.replies, strict=True)
            for r, (x, label, reply) in enumerate(triples):
                rows.append(
                    {
                        "original_id": f"{problem.problem_id}/{r}",
                        "problem_id": problem.problem_id,
                        "replicate": r,
                        "prompt": self.sampler.prompt_text(x.prompt_ids),
                        "prompt_ids": x.prompt_ids,
                        "text": x.text,
                        "token_ids": x.token_ids,
                        "tokens": self.sampler.tokens(x.token_ids),
                        "surprisal": x.surprisal,
                        "label": label,
                        "truth": truth,
                        "correct": None if label == UNSCORED or truth is None else label == truth,
                        "unscored": label == UNSCORED,
                        "finish_reason": x.finish_reason,
                        "seed": own_seeds[r],
                        "reply": None if reply is None else reply.text,
                        "reply_tokens": None if reply is None else reply.tokens,
                    }
                )
        return pa.Table.from_pylist(rows, schema=ORIGINALS)


def problem_blocks(problems: int, per_problem: int, originals: int) -> list[range]:
    """Split the numbers of problems into blocks of about so many originals, whole problems each."""
    size = max(1, originals // per_problem)
    return [range(i, min(i + size, problems)) for i in range(0, problems, size)]


def generation(row: dict[str, Any]) -> Generation:
    """Give the sample that a row of the originals table holds."""
    return Generation(
        prompt_ids=tuple(row["prompt_ids"]),
        token_ids=tuple(row["token_ids"]),
        surprisal=tuple(row["surprisal"]),
        text=row["text"],
        finish_reason=row["finish_reason"],
    )
