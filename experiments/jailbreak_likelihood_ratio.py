"""Can attacks be told by their likelihoods under an aligned and an unaligned model?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa

from critwin.attack_detection import (
    FOLDS,
    PARTS,
    Recall,
    Score,
    classifier_score,
    likelihood_scores,
    mean_likelihood,
    recalls,
    roc_figure,
)
from critwin.claimed_parts import undone_parts
from critwin.drawing import save
from critwin.errors import ParameterError, ProblemError
from critwin.generations import BENIGN, Attempt, AttemptSet
from critwin.records import RunDirectory
from critwin.samplers.language import LanguageSampler
from critwin.samplers.likelihood import text_likelihoods
from experiments.estimates import Cost
from experiments.experiment import Accounts, Experiment
from experiments.pilots import measured_cost
from experiments.planning import spread
from experiments.tracker import Progress, Tracker

PER_PART = 256
"""Attempts read and written together; fixed, so that a restart meets the same parts."""

ATTEMPTS_LOOKED_AT = 48
"""Attempts that a pilot reads under each model."""

_LOGS = [(name, pa.list_(pa.float64())) for name in PARTS]
ATTEMPTS = pa.schema(
    [
        ("attempt_id", pa.string()),
        ("attack", pa.string()),  # empty: harmless
        ("prompt", pa.string()),
        ("system", pa.string()),
        ("prefix", pa.string()),
        ("text", pa.string()),
        *_LOGS,  # log-likelihood of each token, nats
    ]
)


@dataclass(frozen=True, kw_only=True)
class JailbreakLikelihoodRatio(Experiment):
    """Read attempts under two models and score them.

    Attributes:
        aligned: The model that attacks are made on.
        unaligned: One without its refusals.
        dataset: Attempts that worked, and harmless use.
        seed: Decides the classifier's folds and weights.

    Source:
        Li, Karan, Chen (2025), arXiv:2502.00921, Section 6.3 and Table 2. The authors' code flags
        low values of every score; for the ratio the theory says high, so both are given.
    """

    aligned: LanguageSampler
    unaligned: LanguageSampler
    dataset: AttemptSet
    seed: int = 0

    name: ClassVar[str] = "jailbreak_likelihood_ratio"
    axis: ClassVar[str] = "attempts_done"

    @property
    def products(self) -> tuple[str, ...]:
        """Tables, summary and figure."""
        return ("attempts.parquet", "scores.parquet", "recall.parquet", "summary.json", "figures")

    @cached_property
    def attempts(self) -> list[Attempt]:
        """The attempts, read once."""
        return self.dataset.load()

    def check(self) -> None:
        """Refuse attempts of which there are too few to compare."""
        if type(self.seed) is not int:
            raise ParameterError("seed", self.seed, "a whole number")
        counts = pd.Series([attempt.attack for attempt in self.attempts]).value_counts()
        if counts.get(BENIGN, 0) < FOLDS or len(counts) < 2 or counts.min() < FOLDS:
            told = ", ".join(f"{kind or 'harmless'}: {n}" for kind, n in counts.items())
            raise ProblemError(
                f"the attempts are {told}; allowed: at least {FOLDS} harmless ones and at least "
                f"{FOLDS} of each of one or more kinds of attack"
            )

    def cost(self, *, progress: Progress) -> Cost:
        """Tell, from a few attempts, what reading all of them under both models takes."""
        few = spread(self.attempts, ATTEMPTS_LOOKED_AT)
        costs = [
            measured_cost(
                [partial(_tokens_read, model, few)],
                warm_up=partial(_tokens_read, model, few[:1]),
                times=len(self.attempts),
                device=model.device_used,
                progress=progress,
            )
            for model in (self.aligned, self.unaligned)
        ]
        return costs[0].joined(costs[1])

    def run(
        self, directory: RunDirectory, *, tracker: Tracker, progress: Progress
    ) -> Accounts | None:
        """Read what is not read yet under both models, then score."""
        if directory.has("attempts"):
            self._score(directory)
            return None
        blocks = [self.attempts[i : i + PER_PART] for i in range(0, len(self.attempts), PER_PART)]
        # one model after the other, so that only one has to be in memory
        for side in ("aligned", "unaligned"):
            self._read(directory, side, blocks, tracker=tracker, progress=progress)
        directory.write("attempts", self._joined(directory, len(blocks)))
        began = time.perf_counter()
        self._score(directory)
        seconds = {
            side: sum(directory.notes(side, i)["seconds"] for i in range(len(blocks)))
            for side in ("aligned", "unaligned")
        }
        return Accounts(seconds=seconds | {"analysis": time.perf_counter() - began})

    def _read(
        self,
        directory: RunDirectory,
        side: str,
        blocks: Sequence[Sequence[Attempt]],
        *,
        tracker: Tracker,
        progress: Progress,
    ) -> None:
        sampler: LanguageSampler = getattr(self, side)
        done = sum(len(b) for i, b in enumerate(blocks) if directory.has_part(side, i))
        progress.begin(f"{side} model", len(self.attempts), unit="attempts", done=done)
        for i in undone_parts(directory, [side], len(blocks)):
            began = time.perf_counter()
            found = text_likelihoods(
                sampler, [a.prompt for a in blocks[i]], [a.text for a in blocks[i]]
            )
            columns = {
                f"{side}_prompt": [own.prompt.tolist() for own in found],
                f"{side}_text": [own.text.tolist() for own in found],
            }
            schema = pa.schema([field for field in _LOGS if field[0] in columns])
            notes = {"seconds": time.perf_counter() - began}
            directory.write_part(side, i, pa.table(columns, schema=schema), notes=notes)
            done += len(blocks[i])
            tracker.log({self.axis: float(done)})
            progress.advance(len(blocks[i]))
        progress.end()

    def _joined(self, directory: RunDirectory, parts: int) -> pa.Table:
        told = {
            "attempt_id": [a.attempt_id for a in self.attempts],
            "attack": [a.attack for a in self.attempts],
            "prompt": [a.prompt.user for a in self.attempts],
            "system": [a.prompt.system for a in self.attempts],
            "prefix": [a.prompt.prefix for a in self.attempts],
            "text": [a.text for a in self.attempts],
        }
        for side in ("aligned", "unaligned"):
            rows = pa.concat_tables([directory.read_part(side, i) for i in range(parts)])
            told |= {name: rows[name] for name in rows.column_names}
        return pa.table(told, schema=ATTEMPTS)

    def _score(self, directory: RunDirectory) -> None:
        attempts = directory.read("attempts").to_pandas()
        kinds = attempts["attack"].tolist()
        parts = {name: np.array([mean_likelihood(own) for own in attempts[name]]) for name in PARTS}
        scores = [*likelihood_scores(parts), classifier_score(parts, kinds, seed=self.seed)]
        found = [recall for score in scores for recall in recalls(score, kinds)]
        values = pd.DataFrame({score.name: score.values for score in scores})
        head = attempts[["attempt_id", "attack"]]
        table = pa.Table.from_pandas(pd.concat([head, values], axis=1), preserve_index=False)
        directory.write("scores", table.replace_schema_metadata(None))
        directory.write("recall", pa.Table.from_pylist([asdict(recall) for recall in found]))
        directory.write_json("summary", _summary(found, scores, kinds))
        folder = directory.path / "figures"
        folder.mkdir(exist_ok=True)
        save(roc_figure(scores, kinds), folder / "roc")


def _tokens_read(model: LanguageSampler, attempts: Sequence[Attempt]) -> list[int]:
    """Read attempts under a model; give the tokens of each."""
    found = text_likelihoods(model, [a.prompt for a in attempts], [a.text for a in attempts])
    return [1 + len(own.prompt) + len(own.text) for own in found]


def _summary(
    found: Sequence[Recall], scores: Sequence[Score], kinds: Sequence[str]
) -> dict[str, Any]:
    benign = sum(kind == BENIGN for kind in kinds)
    headline = [
        {
            "name": f"{own.attack.replace('_', ' ')}: {own.score}",
            "estimate": own.recall,
            "lower": own.lower,
            "upper": own.upper,
            "n": own.n,
            "problems": own.n,
            "note": f"{'high' if own.sign > 0 else 'low'} values are flagged; "
            f"{own.false_alarms} of {own.benign} harmless ones are",
        }
        for own in found
        if own.theory
    ]
    tables = [
        _table(
            [own for own in found if own.theory],
            [score.name for score in scores],
            "Attacks found at 1 % false alarms, signs of the theory",
            f"{benign} harmless attempts; 95 % intervals in the headline and in recall.parquet",
        ),
        _table(
            [own for own in found if not own.theory],
            [score.name for score in scores],
            "The same with the other sign",
            "the authors' code flags low values of every score",
        ),
    ]
    counts = {kind or "harmless": kinds.count(kind) for kind in sorted(set(kinds))}
    return {
        "recall": [asdict(own) for own in found],
        "as_published": _as_published(found),
        "counts": counts,
        "headline": headline,
        "tables": tables,
    }


def _as_published(found: Sequence[Recall]) -> dict[str, dict[str, Any]]:
    """Give the recall by attack and score with the signs of the authors' code: low values flagged.

    Published numbers are held against these (critwin/assets/published).
    """
    told: dict[str, dict[str, Any]] = {}
    for own in found:
        if own.sign == (1 if own.score == "classifier" else -1):
            ends = {"estimate": own.recall, "lower": own.lower, "upper": own.upper, "n": own.n}
            told.setdefault(own.attack, {})[own.score.replace(",", "")] = ends
    return told


def _table(found: Sequence[Recall], scores: Sequence[str], title: str, note: str) -> dict[str, Any]:
    by = {(own.attack, own.score): own.recall for own in found}
    attacks = sorted({own.attack for own in found})
    return {
        "title": title,
        "columns": ["attack", *scores],
        "rows": [[attack, *(by[attack, score] for score in scores)] for attack in attacks],
        "note": note,
    }
