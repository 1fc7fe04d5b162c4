"""Do windows go with failures? The contrast of wrong and right answers, held against confounders.

An answer whose label is improbable has to rise: "windows coincide with failures" may say no more
than that wrong answers are less probable. So the contrast is also taken within questions, and
within questions among answers whose labels are about equally probable, and right and wrong are
permuted inside such cells alone. The probability of a label comes from the forks (or resamples with
nothing kept) of the *other* originals of the question: what found an original's window did not
choose its cell.

Source: DESIGN.md, section 8; Li, Karan, Chen (2025), arXiv:2502.00921, Table 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from critwin.curve import Curve
from critwin.statistics import Interval, clustered_share, mantel_haenszel_difference, plain

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MATCHED = 0.1
"""Greatest |P(c) - P(a)| between right and wrong labels that are compared."""

FEW = 10
"""Questions below which a contrast within questions says little: its note tells so."""


def label_probabilities(curves: Sequence[Curve]) -> dict[str, dict[str, float]]:
    """Give the probability of each label with nothing kept, as each original measured it.

    Args:
        curves: Curves of all labels; those that do not begin with nothing kept say nothing.

    Returns:
        By original, by label.
    """
    found: dict[str, dict[str, float]] = {}
    for curve in curves:
        if curve.position[0] == 0:
            found.setdefault(curve.original_id, {})[curve.label] = float(curve.agreement[0])
    return found


def matched(
    table: pd.DataFrame, start: Mapping[str, Mapping[str, float]], *, within: float = MATCHED
) -> pd.Series[bool]:
    """Find the originals that can be compared at matched label probability.

    A wrong original is in if its label and the right one differ by at most `within` in probability,
    a right one if that holds of some wrong label of the question; each as the other originals of
    the question measured it.

    Args:
        table: Columns original_id, problem_id, label, right, wrong; a row per original.
        start: What `label_probabilities` gives.
        within: Greatest difference, in [0, 1].
    """
    chosen: set[object] = set()
    for _, rows in table.groupby("problem_id", sort=False):
        measured = {str(n): start[n] for n in rows["original_id"] if n in start}
        if len(measured) < 2 or not (rows["right"].any() and rows["wrong"].any()):
            continue
        right = str(rows.loc[rows["right"], "label"].iloc[0])
        wrong = sorted({str(label) for label in rows.loc[rows["wrong"], "label"]})
        for row in rows[rows["right"] | rows["wrong"]].itertuples():
            others = [laws for name, laws in measured.items() if name != row.original_id]
            compared = [str(row.label)] if row.wrong else wrong
            centre = _mean_probability(others, right)
            gaps = [abs(centre - _mean_probability(others, label)) for label in compared]
            if min(gaps) <= within + 1e-12:
                chosen.add(row.Index)
    return pd.Series(table.index.isin(list(chosen)), index=table.index)


def _mean_probability(laws: Sequence[Mapping[str, float]], label: str) -> float:
    return sum(law.get(label, 0.0) for law in laws) / len(laws)


def stratified(table: pd.DataFrame, stratum: Sequence[str]) -> Interval | None:
    """Give P(window | wrong) - P(window | right) within strata, with its interval over problems.

    Args:
        table: Columns problem_id, window, right, wrong and those of `stratum`.
        stratum: Columns whose values make the strata, each inside one problem.
    """
    judged = table[table["right"] | table["wrong"]]
    judged = judged.assign(
        k1=judged["window"] & judged["wrong"], k2=judged["window"] & judged["right"]
    )
    groups = judged.groupby(list(stratum), sort=False)
    counts = groups[["k1", "wrong", "k2", "right"]].sum().astype(float)
    return mantel_haenszel_difference(
        counts["k1"],
        counts["wrong"],
        counts["k2"],
        counts["right"],
        clusters=counts.index.get_level_values("problem_id"),
    )


def permutation(table: pd.DataFrame) -> tuple[float, int] | None:
    """Test that windows and failures are independent inside questions, exactly.

    Which originals of a question are wrong is permuted, their number is kept. The statistic is the
    numerator of the Mantel-Haenszel difference, the number of wrong originals with a window less
    its expectation: a sum of independent hypergeometric numbers, whose law is their convolution.

    Args:
        table: Columns problem_id, window, right, wrong: the originals that are exchangeable.

    Returns:
        The two-sided p-value, and the questions that bear on it; None where no question has right
        and wrong, with and without a window.
    """
    judged = table[table["right"] | table["wrong"]]
    groups = judged.groupby("problem_id", sort=True)
    wrong, right = groups["wrong"].sum().to_numpy(int), groups["right"].sum().to_numpy(int)
    hits = groups["window"].sum().to_numpy(int)
    both = (judged["window"] & judged["wrong"]).groupby(judged["problem_id"], sort=True).sum()
    told = (wrong > 0) & (right > 0) & (hits > 0) & (hits < wrong + right)
    if not told.any():
        return None
    wrong, right, hits = wrong[told], right[told], hits[told]
    law = _sum_law(wrong, right, hits)
    support = np.arange(len(law)) + int(np.maximum(0, hits - right).sum())
    distance = np.abs(support - (wrong * hits / (wrong + right)).sum())
    observed = distance[int(both.to_numpy(int)[told].sum() - support[0])]
    return min(float(law[distance >= observed - 1e-9].sum()), 1.0), int(told.sum())


def contrasts(
    table: pd.DataFrame, curves: Sequence[Curve], *, raw: Mapping[str, Any], threshold: float | None
) -> dict[str, Any]:
    """Give every contrast of windows and failures, fit for JSON.

    Args:
        table: Columns original_id, problem_id, label, tokens, scored, right, wrong, window (whether
            the own label rises in one) and windows (how many); a row per original.
        curves: Curves of all labels.
        raw: window_difference and accuracy_difference, the paper's two columns.
        threshold: Rise above which the rule calls a jump a window; None where it has none.

    Returns:
        paper (dAcc: accuracy without less with a window; dCW: share with a window, wrong less
        right), within_questions, matched and longer (differences as dCW), each with p_value
        where right and wrong can be permuted; budget (windows: windows per original; bound: at most
        so many jumps above the threshold are possible on average); note, where cells are few.

    Source:
        Mantel, Haenszel (1959), JNCI 22, 719-748; DESIGN.md, section 8.
    """
    inside = table[matched(table, label_probabilities(curves))]
    median = table.groupby("problem_id")["tokens"].transform("median")
    sized = table.assign(long=table["tokens"] > median)
    return {
        "paper": {"dAcc": raw["accuracy_difference"], "dCW": raw["window_difference"]},
        "within_questions": _tested(table, ["problem_id"]),
        "matched": _tested(inside, ["problem_id"]) | {"within": MATCHED},
        "longer": plain(stratified(sized, ["problem_id", "long"])),
        "budget": _budget(table, curves, threshold),
    }


def _tested(table: pd.DataFrame, stratum: Sequence[str]) -> dict[str, Any]:
    test = permutation(table)
    p_value, questions = test if test is not None else (None, 0)
    made = plain(stratified(table, stratum))
    return made | {"p_value": p_value, "permuted_problems": questions}


def _budget(
    table: pd.DataFrame, curves: Sequence[Curve], threshold: float | None
) -> dict[str, Any]:
    """Bound the mean number of jumps of own labels by how uncertain the labels were.

    E[jumps > c] <= (1 - sum_a P(a)^2) / c^2, and the mean own-label agreement with nothing kept is
    an unbiased estimate of sum_a P(a)^2: the label is drawn with probability P(a).
    """
    start = {c.original_id: float(c.agreement[0]) for c in curves if c.own and c.position[0] == 0}
    known = table[table["original_id"].isin(list(start))]
    doubt = 1 - known["original_id"].map(start).astype(float)
    groups = doubt.groupby(known["problem_id"])
    share = clustered_share(groups.sum(), groups.size())
    bound = plain(share)
    if threshold:
        for key in ("estimate", "lower", "upper"):
            value = bound[key]
            bound[key] = None if value is None else value / threshold**2
    return {
        "threshold": threshold,
        "uncertainty": plain(share),
        "bound": bound if threshold else None,
        "windows": float(known["windows"].mean()) if len(known) else None,
    }


def contrast_rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Put contrasts into rows of the headline, in reading order."""
    within, same = found["within_questions"], found["matched"]
    rows = [
        (
            "  the same within questions",
            within,
            _joined("Mantel-Haenszel; questions with both right and wrong answers", within),
        ),
        (
            "  and at matched label probability",
            same,
            _joined(f"|P(right label) - P(wrong label)| <= {same['within']:g}", same),
        ),
        (
            "  and among answers of like length",
            found["longer"],
            "sensitivity only: length may be what the window does",
        ),
    ]
    made = [_row(name, value, note) for name, value, note in rows]
    budget = found["budget"]
    if budget["bound"] is not None and budget["windows"] is not None:
        note = f"(1 - sum P(a)^2) / {budget['threshold']:g}^2; found: {budget['windows']:.3f}"
        made.append(_row("windows per answer, at most", budget["bound"], note))
    return made


def _joined(note: str, tested: Mapping[str, Any]) -> str:
    parts = [note]
    if tested["p_value"] is not None:
        parts.append(f"permuted inside questions: p = {tested['p_value']:.2g}")
    if tested["problems"] < FEW:
        parts.append(f"only {tested['problems']} questions: too few to tell")
    return "; ".join(parts)


def _row(name: str, interval: Mapping[str, Any], note: str) -> dict[str, Any]:
    keys = ("estimate", "lower", "upper", "n", "problems")
    return {"name": name, **{key: interval[key] for key in keys}, "note": note}


def _sum_law(wrong: Ints, right: Ints, hits: Ints) -> Floats:
    """Give the law of the number of wrong originals with a window, from its least value on."""
    from scipy.stats import hypergeom

    law = np.ones(1)
    for a, b, h in zip(wrong, right, hits, strict=True):
        support = np.arange(max(0, h - b), min(a, h) + 1)
        law = np.convolve(law, hypergeom.pmf(support, a + b, h, a))
    return law
