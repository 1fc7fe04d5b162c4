"""Distances between labels from measured agreement alone: for language models, per prompt.

TV(p_t^A, p_t^B) = 1/2 E_{y ~ p_t} |P(A|y)/P(A) - P(B|y)/P(B)|, one prompt at a time: pooled prompts
tell labels apart by the prompt. With few resamples per observation the plug-in is biased up, and
the sign from one half of the resamples times the value from the other is biased down, so both are
given: a bracket. There is no unbiased estimator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from critwin.errors import RecordsError

Floats = npt.NDArray[np.float64]

DEGENERATE = 0.01
"""TV(A, everything) is at most 1 - P(A): from P(A) >= 1 - this it says nothing."""


@dataclass(frozen=True)
class Bracket:
    """What a distance lies between, in expectation.

    Attributes:
        lower: Sign from one half, value from the other, both ways averaged: biased down.
        upper: Plug-in of all resamples: biased up, in [0, 1].
        lower_error: Standard error of `lower` over observations.
        upper_error: The same of `upper`.
        observations: Observations y, each with its resamples.
        degenerate: Whether the distance is small because one label is nearly everything.
    """

    lower: float
    upper: float
    lower_error: float
    upper_error: float
    observations: int
    degenerate: bool


def tv_bracket(
    first: npt.ArrayLike, second: npt.ArrayLike, *, label: int, other: int | None
) -> Bracket:
    """Bracket TV(p_t^label, p_t^other) for one prompt at one level.

    Args:
        first: Counts of each label among the first half of the resamples of each observation,
            shape (N, A), at least one resample each; observations are drawn from p_t.
        second: The same for the other half.
        label: Number of a label that occurs.
        other: Number of another one; None for everything, TV(p_t^label, p_t).

    Raises:
        ValueError: A half is empty, or a label does not occur.
    """
    halves = [np.asarray(half, np.float64) for half in (first, second)]
    if any((half.sum(axis=1) == 0).any() for half in halves) or not len(halves[0]):
        raise ValueError("an observation has no resample in one half; allowed: 1 or more in each")
    shares = [half / half.sum(axis=1, keepdims=True) for half in halves]
    both = halves[0] + halves[1]
    every = both / both.sum(axis=1, keepdims=True)
    prior = every.mean(axis=0)
    if prior[label] == 0 or (other is not None and prior[other] == 0):
        raise ValueError("a label does not occur among the resamples; allowed: labels that do")

    def gap(share: Floats) -> Floats:
        against = 1.0 if other is None else share[:, other] / prior[other]
        difference: Floats = share[:, label] / prior[label] - against
        return difference

    plug_in = 0.5 * np.abs(gap(every))
    one, two = gap(shares[0]), gap(shares[1])
    crossed = 0.25 * (np.sign(one) * two + np.sign(two) * one)
    n = len(every)
    return Bracket(
        lower=float(crossed.mean()),
        upper=float(min(plug_in.mean(), 1.0)),
        lower_error=_error(crossed),
        upper_error=_error(plug_in),
        observations=n,
        degenerate=other is None and bool(prior[label] >= 1 - DEGENERATE),
    )


def chi_squared_certificate(agreement: float, probability: float) -> tuple[float, float]:
    """Bound TV(p_t^A, p_t) from both sides by the agreement of A's originals alone.

    Args:
        agreement: E_{x ~ p^A} P(A | Y_t), in [P(A), 1].
        probability: P(A), in (0, 1].

    Source:
        chi^2(A, everything) = agreement / P(A) - 1, and chi^2 / (2 max(1, 1/P(A) - 1)) <= TV <=
        sqrt(chi^2) / 2; derived for critwin.
    """
    square = max(agreement / probability - 1, 0.0)
    return square / (2 * max(1.0, 1 / probability - 1)), min(0.5 * square**0.5, 1.0)


def label_brackets(originals: pd.DataFrame, resamples: pd.DataFrame) -> pd.DataFrame:
    """Bracket, per prompt, position and label, its TV from the rest and from everything.

    Args:
        originals: Columns original_id, problem_id of the originals table. Originals of a problem
            are the observations, so several per problem are needed.
        resamples: Columns original_id, position, replicate, kind, label; those of the grid are
            used, at positions that do not look ahead; even and odd replicates are the halves.

    Returns:
        Columns problem_id, position, label, against (rest, all), lower, upper, lower_error,
        upper_error, observations, probability, agreement, leak, chi2_lower, chi2_upper,
        degenerate. `leak` is 1 - agreement, null where no original of that prompt has the label.

    Raises:
        RecordsError: No resample of the grid is there.
    """
    grid = resamples[resamples["kind"] == "grid"].merge(
        originals[["original_id", "problem_id", "label"]], on="original_id", suffixes=("", "_own")
    )
    if grid.empty:
        raise RecordsError("the run has no resamples of the grid; allowed: a run by truncation")
    rows = [
        row
        for (problem, position), draws in grid.groupby(["problem_id", "position"], sort=True)
        for row in _of_prompt(str(problem), int(str(position)), draws)
    ]
    return pd.DataFrame(rows)


def _of_prompt(problem: str, position: int, draws: pd.DataFrame) -> list[dict[str, object]]:
    names = sorted(draws["label"].unique())
    even = draws["replicate"] % 2 == 0
    halves = [
        pd.crosstab(d["original_id"], d["label"]).reindex(columns=names, fill_value=0)
        for d in (draws[even], draws[~even])
    ]
    shared = halves[0].index.intersection(halves[1].index)
    if len(shared) == 0:
        return []
    counts = [half.loc[shared].to_numpy(np.float64) for half in halves]
    own = draws.drop_duplicates("original_id").set_index("original_id")["label_own"]
    every = counts[0] + counts[1]
    share = every / every.sum(axis=1, keepdims=True)
    found: list[dict[str, object]] = []
    for number, name in enumerate(names):
        mine = (own.loc[shared] == name).to_numpy()
        agreement = float(share[mine, number].mean()) if mine.any() else None
        probability = float(share[:, number].mean())
        chi = (None, None) if agreement is None else chi_squared_certificate(agreement, probability)
        facts = {
            "problem_id": problem,
            "position": position,
            "label": name,
            "observations": len(shared),
            "probability": probability,
            "agreement": agreement,
            "leak": None if agreement is None else 1 - agreement,
            "chi2_lower": chi[0],
            "chi2_upper": chi[1],
        }
        for against, table in _against(counts, number):
            other = None if against == "all" else 1
            bracket = tv_bracket(*table, label=0, other=other)
            found.append(
                facts
                | {
                    "against": against,
                    "lower": bracket.lower,
                    "upper": bracket.upper,
                    "lower_error": bracket.lower_error,
                    "upper_error": bracket.upper_error,
                    "degenerate": bracket.degenerate,
                }
            )
    return found


def _against(counts: Sequence[Floats], number: int) -> list[tuple[str, list[Floats]]]:
    """Give the two columns label and rest of both halves, for what can be compared."""
    two = [np.stack([c[:, number], c.sum(1) - c[:, number]], axis=1) for c in counts]
    rest = sum(table[:, 1].sum() for table in two) > 0
    return [("rest", two), ("all", two)] if rest else [("all", two)]


def _error(values: Floats) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("inf")
