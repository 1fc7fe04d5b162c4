"""Does it help a model to be shown where it decided its answer?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pyarrow as pa

from critwin.asking import label_samples
from critwin.branching import assigned
from critwin.changes import Sought
from critwin.claimed_parts import undone_parts
from critwin.drawing import save
from critwin.errors import ParameterError
from critwin.feature import UNSCORED
from critwin.fork_tables import read_forks
from critwin.forks import fork_curve
from critwin.planning import Total
from critwin.protocol import ForkProtocol
from critwin.records import RunDirectory
from critwin.retrying import (
    ARMS,
    RETRIES,
    RetryPrompts,
    random_stretch,
    retries_figure,
    shown_window,
    summarise_retries,
)
from critwin.seeds import fold_in
from critwin.window import WindowRule
from experiments.estimates import Cost
from experiments.experiment import Accounts
from experiments.planning import estimate
from experiments.text_experiment import TextExperiment
from experiments.tracker import Progress, Tracker

PER_PART = 32
"""Originals whose retries are drawn and written together; fixed, for restarts."""

Stretch = tuple[int, int] | None


@dataclass(frozen=True, kw_only=True)
class SelfCorrection(TextExperiment):
    """Find windows by forks, show them to the model, and count right second tries.

    Beside it a random stretch of as many tokens is shown, or nothing; each arm may generate as many
    tokens. Answers without a certified window, and problems without a reference answer, are left
    out and counted.

    Attributes:
        window: What counts as a window.
        retry: How second tries are asked for.
        retries: Tokens of an arm, in lengths of its original, >= 1.
    """

    sampler: ForkProtocol
    window: WindowRule
    originals_per_problem: int = 1
    retry: RetryPrompts
    retries: int = 8

    name: ClassVar[str] = "self_correction"

    def check(self) -> None:
        """Refuse components that do not fit together, and problems that cannot be judged."""
        if type(self.retries) is not int or self.retries < 1:
            raise ParameterError("retries", self.retries, "a whole number >= 1")
        self.window.check(self.sampler)
        super().check()
        if all(self.feature.truth(problem) is None for problem in self.problems):
            raise ParameterError(
                "feature",
                type(self.feature).__name__,
                "one that knows the right label of some problem, as second tries are judged by it",
            )

    def cost(self, *, progress: Progress) -> Cost:
        """Tell what a run would cost at the most, as if each answer had a window to be shown."""
        found = estimate(
            self._drawing(), self.sampler, self.window, originals=24, forks=16, progress=progress
        )
        more = len(ARMS) * self.retries
        tries = Total.of([more * plan.tokens for plan in found.plans], found.originals)
        seconds = tries.over(found.tokens_per_second)
        return found.cost.joined(Cost(tries, seconds, found.device))

    @property
    def _sought(self) -> Sought | None:
        return self.window.sought

    @property
    def _drawn(self) -> tuple[str, ...]:
        return (*super()._drawn, "retries")

    def _draw(self, directory: RunDirectory, tracker: Tracker, progress: Progress) -> Accounts:
        accounts = self._resampling().carry_out(
            directory, rule=self.window, tracker=tracker, progress=progress
        )
        judged = self._judged(directory)
        blocks = [judged[i : i + PER_PART] for i in range(0, len(judged), PER_PART)]
        done = sum(len(b) for i, b in enumerate(blocks) if directory.has_part("retries", i))
        progress.begin("second tries", len(judged), unit="originals", done=done)
        for i in undone_parts(directory, ["retries"], len(blocks)):
            began = time.perf_counter()
            rows = self._tries(blocks[i])
            notes = {"seconds": time.perf_counter() - began}
            directory.write_part("retries", i, rows, notes=notes)
            progress.advance(len(blocks[i]))
        progress.end()
        if blocks:
            order = ("original_id", "arm", "replicate")
            retries = directory.assemble("retries", len(blocks), sort_by=order)
        else:
            retries = RETRIES.empty_table()
            directory.write("retries", retries)
        accounts.tokens_generated += sum(retries["tokens_generated"].to_pylist())
        accounts.seconds["second tries"] = sum(
            directory.notes("retries", i)["seconds"] for i in range(len(blocks))
        )
        return accounts

    def _judged(self, directory: RunDirectory) -> list[tuple[dict[str, Any], dict[str, Stretch]]]:
        """Give the originals whose windows are shown, with the stretch of each arm."""
        originals = directory.read("originals")
        counted = read_forks(
            originals.to_pandas(),
            directory.read("resamples").to_pandas(),
            directory.read("plans").to_pandas(),
        )
        found = []
        for row, forks in zip(originals.to_pylist(), counted, strict=True):
            if forks.own == UNSCORED or row["truth"] is None:
                continue
            window = shown_window(self.window.find(fork_curve(forks, forks.own)))
            if window is None:
                continue
            shown = len(row["tokens"]) - (row["finish_reason"] == "end")
            other = random_stretch(shown, window, seed=row["seed"])
            if other is not None:
                found.append((row, {"window": window, "random": other, "plain": None}))
        return found

    def _tries(self, block: Sequence[tuple[dict[str, Any], dict[str, Stretch]]]) -> pa.Table:
        sampler = self.model.with_sampling(self.sampler)
        by_id = {problem.problem_id: problem for problem in self.problems}
        prompts, seeds, told = [], [], []
        for row, stretches in block:
            problem = by_id[row["problem_id"]]
            tokens = [sampler.text([i]) for i in row["token_ids"]]
            for arm in ARMS:
                stretch = stretches[arm]
                prompts.append(self.retry.render(self.prompt.render(problem), tokens, stretch))
                begun = stretch[1] if stretch and self.retry.in_place else 0
                length = len(row["token_ids"])
                count = assigned(self.retries * length, length=length, positions=[begun])
                seeds.append([fold_in(row["seed"], "retry", arm, r) for r in range(count)])
                told.append(
                    (row, problem, arm, stretch, "".join(tokens[slice(*(stretch or (0, 0)))]))
                )
        rows: list[dict[str, Any]] = []
        drawn = sampler.resample(sampler.start(prompts), seeds=seeds)
        # what was put into the model's mouth counts as said
        said = [
            ([replace(x, text=prompt.prefix + x.text) for x in own], problem)
            for (_, problem, *_), prompt, own in zip(told, prompts, drawn, strict=True)
        ]
        labelled = label_samples(self.feature, said, sampler)
        for (row, _, arm, stretch, shown), prompt, own, own_seeds, found in zip(
            told, prompts, drawn, seeds, labelled, strict=True
        ):
            for r, (x, label, seed) in enumerate(zip(own, found.labels, own_seeds, strict=True)):
                rows.append(
                    {
                        "original_id": row["original_id"],
                        "problem_id": row["problem_id"],
                        "arm": arm,
                        "replicate": r,
                        "position_start": stretch and stretch[0],
                        "position_end": stretch and stretch[1],
                        "stretch": shown,
                        "prompt": prompt.user,
                        "prefix": prompt.prefix,
                        "prompt_ids": x.prompt_ids,
                        "text": x.text,
                        "token_ids": x.token_ids,
                        "label": label,
                        "right": label == row["truth"],
                        "was_right": row["label"] == row["truth"],
                        "unscored": label == UNSCORED,
                        "tokens_generated": len(x.token_ids),
                        "seed": seed,
                    }
                )
        return pa.Table.from_pylist(rows, schema=RETRIES)

    def _analyse(self, directory: RunDirectory, progress: Progress) -> None:
        retries = directory.read("retries").to_pandas()
        summary = summarise_retries(retries, directory.read("originals").num_rows)
        directory.write_json("summary", summary)
        folder = directory.path / "figures"
        folder.mkdir(exist_ok=True)
        save(retries_figure(summary), folder / self.name)
