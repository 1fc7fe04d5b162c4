"""Forks: how many stand where is planned for each original, and all of them are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
import pyarrow as pa

from critwin.aimed_measuring import measure_windows
from critwin.asking import Reply
from critwin.changes import Sought
from critwin.curve import MeasuredCurve
from critwin.errors import ParameterError
from critwin.fork_measuring import Original, measure_forks
from critwin.fork_tables import plans_table, read_forks
from critwin.forks import fork_curve
from critwin.generation import Generation, Prefix, TextSampler
from critwin.protocol import ForkProtocol
from critwin.sampler import ForkingSampler
from experiments.originals import generation
from experiments.resample_rows import ResampleRows
from experiments.resampling import Resampling


@dataclass(frozen=True, kw_only=True)
class ForkResampling(Resampling):
    """Measures originals by forks.

    Attributes:
        protocol: Precision, budgets and pilot.
        sought: What the forks are aimed at, where the protocol's aim is windows.
    """

    protocol: ForkProtocol
    sought: Sought | None = None

    tables: ClassVar[tuple[str, ...]] = ("plans", "resamples")

    def _ready(self) -> None:
        forking(self.sampler).paths([])  # what a server gives is known when it is first asked

    def _tables_of(self, originals: list[dict[str, Any]]) -> dict[str, pa.Table]:
        studied = [
            Original(row["original_id"], generation(row), row["label"], row["seed"])
            for row in originals
        ]

        replies: dict[Generation, Reply | None] = {}

        def label(i: int, samples: Sequence[Generation]) -> list[str]:
            (found,) = self._labels([originals[i]], [samples])
            replies.update(zip(samples, found.replies, strict=True))
            return found.labels

        sampler = forking(self.sampler)
        sought = sought_by(self.protocol, self.sought)
        if sought is None:
            measured = measure_forks(sampler, studied, protocol=self.protocol, label=label)
        else:
            measured = measure_windows(
                sampler, studied, protocol=self.protocol, sought=sought, label=label
            )
        rows = ResampleRows(self.sampler)
        for original, found in zip(originals, measured, strict=True):
            for kind, forks in (("fork", found.drawn), ("pilot", found.pilot)):
                for fork in forks:
                    rows.add(
                        original,
                        fork.sample,
                        kind=kind,
                        position=fork.token - 1,
                        replicate=fork.replicate,
                        label=fork.label,
                        reply=replies[fork.sample],
                        seed=fork.seed,
                    )
        return {"plans": plans_table(measured, self.protocol), "resamples": rows.table()}

    def _own_curves(
        self, originals: pd.DataFrame, tables: Mapping[str, pd.DataFrame]
    ) -> list[MeasuredCurve]:
        counted = read_forks(originals, tables["resamples"], tables["plans"])
        return [fork_curve(forks, forks.own) for forks in counted]

    def _again(
        self, samples: Sequence[Generation], rows: Sequence[dict[str, Any]]
    ) -> list[Generation]:
        tokens = [row["position"] + 1 for row in rows]
        return forking(self.sampler).fork(samples, tokens, seeds=[row["seed"] for row in rows])


def sought_by(protocol: ForkProtocol, sought: Sought | None) -> Sought | None:
    """Give what forks are to be aimed at; None where they are to make curves precise.

    Args:
        protocol: Says what their aim is.
        sought: What the window rule asks for; None where there is no rule, or one that certifies
            no windows.

    Raises:
        ParameterError: Windows are the aim, and nobody says what one is.
    """
    if protocol.aim == "curve":
        return None
    if sought is None:
        allowed = "curve; windows where window is confident_jump or hierarchy, which certify them"
        raise ParameterError("sampler.aim", protocol.aim, allowed)
    return sought


def forking(sampler: TextSampler) -> ForkingSampler[Generation, Prefix]:
    """Give the sampler, sampling parameters set, as one that can fork.

    Raises:
        ParameterError: It cannot.
    """
    refused: str | None = "does not know how probable the tokens of its samples are"
    if isinstance(sampler, ForkingSampler):
        refused = sampler.forks_refused()
        if refused is None:
            return sampler
    name = type(sampler).__name__
    allowed = f"fractions or every_token, because {name} {refused}"
    raise ParameterError("sampler", "forks", allowed)
